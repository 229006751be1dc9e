// What the store and replication say of themselves, for GET /metrics. Read when a scrape asks, so nothing is kept up to date in
// between.

import { Counter, Gauge, type Registry } from 'prom-client'
import type { StoreStatus } from '../persistence/index.ts'
import type { ClusterStatus } from '../syncsrv/index.ts'
import type { Sync } from './sync.ts'

type Row<Status> = [name: string, help: string, read: (status: Status) => number]

const GAUGES: readonly Row<StoreStatus>[] = [
  ['counter_names', 'Names that are counted.', (status) => status.names],
  ['counter_items', 'Items that belong to a tenant.', (status) => status.items],
  ['counter_tenants', 'Tenants that have, or had, an item.', (status) => status.tenants],
  ['counter_table_bytes', 'Memory of the tables of names and counts, and of items.', (status) => status.tableBytes],
  ['counter_idempotency_keys', 'Replies kept for an Idempotency-Key.', (status) => status.replies],
  [
    'counter_tentative_writes',
    'Writes to this node with an Idempotency-Key that not all members are known to know of.',
    (status) => status.tentativeWrites,
  ],
  ['counter_tentative_bytes', 'Memory of these; COUNTER_TENTATIVE_BYTES_MAX is the limit.', (status) => status.tentativeBytes],
  ['counter_writable', '1 while writes are taken, 0 while they are refused.', (status) => Number(status.writable)],
  ['counter_log_end_bytes', 'Log position of the next frame.', (status) => status.logEnd],
  ['counter_log_durable_bytes', 'Log position up to which the log is on disk.', (status) => status.logDurable],
  ['counter_snapshot_from_bytes', 'Log position that the last snapshot replays from.', (status) => status.snapshotFrom],
  ['counter_snapshot_timestamp_seconds', 'When the last snapshot was made; 0 for never.', (status) => status.snapshotAt / 1000],
  ['counter_snapshot_seconds', 'How long the last snapshot took.', (status) => status.snapshotMs / 1000],
  ['counter_snapshot_bytes', 'Size of the last snapshot.', (status) => status.snapshotBytes],
  ['counter_snapshot_failed', '1 when the last attempt at a snapshot failed.', (status) => Number(status.snapshotFailed)],
]

const COUNTERS: readonly Row<StoreStatus>[] = [
  [
    'counter_log_groups_total',
    'Frames written to the log since the start; each is one flush with COUNTER_FSYNC=always.',
    (status) => status.logGroups,
  ],
  ['counter_log_records_total', 'Writes recorded in the log since the start.', (status) => status.logRecords],
  [
    'counter_withdrawals_total',
    'Writes with an Idempotency-Key that this node took back since the start, because another one had counted them too.',
    (status) => status.withdrawals,
  ],
]

const SYNC_COUNTERS: readonly Row<ClusterStatus['counters']>[] = [
  ['counter_sync_exchanges_total', 'Exchanges that this node asked for and that were answered.', (status) => status.exchanges],
  ['counter_sync_failures_total', 'Exchanges that this node asked for and that failed.', (status) => status.failures],
  ['counter_sync_cells_in_total', 'Cells heard from other nodes that were news.', (status) => status.cellsIn],
  ['counter_sync_bytes_in_total', 'Bytes of deltas heard from other nodes.', (status) => status.bytesIn],
  ['counter_sync_bytes_out_total', 'Bytes of deltas sent to other nodes.', (status) => status.bytesOut],
  [
    'counter_sync_hidden_cells_total',
    'Cells that digests had to find, because the vectors said that they were known. Always 0 but for a fault.',
    (status) => status.hiddenCells,
  ],
  ['counter_folds_total', 'Folds of old incarnations into one column.', (status) => status.folds],
  [
    'counter_items_batches_committed_total',
    'Batches of items sent to this node that enough members accepted.',
    (status) => status.batchesCommitted,
  ],
  [
    'counter_items_batches_aborted_total',
    'Batches of items sent to this node that too few members accepted. Nothing of them was kept.',
    (status) => status.batchesAborted,
  ],
  [
    'counter_items_promises_expired_total',
    'Promises to keep a batch of another node that were dropped, because nothing was heard of it any more.',
    (status) => status.preparesExpired,
  ],
]

/** Per member: what this node lacks of it, and it of this node. Members of which nothing is known yet are left out. */
const LAGS = [
  ['counter_replication_lag_changes', 'Changes not yet there, by member and direction.', 'changes'],
  ['counter_replication_lag_seconds', 'For how long changes have been missing, by member and direction.', 'seconds'],
] as const

const STATES = ['alive', 'suspect', 'dead'] as const

export function registerStoreMetrics(registry: Registry, status: () => StoreStatus): void {
  registerGauges(registry, GAUGES, status)
  registerCounters(registry, COUNTERS, status)
}

export function registerSyncMetrics(registry: Registry, { replication, server }: Sync): void {
  registerCounters(registry, SYNC_COUNTERS, () => replication.status().counters)
  const registers = [registry]
  new Gauge({
    name: 'counter_items_promises',
    help: 'Batches of other nodes that this one has promised to keep, and of which it has not heard what became.',
    registers,
    collect() {
      this.set(replication.status().promisedBatches)
    },
  })
  new Gauge({
    name: 'counter_cluster_members',
    help: 'Members of the cluster by state, this node included.',
    labelNames: ['state'],
    registers,
    collect() {
      const { members } = replication.status()
      for (const state of STATES) this.set({ state }, members.filter((member) => member.state === state).length)
    },
  })
  for (const [name, help, field] of LAGS) {
    new Gauge({
      name,
      help,
      labelNames: ['member', 'direction'],
      registers,
      collect() {
        this.reset()
        for (const { node, self, state, lacks, ahead } of replication.status().members) {
          if (self || state === 'left') continue
          if (lacks) this.set({ member: node, direction: 'in' }, lacks[field])
          if (ahead) this.set({ member: node, direction: 'out' }, ahead[field])
        }
      },
    })
  }
  new Counter({
    name: 'counter_sync_requests_refused_total',
    help: 'Requests on the sync port that were refused, by reason.',
    labelNames: ['reason'],
    registers,
    collect() {
      this.reset()
      for (const [counter, count] of Object.entries(server.counters)) {
        if (counter.startsWith('refused')) this.inc({ reason: counter.slice('refused'.length).toLowerCase() }, count)
      }
    },
  })
}

/** What has been given is counted with the requests: counter_http_requests_total by route. */
export function registerSequenceMetrics(registry: Registry, sequences: { isGiving(): boolean }): void {
  new Gauge({
    name: 'counter_sequences_available',
    help: '0 while this node, as the home of the sequences, refuses to give numbers; 1 otherwise.',
    registers: [registry],
    collect() {
      this.set(Number(sequences.isGiving()))
    },
  })
}

function registerGauges<Status>(registry: Registry, rows: readonly Row<Status>[], status: () => Status): void {
  for (const [name, help, read] of rows) {
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

function registerCounters<Status>(registry: Registry, rows: readonly Row<Status>[], status: () => Status): void {
  for (const [name, help, read] of rows) {
    new Counter({
      name,
      help,
      registers: [registry],
      collect() {
        this.reset()
        this.inc(read(status()))
      },
    })
  }
}
