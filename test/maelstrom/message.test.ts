// Lines that are messages, and lines that are not.

import { Readable } from 'node:stream'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { FAULT, faultBody } from '../../lib/maelstrom/fault.ts'
import { LINE_CHARACTERS_MAX, readLines, readMessage, writeMessage } from '../../lib/maelstrom/message.ts'

const test = suite('maelstrom/message')

test('a message is what was written', () => {
  const message = { src: 'c1', dest: 'n1', body: { type: 'add', msg_id: 7, delta: -3, more: { deep: ['"\n'] } } }
  const line = writeMessage(message)
  assert.is(line.indexOf('\n'), line.length - 1)
  assert.equal(readMessage(line), message)
})

test('a count beyond 2^53 is written digit by digit', () => {
  const line = writeMessage({ src: 'n1', dest: 'c1', body: { type: 'read_ok', value: 2n ** 64n } })
  assert.is(line, '{"src":"n1","dest":"c1","body":{"type":"read_ok","value":18446744073709551616}}\n')
})

test('what is no message is undefined', () => {
  const lines = [
    '',
    'x',
    '1',
    'null',
    '[]',
    '{}',
    '{"src":"a","dest":"b"}',
    '{"src":"a","dest":"b","body":null}',
    '{"src":"a","dest":"b","body":[]}',
    '{"src":"a","dest":"b","body":{}}',
    '{"src":"a","dest":1,"body":{"type":"x"}}',
    '{"src":"a","dest":"b","body":{"type":"x","msg_id":"1"}}',
    '{"src":"a","dest":"b","body":{"type":"x","in_reply_to":1.5}}',
  ]
  for (const line of lines) assert.is(readMessage(line), undefined, line)
})

test('lines come in pieces, and one without an end is dropped', async () => {
  const lines: string[] = []
  for await (const line of readLines(Readable.from(['a\nb', 'c', '\n', '\nd']))) lines.push(line)
  assert.equal(lines, ['a', 'bc', ''])
})

test('a line without end is refused before it fills the memory', async () => {
  const endless = Readable.from(Array.from({ length: 100 }, () => 'x'.repeat(LINE_CHARACTERS_MAX / 4)))
  let refused = false
  try {
    for await (const _ of readLines(endless));
  } catch (error) {
    refused = error instanceof RangeError
  }
  assert.ok(refused)
})

test('an error is definite only when nothing was changed', () => {
  const codes = [
    ['DISK_FULL', FAULT.unavailable],
    ['LOG_BUSY', FAULT.unavailable],
    ['DRAINING', FAULT.unavailable],
    ['COUNT_OVERFLOW', FAULT.notSupported],
    ['SYNC_INVALID', FAULT.malformed],
    ['LOG_FAILED', FAULT.crash],
    ['CLOSED', FAULT.crash],
  ] as const
  for (const [code, expected] of codes) assert.is(faultBody(new CounterError(code, 'x')).code, expected, code)
  assert.is(faultBody(new Error('x')).code, FAULT.crash)
})

test.run()
