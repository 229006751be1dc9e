// Names to rows by way of what is recalled, against the table alone: whatever came before, whatever displaced what.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hashName } from '../../lib/base/hash.ts'
import { RECALL_NAMES, Recall } from '../../lib/storage/recall.ts'
import { NO_ROW, Table } from '../../lib/storage/table.ts'
import { batchOf, bytesOf, HASH, SEED } from './harness.ts'

const test = suite('storage/recall')
/** Places of recall.as, told by the low bits of a hash. */
const PLACES = 65_536

const placeOf = (name: string): number => hashName(HASH, bytesOf(name), 0, bytesOf(name).length) % PLACES

function add(table: Table, name: string): number {
  const bytes = bytesOf(name)
  return table.add(hashName(HASH, bytes, 0, bytes.length), bytes, 0, bytes.length)
}

/** The rows of distinct names. @param before names in front of them in their batch, which are not asked for */
function find(recall: Recall, names: readonly string[], before: readonly string[] = []): number[] {
  const batch = batchOf([...before, ...names].map((name) => [name, 1]))
  const rows: number[] = []
  for (let first = before.length; first < batch.count; ) {
    const count = recall.find(batch, first, batch.count)
    rows.push(...recall.rows.subarray(0, count))
    first += count
  }
  return rows
}

/** Names of one place. */
function sharing(count: number): string[] {
  const byPlace = new Map<number, string[]>()
  for (let number = 0; ; number++) {
    const name = `n${number}`
    const names = byPlace.get(placeOf(name)) ?? []
    names.push(name)
    if (names.length === count) return names
    byPlace.set(placeOf(name), names)
  }
}

test('batch after batch gives the rows of the table, with names that are alike, long, or new', () => {
  // Few letters, so that names return and are prefixes of each other; zero bytes, since places are padded with them.
  const letter = fc.constantFrom('a', 'b', '\0', 'é')
  const name = fc.array(letter, { minLength: 1, maxLength: 14 }).map((letters) => letters.join(''))
  const batch = fc.record({
    names: fc.uniqueArray(name, { minLength: 1, maxLength: 60 }),
    before: fc.nat(20),
    adds: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 12 }), (batches) => {
      const table = new Table(HASH)
      const recall = new Recall(table, 1)
      const rows = new Map<string, number>()
      for (const { names, before, adds } of batches) {
        const asked = names.slice(before)
        assert.equal(
          find(recall, asked, names.slice(0, before)),
          asked.map((name) => rows.get(name) ?? NO_ROW),
        )
        for (const name of adds ? names : []) if (!rows.has(name)) rows.set(name, add(table, name))
      }
    }),
    { seed: SEED },
  )
})

test('names that displace each other are all found, again and again', () => {
  const names = sharing(3)
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  for (const name of names) add(table, name)
  for (let turn = 0; turn < 3; turn++) {
    for (const [row, name] of names.entries()) assert.equal(find(recall, [name]), [row])
    assert.equal(find(recall, names), [0, 1, 2])
  }
})

test('a name in the place of another one is new until it has a row', () => {
  const [known, other] = sharing(2)
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  add(table, known!)
  assert.equal(find(recall, [known!, other!]), [0, NO_ROW])
  assert.equal(find(recall, [known!, other!]), [0, NO_ROW])
  add(table, other!)
  assert.equal(find(recall, [known!, other!]), [0, 1])
})

test('a name in the place of one that differs by zeros behind it, or behind its eleventh byte, is another', () => {
  const short = firstOf((number) => {
    const name = `z${number}`
    return [1, 2, 3, 4].map((zeros) => [name, name + '\0'.repeat(zeros)] as const)
  })
  const long = firstOf((number) => [['elevenbytes', `elevenbytes${number}`]])
  for (const [known, other] of [short, long, [...short].reverse(), [...long].reverse()]) {
    const table = new Table(HASH)
    const recall = new Recall(table, 1)
    add(table, known!)
    for (let turn = 0; turn < 2; turn++) assert.equal(find(recall, [known!, other!]), [0, NO_ROW])
  }
})

/** The first pair of names that have one place. */
function firstOf(pairs: (number: number) => readonly (readonly [string, string])[]): readonly [string, string] {
  for (let number = 0; ; number++) for (const pair of pairs(number)) if (placeOf(pair[0]) === placeOf(pair[1])) return pair
}

test('names of 1 to 40 bytes that begin the same are told apart', () => {
  const names = Array.from({ length: 40 }, (_, index) => 'a'.repeat(index + 1))
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  for (const name of names.filter((_, row) => row % 2 === 0)) add(table, name)
  const expected = names.map((_, row) => (row % 2 === 0 ? row / 2 : NO_ROW))
  for (let turn = 0; turn < 2; turn++) assert.equal(find(recall, names), expected)
})

test('a name that is known is recalled: the table is not asked for it again', () => {
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  const names = ['elevenbytes', 'a', 'the']
  for (const name of names) add(table, name)
  find(recall, names)
  const asked: number[] = []
  const findMany = table.findMany.bind(table)
  table.findMany = (lookup) => {
    asked.push(lookup.count)
    findMany(lookup)
  }
  assert.equal(find(recall, names), [0, 1, 2])
  assert.equal(asked, [0])
})

test('many new names let it rest, and what is known is recalled again soon after', () => {
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  const known = ['to', 'be', 'or']
  for (const name of known) add(table, name)
  assert.equal(find(recall, known), [0, 1, 2])
  const strangers = Array.from({ length: RECALL_NAMES }, (_, index) => `s${index}`)
  assert.equal(new Set(find(recall, strangers)), new Set([NO_ROW]))
  const asked: number[] = []
  const findMany = table.findMany.bind(table)
  table.findMany = (lookup) => {
    asked.push(lookup.count)
    findMany(lookup)
  }
  for (let turn = 0; turn < 8; turn++) assert.equal(find(recall, known), [0, 1, 2])
  assert.equal(asked, [3, 3, 3, 3, 3, 3, 3, 0])
})

test('more names than go together, and names too long to go together, are all found', () => {
  const table = new Table(HASH)
  const recall = new Recall(table, 1)
  const many = Array.from({ length: RECALL_NAMES * 2 + 3 }, (_, index) => `name ${index}`)
  const long = Array.from({ length: 9 }, (_, index) => String(index).repeat(10_000))
  for (const name of [...many, ...long]) add(table, name)
  const rows = [...many, ...long].map((_, row) => row)
  for (let turn = 0; turn < 2; turn++) assert.equal(find(recall, [...many, ...long]), rows)
  assert.equal(find(recall, ['never seen', ...long]), [NO_ROW, ...rows.slice(many.length)])
})

test('a few names are looked up at once, also between larger batches', () => {
  const table = new Table(HASH)
  const recall = new Recall(table)
  const names = Array.from({ length: 40 }, (_, index) => `n${index}`)
  for (const name of names) add(table, name)
  const rows = names.map((_, row) => row)
  const asked: number[] = []
  const findMany = table.findMany.bind(table)
  table.findMany = (lookup) => {
    asked.push(lookup.count)
    findMany(lookup)
  }
  assert.equal(find(recall, names.slice(0, 15)), rows.slice(0, 15))
  for (let turn = 0; turn < 2; turn++) assert.equal(find(recall, names), rows)
  assert.equal(find(recall, ['new', ...names.slice(30)]), [NO_ROW, ...rows.slice(30)])
  assert.equal(asked, [15, 40, 0, 11])
})

test.run()
