import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { countedBy, type Replies, readReplies, tenuresOf } from '../../lib/aggregator/counted.ts'
import { cut, entriesOf, nameInPath } from '../../lib/aggregator/resplit.ts'
import { freeze, handOver, release, SlotMap } from '../../lib/cluster/index.ts'

const test = suite('aggregator/counted')
const bytes = (text: string) => new TextEncoder().encode(text)
const replies = (versions: number[]): Replies => ({ versions, pieces: false, body: '' })

/** Slot 5 goes from shard 0 to 1 and on to 2, slot 6 never. */
function moved(): SlotMap {
  let map = SlotMap.even(3)
  for (const [from, to] of [
    [0, 1],
    [1, 2],
  ] as const) {
    map = release(handOver(freeze(map, { ranges: [[5, 5]], from, to }, { sender: 1, receiver: 1 }), 0, 1000))
  }
  return map
}

test('who has had a slot is known by versions, without a gap', () => {
  const map = moved()
  assert.is(map.version, 7)
  const forever = Number.POSITIVE_INFINITY
  assert.equal(tenuresOf(map, 5), [
    { shard: 0, since: 1, before: 3 },
    { shard: 1, since: 3, before: 6 },
    { shard: 2, since: 6, before: forever },
  ])
  assert.equal(tenuresOf(map, 6), [{ shard: 0, since: 1, before: forever }])
})

test('a name is counted by a reply of a version under which that shard had its slot, and by no other', () => {
  const [five, six] = [tenuresOf(moved(), 5), tenuresOf(moved(), 6)]
  //  replies kept by shard 0, 1, 2              slot 5       slot 6
  const cases: [number[], number[], number[], number | undefined, number | undefined][] = [
    [[], [], [], undefined, undefined],
    [[1], [], [], 0, 0],
    [[2], [], [], 0, 0],
    [[3], [], [], undefined, 0],
    [[], [1], [], undefined, undefined],
    [[], [3], [], 1, undefined],
    [[], [5], [], 1, undefined],
    [[], [6], [], undefined, undefined],
    [[], [], [5], undefined, undefined],
    [[], [], [6], 2, undefined],
    [[], [2, 4], [], 1, undefined],
    [[7], [7], [7], 2, 0],
  ]
  for (const [first, second, third, ofFive, ofSix] of cases) {
    const all = new Map([replies(first), replies(second), replies(third)].map((own, shard) => [shard, own] as const))
    const row = JSON.stringify([first, second, third])
    assert.is(countedBy(five, all), ofFive, `slot 5 of ${row}`)
    assert.is(countedBy(six, all), ofSix, `slot 6 of ${row}`)
  }
})

test('what a shard says of its replies is believed only when it is that', () => {
  const done = (body: string) =>
    readReplies({ shard: 0, state: 'done', status: 200, body, session: undefined, level: undefined, replayed: false })
  assert.equal(done('{"versions":[1,4],"pieces":false,"body":"{}"}'), { versions: [1, 4], pieces: false, body: '{}' })
  for (const body of ['', 'null', '{}', '{"versions":["1"],"pieces":false,"body":""}', '{"versions":[1],"pieces":0,"body":""}']) {
    assert.is(done(body), undefined, body)
  }
  assert.is(readReplies({ shard: 0, state: 'unsent', detail: '' }), undefined)
})

test('pieces are cut anew by the present map, each entry as it was and in its order', () => {
  const piece = {
    shard: 0,
    body: bytes(
      '{"items":[{"name":"a","delta":"-3"},{"name":"b"},{"name":"a\\u0001"},{"name":"c","delta":"18446744073709551615"}]}',
    ),
  }
  const entries = entriesOf(piece)!
  assert.equal(
    entries.map(({ name }) => name),
    ['a', 'b', 'a\u0001', 'c'],
  )
  const pieces = cut(entries, (name) => (name.startsWith('a') ? 1 : 2)).map(({ shard, body }) => [
    shard,
    new TextDecoder().decode(body),
  ])
  assert.equal(pieces, [
    [1, '{"items":[{"name":"a","delta":"-3"},{"name":"a\\u0001"}]}'],
    [2, '{"items":[{"name":"b"},{"name":"c","delta":"18446744073709551615"}]}'],
  ])
  const items = entriesOf({ shard: 0, body: bytes('{"items":[{"id":"x","tenant":"t"}]}') })
  assert.equal(items, [{ name: 'x', json: '{"id":"x","tenant":"t"}' }])
})

test('a piece takes no more entries, and no more bytes, than a node does', () => {
  const many = Array.from({ length: 25_000 }, (_, index) => ({ name: `n${index}`, json: `{"name":"n${index}"}` }))
  const pieces = cut(many, () => 0)
  assert.equal(
    pieces.map((piece) => entriesOf(piece)!.length),
    [10_000, 10_000, 5_000],
  )
  const long = Array.from({ length: 40 }, (_, index) => ({ name: `${index}`, json: `{"name":"${'x'.repeat(60_000)}${index}"}` }))
  const bodies = cut(long, () => 0)
  assert.ok(bodies.length > 1 && bodies.every(({ body }) => body!.length <= 1024 * 1024))
  assert.is(
    bodies.reduce((sum, piece) => sum + entriesOf(piece)!.length, 0),
    40,
  )
})

test('a body without a list is about the name in the path', () => {
  assert.is(entriesOf({ shard: 0, body: bytes('{"delta":"1"}') }), undefined)
  assert.is(entriesOf({ shard: 0, body: undefined }), undefined)
  assert.is(nameInPath('/v1/counters/a%2Fb%20c/increments'), 'a/b c')
  assert.is(nameInPath('/v1/items/x?accept=all'), 'x')
})

test.run()
