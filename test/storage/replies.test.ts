// Replies that are given again: found by key, checked by fingerprint, told to others by the place of their write, forgotten by age and number.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { type KeptReply, type PlacedReply, Replies, readPlaced, VersionVector, writePlaced } from '../../lib/storage/index.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { codeOf, keptOf, onceOf, placeOf, replyOf } from './keyed.ts'

const test = suite('storage/replies')

function repliesOf(max = 10) {
  const clock = new VirtualClock()
  return { clock, replies: new Replies({ clock, ttlMs: 1000, max }) }
}

let seq = 0
/** Keeps the reply to a write of node 1, as one that is on disk. */
function add(replies: Replies, key: string): PlacedReply {
  const kept = replies.add(onceOf(key), replyOf(key), placeOf(1, ++seq), false)
  replies.landed(kept)
  return kept
}

/** All that was counted is here. */
const isKnown = () => true

const keysSince = (replies: Replies, ...known: Array<readonly [node: number, seq: number]>): string[] => {
  const vector = new VersionVector()
  for (const [node, seq] of known) vector.raise({ node, incarnation: 2 }, seq)
  return Array.from(replies.since(vector), ({ key }) => key)
}

test('a reply is given again when it has landed, and only to the same request', () => {
  const { replies } = repliesOf()
  assert.is(replies.find(onceOf('k'), isKnown), undefined)
  const kept = replies.add(onceOf('k'), replyOf('r'), placeOf(1, 1), false)
  assert.is(
    codeOf(() => replies.find(onceOf('k'), isKnown)),
    'KEY_IN_FLIGHT',
  )
  assert.is(
    codeOf(() => replies.find(onceOf('k', 'other'), isKnown)),
    'KEY_REUSED',
  )
  replies.landed(kept)
  assert.is(replies.find(onceOf('k'), isKnown), kept)
  assert.is(
    codeOf(() => replies.find(onceOf('k', 'other'), isKnown)),
    'KEY_REUSED',
  )
})

test('a record brings back the same reply, with its age and its place', () => {
  const { clock, replies } = repliesOf()
  const reply = { status: 507, contentType: 'text/plain; charset=utf-8', body: 'тело' }
  const writer = new ByteWriter()
  writePlaced(writer, replies.add(onceOf('ключ'), reply, placeOf(7, 9), true))
  clock.wallMs += 600
  const other = new Replies({ clock, ttlMs: 1000, max: 10 })
  const reader = new ByteReader(writer.written(), 0, writer.length, 'LOG_CORRUPT', 'record')
  other.join(readPlaced(reader))
  assert.is(reader.left, 0)
  const { reply: again, origin, tentative } = other.find(onceOf('ключ'), isKnown)!
  assert.equal([again, origin, tentative], [reply, placeOf(7, 9), true])
  clock.wallMs += 401
  assert.is(other.find(onceOf('ключ'), isKnown), undefined)
})

test('a record that is cut off anywhere is refused', () => {
  const { replies } = repliesOf()
  const writer = new ByteWriter()
  writePlaced(writer, add(replies, 'k'))
  for (let length = 0; length < writer.length; length++) {
    const reader = new ByteReader(writer.written(), 0, length, 'LOG_CORRUPT', 'record')
    assert.is(
      codeOf(() => readPlaced(reader)),
      'LOG_CORRUPT',
      `length ${length}`,
    )
  }
})

test('the oldest go first, and a key that is used again is young', () => {
  const { clock, replies } = repliesOf(2)
  for (const key of ['a', 'b']) add(replies, key)
  clock.wallMs += 1001
  add(replies, 'a')
  assert.is(replies.size, 1)
  for (const key of ['c', 'd']) add(replies, key)
  assert.is(replies.find(onceOf('a'), isKnown), undefined)
  assert.ok(replies.find(onceOf('c'), isKnown) && replies.find(onceOf('d'), isKnown))
  assert.is(replies.size, 2)
})

test('a clock that goes back forgets nothing', () => {
  const { clock, replies } = repliesOf()
  add(replies, 'a')
  clock.wallMs -= 1_000_000
  add(replies, 'b')
  assert.ok(replies.find(onceOf('a'), isKnown))
})

test('those are told that a vector does not cover, in whatever order they came', () => {
  const { clock, replies } = repliesOf(100)
  const at = clock.now()
  for (const seq of [1, 5, 3, 9]) replies.join(keptOf(`one-${seq}`, placeOf(1, seq), { at }))
  replies.join(keptOf('two-4', placeOf(2, 4), { at }))
  assert.equal(keysSince(replies), ['one-1', 'one-3', 'one-5', 'one-9', 'two-4'])
  assert.equal(keysSince(replies, [1, 3], [2, 4]), ['one-5', 'one-9'])
  assert.equal(keysSince(replies, [1, 9]), ['two-4'])
  assert.equal([...replies.last()], [placeOf(1, 9), placeOf(2, 4)])
  clock.wallMs += 1001
  assert.equal(keysSince(replies), [])
})

test('what is told twice is kept once, and two writes under one key are both told', () => {
  const { clock, replies } = repliesOf()
  const at = clock.now()
  for (let time = 0; time < 2; time++) for (const node of [1, 2]) replies.join(keptOf('k', placeOf(node, 7), { at }))
  assert.is(replies.size, 2)
  assert.equal(keysSince(replies), ['k', 'k'])
  assert.equal(replies.find(onceOf('k'), isKnown)?.origin, placeOf(1, 7))
})

test('of thousands that come and go the last stay, in order', () => {
  const { clock, replies } = repliesOf(100)
  const at = clock.now()
  for (let seq = 1; seq <= 5000; seq++) replies.join(keptOf(`k${seq}`, placeOf(1 + (seq % 2), seq), { at }))
  assert.is(replies.size, 100)
  assert.equal(keysSince(replies, [2, 5000], [1, 4990]), ['k4992', 'k4994', 'k4996', 'k4998', 'k5000'])
  assert.is(keysSince(replies).length, 100)
})

test('replies go along when what an incarnation has written is put under another one', () => {
  const { clock, replies } = repliesOf()
  const at = clock.now()
  const kept: KeptReply[] = [keptOf('a', placeOf(1, 3), { at }), keptOf('b', placeOf(1, 4), { at })]
  for (const each of kept) replies.join(each)
  replies.move({ node: 1, incarnation: 2 }, { node: 1, incarnation: 8 })
  assert.equal([...replies.last()], [{ replica: { node: 1, incarnation: 8 }, seq: 4 }])
  assert.equal(replies.find(onceOf('a'), isKnown)?.origin, { replica: { node: 1, incarnation: 8 }, seq: 3 })
  assert.is(replies.size, 2)
})

test.run()
