// Replies that are given again: found by key, checked by fingerprint, forgotten by age and number.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { Replies } from '../../lib/persistence/replies.ts'
import { VirtualClock } from '../support/virtual-clock.ts'
import { once, plainReply } from './harness.ts'

const test = suite('persistence/replies')

function repliesOf(max = 10) {
  const clock = new VirtualClock()
  return { clock, replies: new Replies({ clock, ttlMs: 1000, max }) }
}

const codeOf = (action: () => unknown): string => {
  try {
    action()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

test('a reply is given again when it has landed, and only to the same request', () => {
  const { replies } = repliesOf()
  assert.is(replies.find(once('k')), undefined)
  const { landed } = replies.add(once('k'), plainReply('r'))
  assert.is(
    codeOf(() => replies.find(once('k'))),
    'KEY_IN_FLIGHT',
  )
  assert.is(
    codeOf(() => replies.find(once('k', 'other'))),
    'KEY_REUSED',
  )
  landed()
  assert.equal(replies.find(once('k')), plainReply('r'))
  assert.is(
    codeOf(() => replies.find(once('k', 'other'))),
    'KEY_REUSED',
  )
})

test('a record brings back the same reply, with its age', () => {
  const { clock, replies } = repliesOf()
  const writer = new ByteWriter()
  replies.add(once('ключ'), { status: 507, contentType: 'text/plain; charset=utf-8', body: 'тело' }).write(writer)
  const record = writer.written()
  clock.wallMs += 600
  const { replies: other } = { replies: new Replies({ clock, ttlMs: 1000, max: 10 }) }
  const reader = new ByteReader(record, 0, record.length, 'LOG_CORRUPT', 'record')
  other.restore(reader)
  assert.is(reader.left, 0)
  assert.equal(other.find(once('ключ')), { status: 507, contentType: 'text/plain; charset=utf-8', body: 'тело' })
  clock.wallMs += 401
  assert.is(other.find(once('ключ')), undefined)
})

test('a record that is cut off anywhere is refused', () => {
  const { replies } = repliesOf()
  const writer = new ByteWriter()
  replies.add(once('k'), plainReply('body')).write(writer)
  for (let length = 0; length < writer.length; length++) {
    const reader = new ByteReader(writer.written(), 0, length, 'LOG_CORRUPT', 'record')
    assert.is(
      codeOf(() => replies.restore(reader)),
      'LOG_CORRUPT',
      `length ${length}`,
    )
  }
})

test('the oldest go first, and a key that is used again is young', () => {
  const { clock, replies } = repliesOf(2)
  for (const key of ['a', 'b']) replies.add(once(key), plainReply(key)).landed()
  clock.wallMs += 1001
  replies.add(once('a'), plainReply('a')).landed()
  assert.is(replies.size, 1)
  for (const key of ['c', 'd']) replies.add(once(key), plainReply(key)).landed()
  assert.is(replies.find(once('a')), undefined)
  assert.ok(replies.find(once('c')) && replies.find(once('d')))
  assert.is(replies.size, 2)
})

test('a clock that goes back forgets nothing', () => {
  const { clock, replies } = repliesOf()
  replies.add(once('a'), plainReply('a')).landed()
  clock.wallMs -= 1_000_000
  replies.add(once('b'), plainReply('b')).landed()
  assert.ok(replies.find(once('a')))
})

test.run()
