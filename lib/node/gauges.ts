// What a node says about its store: gauges for GET /metrics and the checks of GET /readyz.

import { Gauge, type Registry } from 'prom-client'
import type { StoreStatus } from '../persistence/index.ts'

const GAUGES: ReadonlyArray<[name: string, help: string, read: (status: StoreStatus) => number]> = [
  ['counter_names', 'Names that are counted.', (status) => status.names],
  ['counter_memory_bytes', 'Memory of the names and their counts.', (status) => status.bytes],
  ['counter_log_position_bytes', 'Bytes ever appended to the log.', (status) => status.position],
  ['counter_log_durable_bytes', 'Bytes of the log that are durable.', (status) => status.durable],
  ['counter_log_bytes', 'Size of the log on disk.', (status) => status.logBytes],
  [
    'counter_snapshot_timestamp_seconds',
    'When the last snapshot was published; 0 when there is none.',
    (status) => status.snapshotMs / 1000,
  ],
  ['counter_idempotency_keys', 'Replies kept for an Idempotency-Key.', (status) => status.replies],
  ['counter_writable', '1 while the node takes writes, 0 while it refuses them.', (status) => Number(status.writable)],
]

export function registerGauges(registry: Registry, status: () => StoreStatus): void {
  for (const [name, help, read] of GAUGES) {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read(status()))
      },
    })
  }
}
