// The codec of batches that all keep or none: what is written is read again, and whatever else comes is refused whole.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { ItemChange } from '../../lib/storage/index.ts'
import {
  type Commit,
  decodeAbort,
  decodeCommit,
  decodePrepare,
  EXPIRY_MS_MAX,
  encodeAbort,
  encodeCommit,
  encodePrepare,
  type Prepare,
  type Transaction,
  textOf,
} from '../../lib/syncsrv/acceptance-codec.ts'

const test = suite('syncsrv/acceptance-codec')

const transaction: Transaction = { node: 7, incarnation: 2 ** 50 + 3, life: '0123456789abcdef', number: 300 }
const prepare: Prepare = {
  transaction,
  expiryMs: 6000,
  stamp: 1_700_000_000_000_000,
  changes: [
    { id: 'item-1', tenant: 't1' },
    { id: 'Ü \u0000 \ufeff', tenant: '\ufeff日本' },
    { id: 'gone', tenant: undefined },
  ],
}
const commit: Commit = {
  transaction,
  at: { replica: { node: 7, incarnation: 2 ** 50 + 9 }, seq: 2 ** 40 },
  stamp: 1_700_000_000_000_001,
}
const messages: ReadonlyArray<readonly [name: string, bytes: Uint8Array, decode: (bytes: Uint8Array) => unknown]> = [
  ['prepare', encodePrepare(prepare), decodePrepare],
  ['commit', encodeCommit(commit), decodeCommit],
  ['abort', encodeAbort(transaction), decodeAbort],
]

function codeOf(task: () => unknown): string {
  try {
    task()
  } catch (error) {
    if (error instanceof CounterError) return error.code
    throw error
  }
  return 'none'
}

test('what is written is read again', () => {
  assert.equal(decodePrepare(encodePrepare(prepare)), prepare)
  assert.equal(decodePrepare(encodePrepare({ ...prepare, changes: [] })), { ...prepare, changes: [] })
  assert.equal(decodeCommit(encodeCommit(commit)), commit)
  assert.equal(decodeAbort(encodeAbort(transaction)), transaction)
  assert.is(textOf(transaction), `7.${2 ** 50 + 3}.0123456789abcdef.300`)
})

test('any batch of well-formed ids and tenants is read again', () => {
  const name = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 })
  const change: fc.Arbitrary<ItemChange> = fc.record(
    { id: name, tenant: fc.option(name, { nil: undefined }) },
    { noNullPrototype: true },
  )
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), (changes) => {
      assert.equal(decodePrepare(encodePrepare({ ...prepare, changes })).changes, changes)
    }),
  )
})

test('the bytes stay what they are in version 1', () => {
  const hex = Buffer.from(encodePrepare({ ...prepare, changes: [{ id: 'a', tenant: 'b' }] })).toString('hex')
  assert.is(hex, '0107838080808080800201' + '23456789abcdef' + 'ac02' + 'f02e' + '8080f9c0c1c48203' + '01' + '0161' + '0162')
  assert.is(Buffer.from(encodeAbort(transaction)).toString('hex'), '0107838080808080800201' + '23456789abcdef' + 'ac02')
})

test('cut off anywhere, longer, or of another version, a message is refused', () => {
  for (const [name, bytes, decode] of messages) {
    for (let length = 0; length < bytes.length; length++) {
      assert.is(
        codeOf(() => decode(bytes.subarray(0, length))),
        'SYNC_INVALID',
        `${name} of ${length} bytes`,
      )
    }
    assert.is(
      codeOf(() => decode(Uint8Array.from([...bytes, 0]))),
      'SYNC_INVALID',
      `${name} and a byte`,
    )
    assert.is(
      codeOf(() => decode(Uint8Array.from([2, ...bytes.subarray(1)]))),
      'SYNC_INVALID',
      `${name} of version 2`,
    )
  }
})

test('a flipped bit is refused or read as something that is in range', () => {
  for (const [, bytes, decode] of messages) {
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const changed = bytes.slice()
      changed[bit >>> 3]! ^= 1 << (bit & 7)
      assert.ok(['none', 'SYNC_INVALID'].includes(codeOf(() => decode(changed))), `bit ${bit}`)
    }
  }
})

test('numbers out of range, empty ids, broken texts and counts beyond the bytes are refused', () => {
  const head = encodeAbort(transaction)
  const withTail = (...tail: number[]) => Uint8Array.from([...head, ...tail])
  const stamp = [0x80, 0x80, 0x01]
  assert.is(
    codeOf(() => decodePrepare(withTail(1, ...stamp, 0))),
    'none',
    'the way these are made',
  )
  const cases: ReadonlyArray<readonly [what: string, tail: readonly number[]]> = [
    ['no expiry', [0, ...stamp, 0]],
    ['no stamp', [1, 0, 0]],
    ['an empty id', [1, ...stamp, 1, 0, 1, 0x61]],
    ['an id that is not UTF-8', [1, ...stamp, 1, 1, 0xff, 1, 0x61]],
    ['a tenant that is cut', [1, ...stamp, 1, 1, 0x61, 9, 0x61]],
    ['a million changes', [1, ...stamp, 0xc0, 0x84, 0x3d]],
    ['2^52 changes', [1, ...stamp, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x08]],
  ]
  for (const [what, tail] of cases)
    assert.is(
      codeOf(() => decodePrepare(withTail(...tail))),
      'SYNC_INVALID',
      what,
    )
  assert.is(
    codeOf(() => decodePrepare(encodePrepare({ ...prepare, expiryMs: EXPIRY_MS_MAX + 1 }))),
    'SYNC_INVALID',
  )
  assert.is(
    codeOf(() => decodeCommit(encodeCommit({ ...commit, at: { ...commit.at, seq: 0 } }))),
    'SYNC_INVALID',
  )
})

test('a batch that does not fit into a request to another node is refused before it is sent', () => {
  const tenant = 'x'.repeat(60_000)
  const changes = Array.from({ length: 70 }, (_, index) => ({ id: `${index}`, tenant }))
  assert.is(
    codeOf(() => encodePrepare({ ...prepare, changes })),
    'BATCH_TOO_LARGE',
  )
  assert.is(
    codeOf(() => encodePrepare({ ...prepare, changes: changes.slice(0, 69) })),
    'none',
  )
})

test.run()
