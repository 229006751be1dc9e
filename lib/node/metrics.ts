// What the store says of itself, for GET /metrics. Read when a scrape asks, so nothing is kept up to date in between.

import { Counter, Gauge, type Registry } from 'prom-client'
import type { StoreStatus } from '../persistence/index.ts'

type Row = [name: string, help: string, read: (status: StoreStatus) => number]

const GAUGES: readonly Row[] = [
  ['counter_names', 'Names that are counted.', (status) => status.names],
  ['counter_table_bytes', 'Memory of the table of names and counts.', (status) => status.tableBytes],
  ['counter_idempotency_keys', 'Replies kept for an Idempotency-Key.', (status) => status.replies],
  ['counter_writable', '1 while writes are taken, 0 while they are refused.', (status) => Number(status.writable)],
  ['counter_log_end_bytes', 'Log position of the next frame.', (status) => status.logEnd],
  ['counter_log_durable_bytes', 'Log position up to which the log is on disk.', (status) => status.logDurable],
  ['counter_snapshot_from_bytes', 'Log position that the last snapshot replays from.', (status) => status.snapshotFrom],
  ['counter_snapshot_timestamp_seconds', 'When the last snapshot was made; 0 for never.', (status) => status.snapshotAt / 1000],
  ['counter_snapshot_seconds', 'How long the last snapshot took.', (status) => status.snapshotMs / 1000],
  ['counter_snapshot_bytes', 'Size of the last snapshot.', (status) => status.snapshotBytes],
  ['counter_snapshot_failed', '1 when the last attempt at a snapshot failed.', (status) => Number(status.snapshotFailed)],
]

const COUNTERS: readonly Row[] = [
  [
    'counter_log_groups_total',
    'Frames written to the log since the start; each is one flush with COUNTER_FSYNC=always.',
    (status) => status.logGroups,
  ],
  ['counter_log_records_total', 'Writes recorded in the log since the start.', (status) => status.logRecords],
]

export function registerStoreMetrics(registry: Registry, status: () => StoreStatus): void {
  const registers = [registry]
  for (const [name, help, read] of GAUGES) {
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read(status()))
      },
    })
  }
  for (const [name, help, read] of COUNTERS) {
    new Counter({
      name,
      help,
      registers,
      collect() {
        this.reset()
        this.inc(read(status()))
      },
    })
  }
}
