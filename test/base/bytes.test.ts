import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter, readUint32, readUint64, VARINT_BYTES_MAX, writeVarint64 } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'

const test = suite('base/bytes')
const SEED = Number(process.env.SEED ?? 1)

const readerOf = (bytes: Uint8Array) => new ByteReader(bytes, 0, bytes.length, 'DELTA_INVALID', 'test')
const refused = (read: () => void, message: RegExp) =>
  assert.throws(
    read,
    (error: unknown) => error instanceof CounterError && error.code === 'DELTA_INVALID' && message.test(error.message),
  )

/** The ten-line oracle. */
function naive(value: bigint): number[] {
  const out: number[] = []
  for (; value >= 128n; value >>= 7n) out.push(Number(value & 127n) | 128)
  return [...out, Number(value)]
}

/** Each power of two with its neighbours, up to 2^64 - 1. */
const BOUNDARIES = [
  0n,
  ...Array.from({ length: 65 }, (_, bit) => [2n ** BigInt(bit) - 1n, 2n ** BigInt(bit), 2n ** BigInt(bit) + 1n]).flat(),
].filter((value) => value < 2n ** 64n)

test('a varint of 64 bits comes back from every boundary, and is as short as can be', () => {
  for (const value of BOUNDARIES) {
    const bytes = new Uint8Array(VARINT_BYTES_MAX)
    const end = writeVarint64(bytes, 0, Number(value & 0xffff_ffffn), Number(value >> 32n))
    assert.equal([...bytes.subarray(0, end)], naive(value), `${value}`)
    const reader = readerOf(bytes.subarray(0, end))
    reader.varint64()
    assert.is((BigInt(reader.high) << 32n) | BigInt(reader.low), value)
    assert.is(reader.left, 0)
  }
})

test('a varint below 2^53 comes back as a number from every boundary', () => {
  for (const value of BOUNDARIES.filter((boundary) => boundary < 2n ** 53n)) {
    const writer = new ByteWriter(1)
    writer.varint(Number(value))
    assert.equal([...writer.written()], naive(value), `${value}`)
    assert.is(readerOf(writer.written()).varint(), Number(value))
  }
})

test('numbers of all kinds come back in the order in which they were written', () => {
  const value = fc.record({ kind: fc.constantFrom('uint8', 'uint32', 'uint64', 'varint', 'sized'), number: fc.maxSafeNat() })
  fc.assert(
    fc.property(fc.array(value), (values) => {
      const writer = new ByteWriter(1)
      const limits = { uint8: 2 ** 8, uint32: 2 ** 32, uint64: 2 ** 53, varint: 2 ** 53, sized: 300 }
      const rows = values.map(({ kind, number }) => ({
        kind: kind as keyof typeof limits,
        number: number % limits[kind as keyof typeof limits],
      }))
      for (const { kind, number } of rows) kind === 'sized' ? writer.sized(new Uint8Array(number).fill(7)) : writer[kind](number)
      const reader = readerOf(writer.written())
      for (const { kind, number } of rows) {
        const read = reader[kind]()
        assert.is(typeof read === 'number' ? read : read.length, number)
      }
      assert.is(reader.left, 0)
    }),
    { seed: SEED, numRuns: 300 },
  )
})

test('a varint that is cut off is refused at every length', () => {
  for (const value of BOUNDARIES) {
    const bytes = Uint8Array.from(naive(value))
    for (let length = 0; length < bytes.length; length++) {
      refused(() => readerOf(bytes.subarray(0, length)).varint64(), /cut off/)
      refused(() => readerOf(bytes.subarray(0, length)).varint(), /cut off/)
    }
  }
})

test('a varint of 2^64 or more is refused, and one of 2^53 or more where a number is wanted', () => {
  for (const value of [2n ** 64n, 2n ** 65n, 2n ** 69n, 2n ** 70n - 1n, 2n ** 70n, 2n ** 200n]) {
    refused(() => readerOf(Uint8Array.from(naive(value))).varint64(), /2\^64/)
  }
  for (const value of [2n ** 53n, 2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    refused(() => readerOf(Uint8Array.from(naive(value))).varint(), /2\^53/)
  }
  refused(() => readerOf(new Uint8Array(1000).fill(0x80)).varint64(), /2\^64/)
})

test('eight bytes of 2^53 or more are refused where a number is wanted, and never read as less', () => {
  const writer = new ByteWriter()
  writer.uint64(2 ** 53 - 1)
  assert.is(readerOf(writer.written()).uint64(), 2 ** 53 - 1)
  for (const bytes of [[0, 0, 0, 0, 0, 0, 0x20, 0], [1, 0, 0, 0, 0, 0, 0x20, 0], new Array(8).fill(0xff)]) {
    refused(() => readerOf(Uint8Array.from(bytes)).uint64(), /2\^53/)
    assert.ok(readUint64(Uint8Array.from(bytes), 0) >= 2 ** 53)
  }
})

test('no read leaves its range, though the buffer goes on', () => {
  const bytes = Uint8Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9])
  for (const [length, read] of [
    [0, 'uint8'],
    [3, 'uint32'],
    [7, 'uint64'],
    [0, 'varint'],
    [1, 'sized'],
  ] as const) {
    refused(() => new ByteReader(bytes, 0, length, 'DELTA_INVALID', 'test')[read](), /needs|cut off/)
  }
  refused(() => readerOf(bytes).raw(10), /needs 10 more bytes, has 9/)
})

test('a length beyond what is there is refused before it is taken', () => {
  refused(() => readerOf(Uint8Array.from([...naive(2n ** 53n - 1n), 1, 2, 3])).sized(), /needs 9007199254740991 more bytes/)
})

test('a message names what was read, and where', () => {
  const reader = new ByteReader(new Uint8Array(5), 2, 5, 'LOG_CORRUPT', 'segment 7')
  assert.throws(
    () => reader.raw(4),
    (error: unknown) =>
      error instanceof CounterError && error.code === 'LOG_CORRUPT' && /^segment 7: .* at byte 2 of 5$/.test(error.message),
  )
})

test('words are little-endian', () => {
  const writer = new ByteWriter()
  writer.uint32(0x89abcdef)
  writer.uint64(0x01_0203_0405_0607)
  assert.is(Buffer.from(writer.written()).toString('hex'), 'efcdab890706050403020100')
  assert.is(readUint32(writer.bytes, 0), 0x89abcdef)
})

test.run()
