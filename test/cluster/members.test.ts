// Members as bytes: what is written is read again, and what is not a member is refused before memory is taken for it.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { Member } from '../../lib/cluster/index.ts'
import { ADDRESS_BYTES_MAX, decodeMembers, EDITION_MAX, encodeMembers } from '../../lib/cluster/members.ts'

fc.configureGlobal({ seed: Number(process.env.SEED ?? 1) })
const test = suite('cluster/members')

const address = fc
  .string({ unit: 'binary', maxLength: 60 })
  .filter((text) => !/\p{Cc}/u.test(text) && Buffer.from(text).toString() === text)
const someMember: fc.Arbitrary<Member> = fc.record(
  {
    node: fc.integer({ min: 0, max: 2 ** 31 - 1 }),
    incarnation: fc.maxSafeNat().map((number) => number % 2 ** 52),
    edition: fc.integer({ min: 0, max: EDITION_MAX }),
    state: fc.constantFrom('alive', 'suspect', 'dead', 'left'),
    address,
    publicUrl: address,
  },
  { noNullPrototype: true },
)

const one: Member = { node: 3, incarnation: 300, edition: 2, state: 'dead', address: 'http://é:1', publicUrl: '' }
//             version, count, node, incarnation, edition, state, address, public address
const BYTES = '01 01 03 ac02 02 02 0b 687474703a2f2fc3a93a31 00'.replaceAll(' ', '')

test('what is written is read again', () => {
  fc.assert(fc.property(fc.array(someMember), (members) => assert.equal(decodeMembers(encodeMembers(members)), members)))
})

test('version 1 has these bytes for ever', () => {
  assert.is(Buffer.from(encodeMembers([one])).toString('hex'), BYTES)
  assert.equal(decodeMembers(Buffer.from(BYTES, 'hex')), [one])
})

test('whatever the bytes, they are members or refused', () => {
  const check = (bytes: Uint8Array) => {
    try {
      decodeMembers(bytes)
    } catch (error) {
      assert.ok(error instanceof CounterError && error.code === 'SYNC_INVALID', `${error}`)
    }
  }
  fc.assert(fc.property(fc.uint8Array({ maxLength: 40 }), check))
  const good = Buffer.from(BYTES, 'hex')
  for (let length = 0; length < good.length; length++) {
    assert.throws(() => decodeMembers(good.subarray(0, length)), /members: /)
  }
  for (let bit = 0; bit < good.length * 8; bit++) {
    const flipped = Uint8Array.from(good)
    flipped[bit >>> 3]! ^= 1 << (bit & 7)
    check(flipped)
  }
})

test('what goes beyond a limit is refused, and says which', () => {
  const cases: Array<[Partial<Member>, RegExp]> = [
    [{ node: 2 ** 31 }, /node id/],
    [{ incarnation: 2 ** 52 }, /incarnation/],
    [{ edition: EDITION_MAX + 2 }, /edition/],
    [{ state: 'gone' as Member['state'] }, /state/],
    [{ address: 'x'.repeat(ADDRESS_BYTES_MAX + 1) }, /address of 513 bytes, at most 512/],
    [{ publicUrl: 'http://a\nb' }, /control/],
  ]
  for (const [fields, expected] of cases) assert.throws(() => decodeMembers(encodeMembers([{ ...one, ...fields }])), expected)
  assert.throws(() => decodeMembers(Uint8Array.of(1, 0x81, 8)), /1025 members, at most 1024/)
  assert.throws(() => decodeMembers(Uint8Array.of(1, 0x80, 8)), /1024 members do not fit/)
  assert.throws(() => decodeMembers(Uint8Array.of(2, 0)), /version 2, expected 1/)
  assert.throws(() => decodeMembers(Uint8Array.of(1, 0, 0)), /left over/)
  const notUtf8 = Buffer.from(BYTES.replace('c3a9', 'c3c3'), 'hex')
  assert.throws(() => decodeMembers(notUtf8), /not UTF-8/)
})

test.run()
