// Questions and answers of any size over messages that are lost, late, or meant for somebody who is gone.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Answers, PART_BYTES } from '../../lib/maelstrom/answers.ts'
import { faultBody } from '../../lib/maelstrom/fault.ts'
import { Mailbox } from '../../lib/maelstrom/mailbox.ts'
import { type Message, readMessage } from '../../lib/maelstrom/message.ts'
import { addressOf, MessageTransport } from '../../lib/maelstrom/transport.ts'
import type { Answer } from '../../lib/syncsrv/index.ts'
import { drained, VirtualClock } from '../support/virtual-clock.ts'

const test = suite('maelstrom/transport')
const TIMEOUT_MS = 1000

/** n1 asks and n2 answers; `pass` says of each message whether it arrives. */
function pair(answer: Answer, pass: (message: Message, number: number) => boolean = () => true) {
  const clock = new VirtualClock()
  const sent: Message[] = []
  const random = seededRandom(1)
  const make = (id: string, receive: () => (message: Message) => void) =>
    new Mailbox({
      id,
      clock,
      random,
      write: (line) => {
        const message = readMessage(line)!
        sent.push(message)
        if (pass(message, sent.length - 1)) receive()(message)
      },
    })
  const answers = new Answers(answer, clock)
  const asker = make('n1', () => (message) => {
    const reply = (body: Message['body']) => answerer.reply(message, body)
    const part = async () => (message.body.type === 'sync' ? answers.begin(message) : answers.next(message))
    part().then(reply, (error) => reply(faultBody(error)))
  })
  const answerer: Mailbox = make(
    'n2',
    () =>
      ({ body }) =>
        asker.take(body),
  )
  const ask = (signal?: AbortSignal) =>
    new MessageTransport(asker).request(addressOf('n2'), '/v1/exchange', new Uint8Array([1, 2, 3]), TIMEOUT_MS, signal)
  return { clock, sent, answers, ask }
}

async function gather(messages: AsyncIterable<Uint8Array>): Promise<Uint8Array[]> {
  const all: Uint8Array[] = []
  for await (const message of messages) all.push(Uint8Array.from(message))
  return all
}

async function codeOf(task: Promise<unknown>): Promise<string> {
  try {
    await task
    return 'no error'
  } catch (error) {
    return error instanceof CounterError ? error.code : String(error)
  }
}

const bytes = (length: number, fill: number): Uint8Array => new Uint8Array(length).fill(fill)

test('a short answer takes two messages, and the question arrives as it is', async () => {
  let asked: unknown
  const { ask, sent } = pair(async function* (path, body, from) {
    asked = [path, [...body], from]
    yield bytes(5, 1)
    yield bytes(7, 2)
  })
  assert.equal(await gather(ask()), [bytes(5, 1), bytes(7, 2)])
  assert.equal(asked, ['/v1/exchange', [1, 2, 3], ''])
  assert.equal(
    sent.map(({ body }) => body.type),
    ['sync', 'sync_ok'],
  )
})

test('messages of any length come whole and in order, in parts of bounded size', async () => {
  const lengths = [1, PART_BYTES - 21, PART_BYTES, 3 * PART_BYTES + 5, 2, 20, PART_BYTES - 20]
  // Scratch, as real answers are: used again for the next message.
  const { ask, sent } = pair(async function* () {
    const scratch = new Uint8Array(4 * PART_BYTES)
    for (const [index, length] of lengths.entries()) yield scratch.subarray(0, length).fill(index)
  })
  assert.equal(
    await gather(ask()),
    lengths.map((length, index) => bytes(length, index)),
  )
  assert.ok(sent.length > 10)
  for (const { body } of sent) assert.ok(JSON.stringify(body).length < PART_BYTES * 1.4)
})

test('an answer without a message is an answer', async () => {
  const { ask } = pair(async function* () {})
  assert.equal(await gather(ask()), [])
})

test('whichever message is lost, the asker hears so after its timeout', async () => {
  for (let lost = 0; lost < 6; lost++) {
    const { ask, clock } = pair(
      async function* () {
        yield bytes(2 * PART_BYTES + 100, 1)
      },
      (_, number) => number !== lost,
    )
    const task = codeOf(gather(ask()))
    await drained()
    clock.advance(TIMEOUT_MS)
    assert.is(await task, 'PEER_UNREACHABLE', `message ${lost}`)
  }
})

test('the answer of one who gave up is let go', async () => {
  let ended = false
  const { ask, clock, answers, sent } = pair(async function* () {
    try {
      for (;;) yield bytes(PART_BYTES, 1)
    } finally {
      ended = true
    }
  })
  for await (const _ of ask()) break
  while (clock.advance());
  await drained()
  assert.ok(ended)
  const [first] = sent
  const late = { ...first!, body: { type: 'sync_next', msg_id: 99, stream: first!.body.msg_id, part: 2 } }
  assert.throws(() => answers.next(late), /not being answered any more/)
})

test('a part that is not next is refused', async () => {
  const { ask, answers, sent } = pair(async function* () {
    for (;;) yield bytes(PART_BYTES, 1)
  })
  for await (const _ of ask()) break
  const [{ body }] = sent as [Message]
  assert.throws(
    () => answers.next({ src: 'n1', dest: 'n2', body: { type: 'sync_next', stream: body.msg_id, part: 7 } }),
    /is next/,
  )
  answers.close()
})

test('a peer that refuses is told from one that is not there', async () => {
  const failing = (error: Error): Answer =>
    // biome-ignore lint/correctness/useYield: it fails before its first message.
    async function* () {
      throw error
    }
  assert.is(await codeOf(gather(pair(failing(new CounterError('SYNC_INVALID', 'x'))).ask())), 'PEER_REFUSED')
  assert.is(await codeOf(gather(pair(failing(new Error('x'))).ask())), 'PEER_UNREACHABLE')
})

test('a question that is taken back ends at once, and leaves no timer', async () => {
  const { ask, clock, sent } = pair(async function* () {
    await new Promise(() => {})
    yield bytes(3, 1)
  })
  const aborter = new AbortController()
  const task = codeOf(gather(ask(aborter.signal)))
  await drained()
  aborter.abort()
  assert.is(await task, 'PEER_UNREACHABLE')
  assert.is(await codeOf(gather(ask(aborter.signal))), 'PEER_UNREACHABLE')
  assert.is(sent.length, 1)
  assert.not(clock.advance())
})

test('an answer that comes after the question was given up is dropped', async () => {
  const late: (() => void)[] = []
  const { ask, clock } = pair(async function* () {
    await new Promise<void>((resolve) => late.push(resolve))
    yield bytes(3, 1)
  })
  const task = codeOf(gather(ask()))
  await drained()
  clock.advance(TIMEOUT_MS)
  assert.is(await task, 'PEER_UNREACHABLE')
  for (const resolve of late) resolve()
  await drained()
})

test.run()
