import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { LEGACY_BODY_BYTES_MAX, LegacyReader, LegacyWriter } from '../../lib/syncsrv/legacy-codec.ts'
import { fuzzLegacy } from '../fuzz/legacy.fuzz.ts'
import { SEED } from '../storage/harness.ts'

const test = suite('syncsrv/legacy-codec')

const MAX = 2n ** 64n - 1n
type Total = readonly [key: bigint, slot: number, total: bigint]

const join = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low)

/** All totals above zero of a body. */
function read(body: string | Uint8Array): Total[] {
  const reader = new LegacyReader(typeof body === 'string' ? Buffer.from(body) : body)
  const totals: Total[] = []
  while (reader.next()) {
    for (let at = 0; at < reader.count; at++) {
      const { keys, slots, words } = reader
      totals.push([join(keys[at * 2]!, keys[at * 2 + 1]!), slots[at]!, join(words[at * 2]!, words[at * 2 + 1]!)])
    }
  }
  return totals
}

function refusal(body: string | Uint8Array): string {
  try {
    read(body)
  } catch (error) {
    assert.instance(error, CounterError)
    assert.is((error as CounterError).code, 'SYNC_INVALID')
    return (error as CounterError).message
  }
  throw new Error(`was taken: ${body}`)
}

/** The entries as the writer makes them, in one body. */
function written(entries: readonly (readonly [bigint, readonly bigint[]])[], width = 0): string {
  const writer = new LegacyWriter(1 << 20, 1 << 20)
  for (const [key, totals] of entries) {
    const above = totals.flatMap((total, slot) => (total > 0n ? [{ slot, total }] : []))
    const slots = Uint32Array.from(above, ({ slot }) => slot)
    const words = Uint32Array.from(above.flatMap(({ total }) => [Number(total & 0xffff_ffffn), Number(total >> 32n)]))
    writer.add(Number(key & 0xffff_ffffn), Number(key >> 32n), slots, words, 0, slots.length, width)
  }
  return Buffer.from(writer.body()).toString()
}

test('what the original sends is read, exactly', () => {
  assert.equal(read('[{"hash_keyword":18446744073709551615,"totals":[0,9007199254740993,18446744073709551615]}]'), [
    [MAX, 1, 2n ** 53n + 1n],
    [MAX, 2, MAX],
  ])
  assert.equal(read('[]'), [])
  assert.equal(read('[{"hash_keyword":0,"totals":[]},{"hash_keyword":1,"totals":[0,0]}]'), [])
})

test('a node of the original that has counted nothing sends null, and nil lists are null', () => {
  assert.equal(read('null'), [])
  assert.equal(read('[{"hash_keyword":1,"totals":null},{"hash_keyword":2,"totals":[3]}]'), [[2n, 0, 3n]])
})

test('white space, the order of fields and unknown fields do not matter', () => {
  const body = ` [ { "more" : {"a":[1,-2.5e+7,{"b":"\\u00e9\\"]"},true,false,null]} , "totals"\n:\t[ 7 , 8 ] ,\r "hash_keyword" : 5 , "x":"" } ] \n`
  assert.equal(read(body), [
    [5n, 0, 7n],
    [5n, 1, 8n],
  ])
  assert.equal(read('[{"hash\\u005fkeyword":5,"totals":[1],"totals":[2]}]'), [[5n, 0, 2n]])
})

test('numbers of every length are exact', () => {
  for (let digits = 1; digits <= 20; digits++) {
    for (const value of [10n ** BigInt(digits - 1), 10n ** BigInt(digits) - 1n]) {
      if (value > MAX) continue
      assert.equal(read(`[{"hash_keyword":${value},"totals":[${value}]}]`), [[value, 0, value]])
      assert.is(written([[value, [value]]]), `[{"hash_keyword":${value},"totals":[${value}]}]`)
    }
  }
})

test('what is not an exact uint64 is refused', () => {
  for (const number of [
    '-1',
    '-0',
    '1.0',
    '0.5',
    '1e3',
    '1E3',
    '01',
    '00',
    '+1',
    '18446744073709551616',
    '99999999999999999999',
    '184467440737095516150',
    '"1"',
    'null',
    'true',
    '',
    '0x1',
    'NaN',
    '{}',
  ]) {
    if (number !== '') refusal(`[{"hash_keyword":1,"totals":[${number}]}]`)
    refusal(`[{"hash_keyword":1,"totals":[0,${number}]}]`)
    refusal(`[{"hash_keyword":${number},"totals":[1]}]`)
  }
  assert.match(refusal('[{"hash_keyword":1,"totals":[1e3]}]'), /exponent.*at byte 30 of 35/)
})

