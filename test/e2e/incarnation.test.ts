// Who may write on in a column (A16 of docs/GUARANTEES.md): a node of three crashes, restarts, is restored from a backup, cloned, wiped, started
// twice, and started while others do not answer. After each, every node shows each acknowledged write once, and GET /v1/cluster shows
// whether the column was resumed or a new one begun.
// time limit: 600 s

import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Cluster, type ClusterNode } from '../support/cluster.ts'
import { HOT, Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle, Writers } from '../support/load.ts'
import { type NodeProcess, runToEnd, temporaryDirectory } from '../support/process.ts'
import { clusterOf, metricOf, post, statesOf, until } from './asking.ts'
import { buildCounter } from './built.ts'

const RESTARTS = 20
const WORDS = 3000
const ENV = {
  COUNTER_SYNC_INTERVAL: '100ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '500ms',
  // Members that are there answer in that time, however busy the machine is.
  COUNTER_JOIN_TIMEOUT: '20s',
  COUNTER_SNAPSHOT_LOG_BYTES: '64KiB',
}

/** Of a start while a member is away, which is waited for in vain. */
const awayFor = (wait: string) => ({ COUNTER_JOIN_TIMEOUT: wait })

const test = suite('e2e/incarnation')
const command = await buildCounter()
const random = seededRandom(Number(process.env.SEED ?? 1))
const ledger = new Ledger({ keyedEvery: 0 })
const copies = temporaryDirectory()
const cluster = await Cluster.prepare({ nodes: 3, random, command, env: ENV })
const [a, b, c] = cluster.nodes as [ClusterNode, ClusterNode, ClusterNode]

test.before.each(async () => {
  await Promise.all(cluster.nodes.map((node) => node.process ?? cluster.start(node)))
  await untilAllAlive()
})
test.after(async () => {
  await cluster.close()
  copies.remove()
})

const at = ({ process }: ClusterNode): NodeProcess => process!
const incarnationOf = async (node: ClusterNode): Promise<number> => (await clusterOf(at(node))).incarnation

async function untilAllAlive(): Promise<void> {
  const seen = () => Promise.all(cluster.nodes.map((node) => statesOf(at(node))))
  const areAlive = (states: Record<number, string>) => cluster.nodes.every(({ id }) => states[id] === 'alive')
  await until('all are alive', seen, (all) => all.every(areAlive))
}

/** Writes on a node, one after the other, all of which must be acknowledged. */
async function write(node: ClusterNode, count: number): Promise<void> {
  const connection = new Connection(node.publicPort)
  for (let written = 0; written < count; written++) {
    const op = ledger.begin()
    settle(ledger, op, await connection.request(requestOf(op)))
    assert.is(op.state, 'acknowledged')
  }
  connection.close()
}

/** Every node shows every acknowledged write once. */
async function untilLedgerHolds(nodes: readonly ClusterNode[] = cluster.nodes): Promise<void> {
  const hots = () => Promise.all(nodes.map(async ({ publicPort }) => (await readCounts(publicPort, [HOT])).get(HOT)!))
  const acknowledged = ledger.count('acknowledged')
  await until(`all have ${acknowledged}`, hots, (all) => all.every((hot) => hot === all[0] && hot >= acknowledged))
  for (const { id, publicPort } of nodes)
    assert.equal(await ledger.check((names) => readCounts(publicPort, names)), [], `node ${id}`)
}

/** Ends a node, lets something become of its directory, and starts it. Gives its incarnations before and after. */
async function restarted(
  node: ClusterNode,
  signal: NodeJS.Signals,
  { meanwhile, env }: { meanwhile?: () => void; env?: Record<string, string> } = {},
) {
  const before = await incarnationOf(node)
  await cluster.end(node, signal)
  meanwhile?.()
  await cluster.start(node, env)
  return { before, after: await incarnationOf(node) }
}

const copy = (from: string, to: string): Buffer => execFileSync('cp', ['-a', from, to])

function backUp(node: ClusterNode, name: string): string {
  const backup = join(copies.path, name)
  copy(node.dataDir, backup)
  return backup
}

/** A second process with the id of node 1. */
const startTwin = (dataDir: string, env: Record<string, string> = {}) =>
  runToEnd(
    ['serve'],
    {
      ...ENV,
      COUNTER_NODE_ID: '1',
      COUNTER_DATA_DIR: dataDir,
      COUNTER_PUBLIC_PORT: '0',
      COUNTER_SYNC_PORT: '0',
      COUNTER_SEEDS: [b, c].map(({ proxy }) => proxy.url).join(),
      ...env,
    },
    command,
  )

test('after a crash under load the column is resumed, as all members say that they know no more of it', async () => {
  const writers = new Writers(a.publicPort, ledger, 8)
  const acknowledged = ledger.count('acknowledged')
  await until(
    'writes',
    () => ledger.count('acknowledged'),
    (count) => count > acknowledged + 50,
  )
  const before = await incarnationOf(a)
  await cluster.end(a)
  await writers.ended()
  await cluster.start(a)
  assert.is(await incarnationOf(a), before)
  await write(a, 5)
  await untilLedgerHolds()
})

test('after a restart in order the column is resumed', async () => {
  await write(a, 5)
  const { before, after } = await restarted(a, 'SIGTERM')
  assert.is(after, before)
  await write(a, 5)
  await untilLedgerHolds()
})

