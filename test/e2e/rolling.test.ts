// Nodes of a cluster that are stopped in order, under load (A24 of docs/GUARANTEES.md): one under 200 connections of 50 requests each, all
// three one after the other, and one that does not come back.
// time limit: 600 s
// A request has failed when a byte of it was sent and no whole reply with status 200 came. When nothing was sent, because the connection
// was ended in order or refused, the client goes to another node.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode, type ClusterOptions } from '../support/cluster.ts'
import { HOT, Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle } from '../support/load.ts'
import { post, read, statesOf, until, untilAllRead } from './asking.ts'
import { buildCounter } from './built.ts'

const CONNECTIONS = 200
const REQUESTS = 50
const SIGTERM_AFTER = (CONNECTIONS * REQUESTS) / 4
const ENDED = { code: 0, signal: null }

const test = suite('e2e/rolling')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

/** A client that goes to the next node when its own takes no connection. */
class Client {
  readonly #connections: readonly Connection[]
  readonly #ledger: Ledger
  readonly #failures: string[]
  #at: number
  /** Times that it went to another node. */
  moves = 0

  constructor(ports: readonly number[], first: number, ledger: Ledger, failures: string[]) {
    this.#connections = ports.map((port) => new Connection(port))
    this.#at = first % ports.length
    this.#ledger = ledger
    this.#failures = failures
  }

  /** Makes one request, on whatever node takes it. */
  async write(): Promise<void> {
    for (;;) {
      const op = this.#ledger.begin()
      const outcome = await this.#connections[this.#at]!.request(requestOf(op))
      settle(this.#ledger, op, outcome)
      if (outcome.kind !== 'unsent') {
        if (outcome.kind === 'lost' || outcome.status !== 200) this.#failures.push(`${op.name}: ${JSON.stringify(outcome)}`)
        return
      }
      this.moves++
      this.#at = (this.#at + 1) % this.#connections.length
      await pause(1)
    }
  }

  close(): void {
    for (const connection of this.#connections) connection.close()
  }
}

/** A cluster whose nodes all know each other. */
async function started(options: Omit<ClusterOptions, 'command' | 'random'>): Promise<Cluster> {
  const cluster = await Cluster.start({ ...options, random, command })
  await untilAllAlive(cluster)
  return cluster
}

async function untilAllAlive({ nodes }: Cluster): Promise<void> {
  const seen = () => Promise.all(nodes.map(({ process }) => statesOf(process!)))
  const areAlive = (states: Record<number, string>) => nodes.every(({ id }) => states[id] === 'alive')
  await until('all are alive', seen, (all) => all.every(areAlive))
}

/** Ends a node as an operator does, and checks how. */
async function endInOrder(cluster: Cluster, node: ClusterNode): Promise<void> {
  assert.equal(await cluster.end(node, 'SIGTERM'), ENDED, `node ${node.id}`)
}

async function untilLedgerHolds(ledger: Ledger, nodes: readonly ClusterNode[]): Promise<void> {
  const last = ledger.ops.filter(({ state }) => state === 'acknowledged').length
  for (const { id, publicPort } of nodes) {
    const readAll = (names: Iterable<string>) => readCounts(publicPort, names)
    await until(
      `node ${id} has all`,
      () => readAll([HOT]),
      (counts) => counts.get(HOT)! >= last,
    )
    assert.equal(await ledger.check(readAll), [], `node ${id}`)
  }
}

test(`no request fails when one of three nodes is stopped under ${CONNECTIONS} connections`, async () => {
  const ledger = new Ledger({ keyedEvery: 0 })
  const failures: string[] = []
  const cluster = await started({ nodes: 3 })
  try {
    const ports = cluster.nodes.map(({ publicPort }) => publicPort)
    const [stopped, ...others] = cluster.nodes as [ClusterNode, ...ClusterNode[]]
    let [answered, asked] = [0, () => {}]
    const due = new Promise<void>((resolve) => {
      asked = resolve
    })
    const clients = Array.from({ length: CONNECTIONS }, (_, index) => new Client(ports, index, ledger, failures))
    const load = clients.map(async (client) => {
      for (let request = 0; request < REQUESTS; request++) {
        await client.write()
        if (++answered === SIGTERM_AFTER) asked()
      }
      client.close()
    })
    await due
    await endInOrder(cluster, stopped)
    await Promise.all(load)

    assert.equal(failures, [])
    assert.is(ledger.count('acknowledged'), CONNECTIONS * REQUESTS)
    assert.ok(
      clients.some(({ moves }) => moves > 0),
      'void: no client had to go to another node',
    )
    await untilLedgerHolds(ledger, others)
    await cluster.start(stopped)
    await untilLedgerHolds(ledger, cluster.nodes)
  } finally {
    await cluster.close()
  }
})

test('no request fails in a rolling restart of all three nodes', async () => {
  const ledger = new Ledger({ keyedEvery: 0 })
  const failures: string[] = []
  const cluster = await started({ nodes: 3 })
  let over = false
  try {
    const ports = cluster.nodes.map(({ publicPort }) => publicPort)
    const clients = Array.from({ length: 24 }, (_, index) => new Client(ports, index, ledger, failures))
    const load = clients.map(async (client) => {
      for (; !over; await pause(2)) await client.write()
      client.close()
    })
    const writtenOn = async (more: number) => {
      const count = ledger.count('acknowledged') + more
      await until(
        'writes go on',
        () => ledger.count('acknowledged'),
        (acknowledged) => acknowledged >= count,
      )
    }
    for (const node of cluster.nodes) {
      await writtenOn(200)
      await endInOrder(cluster, node)
      await writtenOn(200)
      await cluster.start(node)
      await untilAllAlive(cluster)
    }
    over = true
    await Promise.all(load)
    assert.equal(failures, [])
    assert.ok(
      clients.some(({ moves }) => moves > 0),
      'void: no client had to go to another node',
    )
    await untilLedgerHolds(ledger, cluster.nodes)
  } finally {
    over = true
    await cluster.close()
  }
})

test('what a node acknowledged before it ended is with the others when it has ended', async () => {
  const cluster = await started({ nodes: 3, env: { COUNTER_SYNC_INTERVAL: '10m' } })
  try {
    const [a, b, c] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]
    // What a node tells of its writes is lost, and will not be told again for ten minutes.
    for (const { proxy } of cluster.nodes) proxy.cut()
    for (let text = 0; text < 20; text++) await post(a.process!, `last last-${text}`)
    cluster.heal()
    assert.equal(await read(b.process!, ['last']), { last: 0 }, 'void: it was told after all')
    await endInOrder(cluster, a)
    // They have it already: nothing is waited for.
    for (const node of [b, c])
      assert.equal(await read(node.process!, ['last', 'last-0', 'last-19']), { last: 20, 'last-0': 1, 'last-19': 1 })
    await cluster.start(a)
    await untilAllRead(
      cluster.nodes.map(({ process }) => process!),
      { last: 20 },
    )
  } finally {
    await cluster.close()
  }
})

test('a node whose others do not answer ends in order too, and says who lacks what', async () => {
  const cluster = await started({ nodes: 2 })
  try {
    const [a, b] = cluster.nodes as [ClusterNode, ClusterNode]
    cluster.nodes[1]!.process!.child.kill('SIGSTOP')
    await post(a.process!, 'kept')
    const { process } = a
    await endInOrder(cluster, a)
    assert.match(process!.stderr(), 'ends before these members have all it has')
    b.process!.child.kill('SIGCONT')
    await cluster.start(a)
    await untilAllRead([a.process!, b.process!], { kept: 1 })
  } finally {
    await cluster.close()
  }
})

test.run()
