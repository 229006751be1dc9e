// The framing of answers: whatever the pieces, the same messages; whatever the bytes, messages or SYNC_INVALID.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { writeUint32 } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { HEAD_BYTES, MessageReader, writeHead } from '../../lib/syncsrv/framing.ts'
import { damaged } from '../fuzz/damage.ts'

const test = suite('syncsrv/framing')
const seed = Number(process.env.SEED ?? 1)
const RUNS = 30_000
const BYTES_MAX = 100

function framed(payloads: readonly Uint8Array[], mac?: Uint8Array): Uint8Array {
  const parts = payloads.flatMap((payload) => {
    const head = new Uint8Array(HEAD_BYTES)
    writeHead(head, payload.length, mac)
    return [head, payload]
  })
  return new Uint8Array(Buffer.concat(parts))
}

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex')

/** All messages of a stream that comes in these pieces, in hexadecimal. */
function read(pieces: Iterable<Uint8Array>, check: (payload: Uint8Array, mac: Uint8Array) => void = () => {}): string[] {
  const reader = new MessageReader(BYTES_MAX, check)
  const messages: string[] = []
  for (const piece of pieces) {
    reader.push(piece)
    for (let message = reader.next(); message !== undefined; message = reader.next()) messages.push(hex(message))
  }
  reader.end()
  return messages
}

function* cut(bytes: Uint8Array, random: Random, most: number): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; ) {
    const length = random.uint32() % most
    yield bytes.subarray(at, at + length)
    at += length
  }
}

/** What a ten-line reader says of the whole stream: its messages, undefined when it is not one. */
function readNaively(bytes: Uint8Array): string[] | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  const messages: string[] = []
  for (let at = 0; at < bytes.length; ) {
    if (at + HEAD_BYTES > bytes.length) return undefined
    const length = view.getUint32(at, true)
    if (length === 0 || length > BYTES_MAX || at + HEAD_BYTES + length > bytes.length) return undefined
    messages.push(hex(bytes.subarray(at + HEAD_BYTES, at + HEAD_BYTES + length)))
    at += HEAD_BYTES + length
  }
  return messages
}

const somePayloads = (random: Random): Uint8Array[] =>
  Array.from({ length: 1 + (random.uint32() % 4) }, () =>
    Uint8Array.from({ length: 1 + (random.uint32() % BYTES_MAX) }, () => random.uint32()),
  )

test('a stream gives the same messages whatever the pieces it comes in', () => {
  const random = seededRandom(seed)
  for (let run = 0; run < 2000; run++) {
    const payloads = somePayloads(random)
    assert.equal(read(cut(framed(payloads), random, 2 + (random.uint32() % 60))), payloads.map(hex), `seed ${seed}, run ${run}`)
  }
})

test(`${RUNS} damaged streams are read as far as they hold, or refused`, () => {
  const random = seededRandom(seed)
  let refused = 0
  for (let run = 0; run < RUNS; run++) {
    const bytes = damaged(framed(somePayloads(random)), random)
    const expected = readNaively(bytes)
    let got: string[] | undefined
    try {
      got = read(cut(bytes, random, 50))
    } catch (error) {
      if (!(error instanceof CounterError && error.code === 'SYNC_INVALID')) throw error
      refused++
    }
    assert.equal(got, expected, `seed ${seed}, run ${run}`)
  }
  assert.ok(refused > RUNS / 10 && refused < RUNS, `${refused} of ${RUNS} were refused`)
})

test('a message in one piece is handed on without a copy, one in two is copied', () => {
  const reader = new MessageReader(BYTES_MAX, () => {})
  const piece = framed([Uint8Array.of(1, 2, 3)])
  reader.push(piece)
  assert.is(reader.next()!.buffer, piece.buffer)
  reader.push(piece.subarray(0, HEAD_BYTES + 1))
  assert.is(reader.next(), undefined)
  reader.push(piece.subarray(HEAD_BYTES + 1))
  const gathered = reader.next()!
  assert.equal([...gathered], [1, 2, 3])
  assert.is.not(gathered.buffer, piece.buffer)
})

test('a copy that slice() makes is one, also of what came as a Buffer', () => {
  const reader = new MessageReader(BYTES_MAX, () => {})
  const piece = Buffer.from(framed([Uint8Array.of(1, 2, 3)]))
  reader.push(piece)
  const kept = reader.next()!.slice()
  piece.fill(0)
  assert.equal([...kept], [1, 2, 3])
})

test('a length beyond the limit is refused as soon as it is read, before memory is taken for it', () => {
  for (const length of [0, BYTES_MAX + 1, 0xffff_ffff]) {
    const head = new Uint8Array(HEAD_BYTES)
    writeUint32(head, 0, length)
    const reader = new MessageReader(BYTES_MAX, () => {})
    reader.push(head)
    assert.throws(() => reader.next(), new RegExp(`1 to ${BYTES_MAX} bytes, and says it has ${length}`))
  }
})

test('a stream that ends within a message is refused, one that ends between two is not', () => {
  const bytes = framed([Uint8Array.of(1, 2, 3)])
  for (let length = 0; length <= bytes.length; length++) {
    const take = () => read([bytes.subarray(0, length)])
    if (length === 0 || length === bytes.length) take()
    else assert.throws(take, /ends within a message/, `${length} bytes`)
  }
})

test('each message is checked with its MAC, in order', () => {
  const mac = Uint8Array.from({ length: 16 }, (_, index) => index)
  const checked: [number[], number[]][] = []
  read([framed([Uint8Array.of(1), Uint8Array.of(2)], mac)], (payload, sent) => checked.push([[...payload], [...sent]]))
  assert.equal(checked, [
    [[1], [...mac]],
    [[2], [...mac]],
  ])
})

test.run()
