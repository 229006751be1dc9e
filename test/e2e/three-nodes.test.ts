// Three nodes as the original's users start them: an id, seeds and two ports each, all in one working directory, and nothing else. What is
// counted on any of them is read on all, through the original's API, also after one was killed and brought back.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { freePort } from '../support/fault-proxy.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { clusterOf, post, statesOf, until, untilAllRead } from './asking.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/three-nodes')
const command = await buildCounter()

const { path: cwd, remove } = temporaryDirectory()
const running = new Set<NodeProcess>()
test.after(remove)
test.after.each(async () => {
  await Promise.all([...running].map((node) => node.end('SIGKILL')))
  running.clear()
})

interface Ports {
  readonly id: number
  readonly publicPort: number
  readonly syncPort: number
}

let lastId = -1

/** Ids that no other test has, so that the working directory can be the same. */
const portsOf = (count: number): Promise<Ports[]> =>
  Promise.all(
    Array.from({ length: count }, async () => ({ id: ++lastId, publicPort: await freePort(), syncPort: await freePort() })),
  )

/** COUNTER_NODE_ID=0 COUNTER_SEEDS=http://localhost:4001,http://localhost:5001 COUNTER_PUBLIC_PORT=3000 COUNTER_SYNC_PORT=3001 */
async function start({ id, publicPort, syncPort }: Ports, seeds: readonly string[]): Promise<NodeProcess> {
  const node = await startNode({
    dataDir: join(cwd, id === 0 ? 'data' : `data-${id}`),
    cwd,
    command,
    env: {
      COUNTER_NODE_ID: String(id),
      COUNTER_SEEDS: seeds.join(','),
      COUNTER_PUBLIC_PORT: String(publicPort),
      COUNTER_SYNC_PORT: String(syncPort),
    },
  })
  running.add(node)
  return node
}

const startWithSeeds = (ports: Ports, all: readonly Ports[]) =>
  start(
    ports,
    all.filter((other) => other !== ports).map(({ syncPort }) => `http://localhost:${syncPort}`),
  )

test('what is posted to any of three nodes is read on all, also when one was killed and has come back', async () => {
  const places = await portsOf(3)
  const nodes = await Promise.all(places.map((place) => startWithSeeds(place, places)))
  const [a, b, c] = nodes as [NodeProcess, NodeProcess, NodeProcess]
  for (const { dataDir } of nodes) assert.ok(existsSync(join(dataDir, 'IDENTITY')), dataDir)
  await post(a, 'To be or not to be')
  await post(b, 'that is the question')
  await post(c, 'whether to be')
  const words = { to: 3, be: 3, or: 1, not: 1, that: 1, is: 1, the: 1, question: 1, whether: 1, nobler: 0 }
  await untilAllRead(nodes, words)

  await c.end('SIGKILL')
  await post(a, 'nobler')
  await post(b, 'to suffer')
  const more = { ...words, to: 4, suffer: 1, nobler: 1 }
  await untilAllRead([a, b], more)
  const back = await startWithSeeds(places[2]!, places)
  await untilAllRead([a, b, back], more)
  await post(back, 'nobler')
  await untilAllRead([a, b, back], { ...more, nobler: 2 })
})

test('a node that knows one member only joins all of them', async () => {
  const places = await portsOf(3)
  const [a, b, c] = places as [Ports, Ports, Ports]
  const first = await start(a, [])
  await post(first, 'before')
  const second = await start(b, [`http://localhost:${a.syncPort}`])
  const third = await start(c, [`http://localhost:${b.syncPort}`])
  const nodes = [first, second, third]
  await untilAllRead(nodes, { before: 1 })
  for (const node of nodes) {
    await until(
      'all are members',
      () => statesOf(node),
      (states) => [a, b, c].every(({ id }) => states[id] === 'alive') && Object.keys(states).length === 3,
    )
  }

  // The two that were never told of each other talk without the one between them.
  await second.end('SIGKILL')
  await post(third, 'after')
  await untilAllRead([first], { before: 1, after: 1 })
})

test('a seed may be a name with one address or many', async () => {
  const places = await portsOf(2)
  const [a, b] = places as [Ports, Ports]
  const first = await start(a, [])
  await post(first, 'named')
  const second = await start(b, [`dns+http://localhost:${a.syncPort}`])
  await untilAllRead([first, second], { named: 1 })
  const { agreed } = await until(
    'they agree',
    () => clusterOf(second),
    (view) => view.agreed,
  )
  assert.ok(agreed)
})

test('a node that is its own seed as well, and one whose seeds are all down, start and count', async () => {
  const [place] = (await portsOf(1)) as [Ports]
  const alone = await start(place, [`http://localhost:${place.syncPort}`, `http://localhost:${await freePort()}`])
  await post(alone, 'alone')
  await untilAllRead([alone], { alone: 1 })
  assert.equal(await statesOf(alone), { [place.id]: 'alive' })
})

test.run()