test('what is not of the form is refused', () => {
  for (const body of [
    '',
    ' ',
    '[',
    ']',
    '{}',
    '[1]',
    '[null]',
    '[{}]',
    '[{"totals":[1]}]',
    '[{"hash_keyword":1,}]',
    '[{"hash_keyword":1},]',
    '[{"hash_keyword":1}]x',
    '[][]',
    '[{"hash_keyword":1,"totals":{}}]',
    '[{"hash_keyword":1,"totals":[1,]}]',
    '[{"hash_keyword" 1}]',
    'nul',
    '[{"hash_keyword":1,"x":"\n"}]',
    '[{"hash_keyword":1,"x":"\\x"}]',
    '[{"hash_keyword":1,"x":"\\u12g4"}]',
    '[{"hash_keyword":1,"x":01}]',
    '[{"hash_keyword":1,"x":-}]',
    '[{"hash_keyword":1,"x":tru}]',
    '[{hash_keyword:1}]',
    '[{"hash_keyword":1,"x":"',
    '\ufeff[]',
  ]) {
    refusal(body)
  }
})

test('every cut of a body is refused', () => {
  const body = '[{"hash_keyword":1,"totals":[1,2],"x":{"y":["z",1.5]}},{"totals":null,"hash_keyword":2}]'
  assert.equal(read(body).length, 2)
  for (let length = 0; length < body.length; length++) refusal(body.slice(0, length))
})

test('depth and size have limits, found before memory is taken', () => {
  assert.match(refusal(`[{"hash_keyword":1,"x":${'['.repeat(100_000)}`), /deep/)
  assert.match(refusal(`[{"hash_keyword":1,"totals":[${'0,'.repeat(2_000_000)}0]}]`), /entry of more than/)
  assert.match(refusal(`[${' '.repeat(3_000_000)}]`), /entry of more than/)
  assert.throws(() => new LegacyReader({ length: LEGACY_BODY_BYTES_MAX + 1 } as Uint8Array), /at most/)
})

test('totals of slots that are too high are left out and counted', () => {
  const body = `[{"hash_keyword":1,"totals":[5,${'0,'.repeat(65_534)}6,7,0,8]},{"hash_keyword":2,"totals":[9]}]`
  const reader = new LegacyReader(Buffer.from(body))
  const slots: number[] = []
  while (reader.next()) slots.push(...reader.slots.subarray(0, reader.count))
  assert.equal(slots, [0, 65_535, 0])
  assert.is(reader.beyond, 2)
  assert.is(reader.entries, 2)
})

test('a large body is read in slices of bounded size', () => {
  const body = Buffer.from(
    `[${Array.from({ length: 50_000 }, (_, key) => `{"hash_keyword":${key},"totals":[${key + 1},0,3]}`).join()}]`,
  )
  const reader = new LegacyReader(body)
  let slices = 0
  let totals = 0
  for (; reader.next(); slices++) {
    assert.ok(reader.count <= 4098)
    totals += reader.count
  }
  assert.is(totals, 100_000)
  assert.ok(slices > 10)
  assert.not(reader.next())
})

test('any entries are read as they were written, and as JSON says them', () => {
  const uint64 = fc.oneof(
    fc.bigInt(0n, MAX),
    fc.bigInt(0n, 100n),
    fc.constantFrom(2n ** 53n, 2n ** 32n, 2n ** 32n - 1n, 10n ** 9n, 10n ** 18n, MAX),
  )
  const entry = fc.tuple(uint64, fc.array(uint64, { maxLength: 6 }))
  fc.assert(
    fc.property(fc.array(entry, { maxLength: 8 }), fc.nat(8), (entries, width) => {
      const body = written(entries, width)
      const expected = entries.flatMap(([key, totals]) =>
        totals.flatMap((total, slot): Total[] => (total > 0n ? [[key, slot, total]] : [])),
      )
      assert.equal(read(body), expected)
      const plain = JSON.parse(body.replace(/\d+/g, '"$&"')) as { hash_keyword: string; totals: string[] }[]
      assert.equal(
        plain.map((each) => BigInt(each.hash_keyword)),
        entries.map(([key]) => key),
      )
      plain.forEach((each, at) => {
        assert.ok(each.totals.length >= width)
        each.totals.forEach((total, slot) => assert.is(BigInt(total), entries[at]![1][slot] ?? 0n))
      })
    }),
    { seed: SEED },
  )
})

test('entries are as long as asked for, and bodies say when they are full', () => {
  assert.is(written([[7n, [1n]]], 4), '[{"hash_keyword":7,"totals":[1,0,0,0]}]')
  assert.is(written([[7n, []]], 2), '[{"hash_keyword":7,"totals":[0,0]}]')
  assert.is(written([]), '[]')
  const writer = new LegacyWriter(100, 3)
  const add = (): void => writer.add(1, 0, Uint32Array.of(0), Uint32Array.of(1, 0), 0, 1, 1)
  add()
  assert.not(writer.full)
  add()
  add()
  assert.ok(writer.full)
  writer.clear()
  assert.is(Buffer.from(writer.body()).toString(), '[]')
  for (let at = 0; at < 4; at++) writer.add(1, 0, Uint32Array.of(5000), Uint32Array.of(1, 0), 0, 1, 1)
  assert.is(read(writer.body()).length, 4)
})

test('bodies that are nearly right are refused or read as JSON says', () => {
  const { accepted, refused } = fuzzLegacy(20_000, SEED)
  assert.ok(accepted > 1000 && refused > 1000, `${accepted} accepted, ${refused} refused`)
})

test.run()
