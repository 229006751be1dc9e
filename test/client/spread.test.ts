import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClientError } from '../../lib/client/failure.ts'
import { Spreader, spread } from '../../lib/client/spread.ts'

const test = suite('client/spread')
const runs = { seed: Number(process.env.SEED ?? 1) }

const busy = () => new ClientError('busy', 503, 'busy', { applied: 'no' })
const gone = () => new ClientError('unreachable', 0, 'gone', { applied: 'unknown' })
const wrong = () => new ClientError('body-invalid', 400, 'wrong', { applied: 'no' })

/** Nodes that take shares, and what each has. `fail` says whether an attempt fails. */
function nodesOf(nodes: number, fail: (node: number, attempt: number) => Error | undefined, retriesMax = 0) {
  const taken: number[][] = Array.from({ length: nodes }, () => [])
  const asked: number[] = []
  const spreader = new Spreader<number>({
    nodes,
    retriesMax,
    backoffMs: 0,
    backoffMaxMs: 0,
    async send(node, share) {
      asked.push(node)
      const error = fail(node, asked.length)
      if (error !== undefined) throw error
      taken[node]!.push(...share)
    },
  })
  return { spreader, taken, asked }
}

const items = (count: number) => Array.from({ length: count }, (_, index) => index)

test('11 items over 4 nodes are 3, 3, 3, 2', () => {
  assert.equal(spread(11, 4), [3, 3, 3, 2])
  assert.equal(spread(12, 4), [3, 3, 3, 3])
  assert.equal(spread(2, 4), [1, 1, 0, 0])
  assert.equal(spread(0, 2), [0, 0])
})

test('shares add up, and differ by one at most', () => {
  fc.assert(
    fc.property(fc.nat(100_000), fc.integer({ min: 1, max: 50 }), (count, nodes) => {
      const shares = spread(count, nodes)
      assert.is(shares.length, nodes)
      assert.is(
        shares.reduce((sum, share) => sum + share, 0),
        count,
      )
      assert.ok(Math.max(...shares) - Math.min(...shares) <= 1)
    }),
    runs,
  )
})

test('each node gets its share, in order, and nobody is asked for nothing', async () => {
  const { spreader, taken, asked } = nodesOf(4, () => undefined)
  await spreader.send(items(11))
  assert.equal(taken, [
    [0, 1, 2],
    [3, 4, 5],
    [6, 7, 8],
    [9, 10],
  ])
  asked.length = 0
  await spreader.send(items(2))
  assert.equal(asked, [0, 1])
})

test('the share of a busy or dead node goes to the next', async () => {
  for (const error of [busy, gone]) {
    const { spreader, taken } = nodesOf(4, (node) => (node === 1 ? error() : undefined))
    await spreader.send(items(11))
    assert.equal(
      taken.map((share) => share.toSorted((a, b) => a - b)),
      [[0, 1, 2], [], [3, 4, 5, 6, 7, 8], [9, 10]],
    )
  }
})

test('the last share goes on with the first node, and past two that are dead', async () => {
  const { spreader, taken } = nodesOf(4, (node) => (node === 3 || node === 0 ? gone() : undefined))
  await spreader.send(items(4))
  assert.equal(
    taken.map((share) => share.toSorted()),
    [[], [0, 1, 3], [2], []],
  )
})

test('whatever fails for a while, every item is taken once the nodes are well', async () => {
  await fc.assert(
    fc.asyncProperty(fc.integer({ min: 1, max: 5 }), fc.nat(30), fc.array(fc.boolean()), async (nodes, count, failures) => {
      const { spreader, taken } = nodesOf(nodes, (_, attempt) => (failures[attempt] ? busy() : undefined), failures.length + 1)
      await spreader.send(items(count))
      assert.equal(
        taken.flat().sort((a, b) => a - b),
        items(count),
      )
    }),
    runs,
  )
})

test('a node that failed is left alone for a while, and then asked again', async () => {
  let dead = true
  const { spreader, asked, taken } = nodesOf(2, (node) => (node === 0 && dead ? gone() : undefined))
  for (let round = 0; round < 16; round++) await spreader.send(items(2))
  assert.is(asked.filter((node) => node === 0).length, 1)
  dead = false
  await spreader.send(items(2))
  assert.equal(taken[0], [0])
  await spreader.send(items(2))
  assert.equal(taken[0], [0, 0])
})

test('what is wrong with the items is said at once, and goes to no other node', async () => {
  const { spreader, asked } = nodesOf(3, (node) => (node === 0 ? wrong() : undefined), 5)
  await spreader.send([1]).then(
    () => assert.unreachable(),
    (error: ClientError) => assert.is(error.type, 'body-invalid'),
  )
  assert.equal(asked, [0])
})

test('when all nodes fail, the first failure is told after all rounds and when nothing is under way', async () => {
  const { spreader, asked } = nodesOf(2, (node) => (node === 1 ? gone() : busy()), 2)
  await spreader.send([1, 2]).then(
    () => assert.unreachable(),
    (error: ClientError) => assert.is(error.type, 'busy'),
  )
  assert.is(asked.length, 12)
})

test('the caller can stop it', async () => {
  const stop = new AbortController()
  const spreader = new Spreader<number>({
    nodes: 1,
    retriesMax: 1000,
    backoffMs: 60_000,
    backoffMaxMs: 60_000,
    signal: stop.signal,
    send: () => Promise.reject(busy()),
  })
  const sending = spreader.send([1])
  setImmediate(() => stop.abort(new Error('enough')))
  await sending.then(
    () => assert.unreachable(),
    (error: Error) => assert.is(error.message, 'enough'),
  )
})

test('over no node nothing can be spread', () => {
  assert.throws(() => nodesOf(0, () => undefined), TypeError)
})

test.run()
