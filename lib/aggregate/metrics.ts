// What an aggregator says of its shards, for GET /metrics. Read when a scrape asks.

import { Gauge, type Registry } from 'prom-client'
import type { ShardView } from '../aggregator/index.ts'

export function registerShardMetrics(registry: Registry, view: () => readonly ShardView[]): void {
  const gauge = (name: string, help: string, read: (replica: ShardView['replicas'][number]) => number): void => {
    new Gauge({
      name,
      help,
      labelNames: ['shard', 'replica'],
      registers: [registry],
      collect() {
        this.reset()
        for (const { shard, replicas } of view()) {
          for (const replica of replicas) this.set({ shard, replica: replica.url }, read(replica))
        }
      },
    })
  }
  gauge('counter_shard_up', '1 while the replica of a shard is in service.', ({ state }) => Number(state === 'up'))
  gauge('counter_shard_requests', 'Requests under way to the replica of a shard.', ({ underWay }) => underWay)
  gauge('counter_shard_waiting', 'Requests that wait for their turn at the replica of a shard.', ({ waiting }) => waiting)
}
