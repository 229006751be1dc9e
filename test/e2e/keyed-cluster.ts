// A cluster for tests of writes with keys: its start, what its nodes say of writes that can be taken back, and the wait until all have counted
// each order once.

import * as assert from 'uvu/assert'
import type { Random } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import type { Command } from '../support/process.ts'
import { clusterOf, metricOf, until } from './asking.ts'
import type { Orders } from './keyed-orders.ts'

const ENV = {
  COUNTER_SYNC_INTERVAL: '100ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  // A node that starts while others are down goes on in its column only when they answer in time, and only then takes back what it had counted.
  COUNTER_JOIN_TIMEOUT: '30s',
  COUNTER_SNAPSHOT_LOG_BYTES: '64KiB',
  COUNTER_LOG_LEVEL: 'error',
}

export const urlOf = ({ publicPort }: ClusterNode): string => `http://127.0.0.1:${publicPort}`

/** Three nodes, of which each has heard the others: only then does it keep what a write with a key has added. */
export async function startCluster(random: Random, command: Command): Promise<Cluster> {
  const cluster = await Cluster.start({ nodes: 3, random, command, env: ENV })
  const heard = async (node: ClusterNode) =>
    (await clusterOf({ url: urlOf(node) })).members.filter(({ lacks }) => lacks !== null).length
  await until(
    'each has heard both others',
    () => Promise.all(cluster.nodes.map(heard)),
    (counts) => counts.every((count) => count === cluster.nodes.length - 1),
  )
  return cluster
}

/** The sum over nodes. */
export async function sumOf(nodes: readonly ClusterNode[], metric: string): Promise<number> {
  const values = await Promise.all(nodes.map((node) => metricOf({ url: urlOf(node) }, metric)))
  return values.reduce((sum, value) => sum + value, 0)
}

/** Waits until each node has counted each order once, and nothing more is to be taken back. @param ports of further shards, added to each node's */
export async function untilOnce(nodes: readonly ClusterNode[], orders: Orders, ...ports: readonly number[]): Promise<void> {
  const breaches = async () =>
    (await Promise.all(nodes.map(({ publicPort }) => orders.breaches(publicPort, ...ports)))).flatMap((sentences, index) =>
      sentences.map((sentence) => `on node ${nodes[index]!.id} ${sentence}`),
    )
  const unsettled = () => sumOf(nodes, 'counter_tentative_writes')
  await until('all nodes have counted each once', breaches, ({ length }) => length === 0)
  await until('all writes are settled', unsettled, (count) => count === 0)
  assert.equal(await breaches(), [])
}
