import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { type ItemChange, Replica } from '../../lib/storage/index.ts'
import { Table } from '../../lib/storage/table.ts'
import { TEXTS_MAX, TextLookup } from '../../lib/storage/text-lookup.ts'
import { HASH, SEED } from './harness.ts'

const test = suite('storage/text-lookup')
const runs = { numRuns: Number(process.env.RUNS ?? 100), seed: SEED }

/** Names of one to many bytes a character, some long enough for the scratch to grow. */
const name = fc.oneof(
  fc.constantFrom('a', 'b', 'ä', 'aä', '😀', 'a😀', '\u007f', '\u0080', '__proto__', 'x'.repeat(9000), 'ö'.repeat(9000)),
  fc.string({ minLength: 1, maxLength: 5, unit: 'grapheme' }),
)

test('a text finds the row that its bytes have, and gets one when they have none', () => {
  fc.assert(
    fc.property(fc.array(fc.array(name, { maxLength: TEXTS_MAX }), { maxLength: 4 }), (rounds) => {
      const table = new Table(HASH)
      const texts = new TextLookup(table)
      const rows = new Map<string, number>()
      for (const round of rounds) {
        texts.clear()
        for (const [place, text] of round.entries()) assert.is(texts.push(text), place)
        texts.find()
        for (const [place, text] of round.entries()) assert.is(texts.rowAt(place), rows.get(text) ?? -1)
        for (const [place, text] of round.entries()) {
          const row = texts.rowOrNewAt(place)
          if (!rows.has(text)) rows.set(text, rows.size)
          assert.is(row, rows.get(text))
        }
        for (const [text, row] of rows) {
          assert.is(texts.rowOf(text), row)
          assert.is(Buffer.from(table.nameOf(row)).toString(), text)
        }
        assert.is(texts.rowOf('never there'), -1)
      }
      assert.is(table.rowCount, rows.size)
    }),
    runs,
  )
})

test('a batch of many changes does what they do one by one', () => {
  const change = fc.record({
    id: fc.integer({ min: 0, max: 200 }).map((id) => `i${id}`),
    tenant: fc.option(fc.constantFrom('t', 'u', 'ä', 't'.repeat(300)), { nil: undefined }),
  })
  const batch = fc.array(change, { minLength: 1, maxLength: 3 * TEXTS_MAX })
  fc.assert(
    fc.property(fc.array(batch, { maxLength: 3 }), (batches) => {
      const newReplica = () => new Replica({ self: { node: 0, incarnation: 1 }, hash: HASH, namesMax: 0, itemsMax: 0 })
      const [together, apart] = [newReplica(), newReplica()]
      const last = new Map<string, string | undefined>()
      const writer = new ByteWriter()
      const apply = (replica: Replica, changes: readonly ItemChange[]) => replica.changeItems(changes, 1000, writer)
      for (const changes of batches) {
        const missing = new Set(changes.filter(({ id }) => !last.has(id)).map(({ id }) => id))
        assert.is(together.items.countMissing(changes), missing.size)
        apply(together, changes)
        for (const change of changes) {
          apply(apart, [change])
          last.set(change.id, change.tenant)
        }
        for (const [id, tenant] of last) {
          assert.is(together.items.find(id)?.tenant, tenant)
          assert.is(apart.items.find(id)?.tenant, tenant)
        }
        for (const tenant of ['t', 'u', 'ä', 't'.repeat(300), 'none']) {
          const count = [...last.values()].filter((other) => other === tenant).length
          assert.is(together.items.countOf(tenant), count)
          assert.is(apart.items.countOf(tenant), count)
        }
      }
    }),
    runs,
  )
})

test('a limit counts new ids once each, and looks at them only when it may be passed', () => {
  const replica = new Replica({ self: { node: 0, incarnation: 1 }, hash: HASH, namesMax: 0, itemsMax: 3 })
  const change = (...ids: string[]) =>
    replica.changeItems(
      ids.map((id) => ({ id, tenant: 't' })),
      1000,
      new ByteWriter(),
    )
  change('a', 'a', 'b')
  change('a', 'b', 'c', 'c', 'a')
  assert.throws(() => change('a', 'd'), /1 new items do not fit/)
  assert.is(replica.items.ids.rowCount, 3)
  assert.is(replica.items.find('d'), undefined)
})

test.run()