test('an old backup that is put back goes on in a new column', async () => {
  await write(a, 5)
  await cluster.end(a, 'SIGTERM')
  const backup = backUp(a, 'put-back')
  await cluster.start(a)
  await write(a, 20)
  await untilLedgerHolds()
  const { before, after } = await restarted(a, 'SIGKILL', {
    meanwhile: () => {
      rmSync(a.dataDir, { recursive: true })
      copy(backup, a.dataDir)
    },
  })
  assert.ok(after > before)
  assert.match(at(a).stderr(), 'it is a copy or a restored backup')
  await write(a, 30)
  await untilLedgerHolds()
})

test('an old backup that is written over the files in place goes on in a new column, because others know more', async () => {
  await write(a, 5)
  await cluster.end(a, 'SIGTERM')
  const backup = backUp(a, 'in-place')
  await cluster.start(a)
  await write(a, 20)
  await untilLedgerHolds()
  const { before, after } = await restarted(a, 'SIGKILL', {
    meanwhile: () => {
      const names = readdirSync(backup)
      for (const name of readdirSync(a.dataDir)) if (!names.includes(name)) rmSync(join(a.dataDir, name), { recursive: true })
      for (const name of names.filter((name) => name !== 'LOCK'))
        writeFileSync(join(a.dataDir, name), readFileSync(join(backup, name)))
    },
  })
  assert.ok(after > before)
  assert.match(at(a).stderr(), /goes on under a new incarnation, because node [23] knows \d+ writes of incarnation/)
  await write(a, 30)
  await untilLedgerHolds()
})

test('a wiped directory begins a new column and gets all counts back', async () => {
  await write(a, 20)
  await untilLedgerHolds()
  const { before, after } = await restarted(a, 'SIGKILL', { meanwhile: () => rmSync(a.dataDir, { recursive: true }) })
  assert.ok(after > before)
  await write(a, 5)
  await untilLedgerHolds()
})

test('while a member is down or asleep a start begins a new column, and nothing is lost when it is back', async () => {
  for (const how of ['down', 'asleep'] as const) {
    await write(a, 5)
    await untilLedgerHolds()
    if (how === 'down') await cluster.end(c)
    else at(c).child.kill('SIGSTOP')
    const { before, after } = await restarted(a, 'SIGKILL', { env: awayFor('2s') })
    assert.ok(after > before, how)
    assert.match(at(a).stderr(), 'not every member has answered (node 3 has not)')
    await write(a, 20)
    await write(b, 5)
    if (how === 'down') await cluster.start(c)
    else at(c).child.kill('SIGCONT')
    await untilAllAlive()
    await untilLedgerHolds()
  }
})

test(`${RESTARTS} restarts while a member is down leave no more memory behind than one column, once it is back`, async () => {
  const text = Array.from({ length: WORDS }, (_, word) => `word-${word}`).join(' ')
  const tableBytes = () =>
    Promise.all(cluster.nodes.filter(({ process }) => process).map((node) => metricOf(at(node), 'counter_table_bytes')))
  await post(at(a), text)
  await untilLedgerHolds()
  const first = Math.max(...(await tableBytes()))

  await cluster.end(c)
  const incarnations = new Set<number>()
  for (let restart = 0; restart < RESTARTS; restart++) {
    const { after } = await restarted(a, restart % 2 === 0 ? 'SIGKILL' : 'SIGTERM', { env: awayFor('300ms') })
    incarnations.add(after)
    await post(at(a), text)
    await write(a, 2)
  }
  assert.is(incarnations.size, RESTARTS)
  const [peak] = (await tableBytes()) as [number]
  assert.ok(peak > 2 * first, `void: the table grew from ${first} to ${peak} bytes only`)

  await cluster.start(c)
  const folds = () => Promise.all(cluster.nodes.map((node) => metricOf(at(node), 'counter_folds_total')))
  await until('all have folded', folds, (all) => all.every((count) => count > 0))
  await until('the memory is free again', tableBytes, (all) => all.every((bytes) => bytes < 1.5 * first))
  console.log(`${first} bytes of table, ${peak} with ${RESTARTS} columns more, ${await tableBytes()} after they were folded`)
  for (const { publicPort } of cluster.nodes) {
    assert.equal(
      await readCounts(publicPort, ['word-0', `word-${WORDS - 1}`]),
      new Map([
        ['word-0', RESTARTS + 1],
        [`word-${WORDS - 1}`, RESTARTS + 1],
      ]),
    )
  }
  await untilLedgerHolds()
})

// Those who asked for a node id are remembered, and make its next start cautious: these come last.

test('a clone of the directory that is started while the node lives is refused, and names the address', async () => {
  await write(a, 5)
  const clone = backUp(a, 'clone')
  const { code, stderr } = await startTwin(clone)
  assert.is(code, 1, stderr)
  assert.match(stderr, 'NODE_ID_TAKEN')
  assert.match(stderr, `node id 1 is that of a running node at ${a.proxy.url}`)
  await write(a, 5)
  await untilLedgerHolds()
})

test('a second process with the id is refused on one host and on another, with a directory of its own', async () => {
  const before = await incarnationOf(a)
  for (const [host, env] of [
    ['same', {}],
    ['other', { COUNTER_HOST: '127.0.0.2', COUNTER_SYNC_HOST: '127.0.0.2' }],
  ] as const) {
    const { code, stderr } = await startTwin(join(copies.path, `twin-${host}`), env)
    assert.is(code, 1, stderr)
    assert.match(stderr, `node id 1 is that of a running node at ${a.proxy.url}`)
    assert.match(stderr, 'Give this node another COUNTER_NODE_ID')
  }
  assert.is(await incarnationOf(a), before)
  await write(a, 5)
  await untilLedgerHolds()
})

test.run()
