import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64, crc64Into } from '../../lib/base/crc64.ts'

const test = suite('base/crc64')
const SEED = Number(process.env.SEED ?? 1)
const bytesOf = (text: string) => new TextEncoder().encode(text)

/** Bit by bit, in BigInt. */
function naive(bytes: Uint8Array): bigint {
  let crc = 2n ** 64n - 1n
  for (const byte of bytes) {
    crc ^= BigInt(byte)
    for (let bit = 0; bit < 8; bit++) crc = (crc >> 1n) ^ (crc & 1n ? 0xd800000000000000n : 0n)
  }
  return crc ^ (2n ** 64n - 1n)
}

test('the check value is that of CRC-64/ISO as Go has it', () => {
  assert.is(crc64(bytesOf('123456789')), 0xb90956c775a41001n)
})

test('known words have the keys that the original wrote', () => {
  assert.is(crc64(bytesOf('')), 0n)
  assert.is(crc64(bytesOf('a')), 0x3420000000000000n)
})

test('gallabieh and wallabies share a key', () => {
  assert.is(crc64(bytesOf('gallabieh')), crc64(bytesOf('wallabies')))
})

test('every input has the key that the bitwise definition gives', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 64 }), (bytes) => assert.is(crc64(bytes), naive(bytes))),
    { seed: SEED, numRuns: 2000 },
  )
})

test('a range is hashed alone, into the words that are asked for', () => {
  const out = new Uint32Array(4)
  crc64Into(out, 1, bytesOf('xx123456789yy'), 2, 11)
  assert.equal([...out], [0, 0x75a41001, 0xb90956c7, 0])
})

test.run()
