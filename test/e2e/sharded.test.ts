// The original sharded counter as one command: real processes, one of them killed, all ended together.
// time limit: 500 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { untilAgreed } from '../support/cluster.ts'
import { type NodeProcess, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/sharded')
const command = await buildCounter()

interface Total {
  readonly total: number
  readonly complete?: boolean
  readonly missing?: { readonly shard: number; readonly lastKnown: { readonly value: number; readonly ageSeconds: number } }[]
}

const start = (dataDir: string): Promise<NodeProcess> =>
  startNode({
    dataDir,
    command,
    args: ['sharded', '--shards', '3', '--shard-port', '0', '--public-port', '0'],
    env: { COUNTER_PUBLIC_PORT: '', COUNTER_SYNC_PORT: '' },
  })

const add = async (url: string, body: string): Promise<{ success: boolean; shardId: number; count: number }> => {
  const response = await fetch(`${url}/increment`, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body })
  assert.is(response.status, 200)
  return (await response.json()) as { success: boolean; shardId: number; count: number }
}
const total = async (url: string): Promise<Total> => (await (await fetch(`${url}/total`)).json()) as Total

/** Where the shards answer, and their processes. */
const shardsOf = (node: NodeProcess): { url: string; pid: number }[] =>
  [...node.stdout().matchAll(/^ {2}Shard \d+ +(\S+) {2}process (\d+)$/gm)].map(([, url, pid]) => ({
    url: url!,
    pid: Number(pid),
  }))

const isAlive = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test('three shards and an aggregator: added evenly, summed, honest when one is killed, ended together, and still there after', async () => {
  const { path, remove } = temporaryDirectory()
  let node = await start(path)
  try {
    const shards = shardsOf(node)
    assert.is(shards.length, 3)
    assert.is(new Set(shards.map(({ pid }) => pid)).size, 3)

    const counts = [0, 0, 0]
    for (let turn = 0; turn < 30; turn++) {
      const { success, shardId, count } = await add(node.url, '{"value":3}')
      assert.ok(success)
      counts[shardId]! += 3
      assert.is(count, counts[shardId])
    }
    assert.equal(counts, [30, 30, 30])
    assert.equal(await total(node.url), { total: 90 })
    // Each shard is a plain node with its own part.
    for (const { url } of shards) assert.equal(await total(url), { total: 30 })
    assert.is((await add(shards[1]!.url, '{"value":1}')).shardId, 0)
    assert.equal(await total(node.url), { total: 91 })

    // The names of a text lie on shards, and are read together.
    assert.is(
      (await fetch(`${node.url}/keywords`, { method: 'POST', body: 'to be or not to be that is the question' })).status,
      200,
    )
    const words = await (await fetch(`${node.url}/keywords?keywords=to&keywords=be&keywords=that&keywords=zzz`)).json()
    assert.equal(
      (words as { count: number }[]).map(({ count }) => count),
      [2, 2, 1, 0],
    )

    process.kill(shards[1]!.pid, 'SIGKILL')
    await untilAgreed(
      () => total(node.url),
      ({ complete }) => complete === false,
    )
    const without = await total(node.url)
    assert.is(without.total, 91)
    assert.equal(
      without.missing!.map(({ shard, lastKnown }) => [shard, lastKnown.value]),
      [[1, 31]],
    )
    const after = await Promise.all(Array.from({ length: 6 }, () => add(node.url, '{"value":1}')))
    assert.equal(after.map(({ shardId }) => shardId).sort(), [0, 0, 0, 2, 2, 2])
    assert.match(node.stderr(), 'shard 1 has ended')
    assert.is((await fetch(`${node.url}/total?require=complete`)).status, 503)

    assert.equal(await node.end('SIGTERM'), { code: 0, signal: null })
    for (const { pid } of shards) assert.not.ok(isAlive(pid))

    node = await start(path)
    await untilAgreed(
      () => total(node.url),
      (seen) => seen.total === 97 && seen.complete === undefined,
    )
  } finally {
    await node.end('SIGKILL')
    await untilAgreed(
      async () => shardsOf(node).filter(({ pid }) => isAlive(pid)),
      (left) => left.length === 0,
    )
    remove()
  }
})

test('when the command itself is killed its shards end too', async () => {
  const { path, remove } = temporaryDirectory()
  const node = await start(path)
  const pids = shardsOf(node).map(({ pid }) => pid)
  assert.ok(pids.length === 3 && pids.every(isAlive))
  await node.end('SIGKILL')
  await untilAgreed(
    async () => pids.filter(isAlive),
    (left) => left.length === 0,
  )
  remove()
})

test('a port that is taken ends all, and the message says which', async () => {
  const { path, remove } = temporaryDirectory()
  const holder = await startNode({ dataDir: `${path}/holder`, command })
  try {
    const port = new URL(holder.url).port
    const env = { COUNTER_DATA_DIR: `${path}/data`, COUNTER_LOG_FORMAT: 'json' }
    const ended = await runToEnd(['sharded', '--shards', '2', '--shard-port', '0', '--public-port', port], env, command)
    assert.is(ended.code, 1)
    assert.match(ended.stderr, 'PORT_UNUSABLE')
    assert.match(ended.stderr, 'the aggregator has ended (exit code 1)')
  } finally {
    await holder.end('SIGKILL')
    remove()
  }
})

test('what cannot be started is said before anything is', async () => {
  const cases: [args: string[], code: number, said: RegExp][] = [
    [['sharded', '--shards', '0'], 2, /expected a whole number from 1 to 64/],
    [['sharded', '--seeds', 'http://127.0.0.1:1'], 78, /shards do not know each other/],
    [['aggregate'], 78, /COUNTER_SHARDS names none/],
    [['aggregate', '--shards', 'http://a:1,http://a:1'], 78, /--shards should be base URLs/],
  ]
  for (const [args, code, said] of cases) {
    const ended = await runToEnd(args, {}, command)
    assert.is(ended.code, code, args.join(' '))
    assert.match(ended.stderr, said)
  }
})

test.run()
