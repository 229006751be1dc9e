// time limit: 600 s
// Random histories of one node. More of them, and one alone: npm run sim -- --runs 10000, npm run sim -- --seed 42.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFaults } from './check-faults.ts'
import { checkItemCounts, checkTenantList } from './check-items-counts.ts'
import { checkItemsPrefix } from './check-items-prefix.ts'
import { CheckItemsShown } from './check-items-shown.ts'
import { checkItemsWhole } from './check-items-whole.ts'
import { checkLedger } from './check-ledger.ts'
import { checkNotes } from './check-notes.ts'
import { CheckShown } from './check-shown.ts'
import { checkStart } from './check-start.ts'
import { checkTail } from './check-tail.ts'
import { checkWhole } from './check-whole.ts'
import { Ledger } from './ledger.ts'
import { runHistory } from './node.ts'
import { runHistories } from './run.ts'

const test = suite('sim/node')

/** Histories of a run. Each takes some 50 ms of one core. */
const RUNS = 500

test(`${RUNS} histories with crashes, failing and full disks, rot, restored backups and clones hold every promise`, async () => {
  const first = Number(process.env.SEED ?? 1) * RUNS
  const { failed, violations } = await runHistories(first, RUNS)
  assert.equal(violations, [], `npm run sim -- --seed ${failed}`)
})

test('the same seed gives the same history', async () => {
  const once = await runHistory(7)
  assert.ok(once.trace.length > 5)
  assert.equal(await runHistory(7), once)
})

test('a run without faults is void', () => {
  assert.equal(checkFaults(new Map([['kill', 3]]), ['kill', 'rot'], 2), ['void: rot happened 0 times'])
})

test('the checkers can fail', () => {
  const ledger = new Ledger()
  const states = ['acknowledged', 'refused', 'unknown', 'acknowledged'] as const
  for (const state of states) {
    const op = ledger.add(undefined)
    op.state = state
    ledger.ordered(op)
  }
  const readings = (...values: number[]) =>
    new Map(['hot', 'op-0', 'op-1', 'op-2', 'op-3'].map((name, index) => [name, values[index]!]))
  assert.equal(checkLedger(ledger, readings(2, 1, 0, 0, 1)), [])
  assert.equal(checkLedger(ledger, readings(3, 1, 0, 1, 1)), [])
  assert.match(checkLedger(ledger, readings(1, 0, 0, 0, 1)).join(), 'op-0 was acknowledged and reads 0')
  assert.match(checkLedger(ledger, readings(3, 2, 0, 0, 1)).join(), 'op-0 was acknowledged and reads 2')
  assert.match(checkLedger(ledger, readings(3, 1, 1, 0, 1)).join(), 'op-1 was refused and reads 1')
  assert.match(checkLedger(ledger, readings(4, 1, 0, 2, 1)).join(), 'op-2 is unknown and reads 2')
  assert.equal(checkWhole(ledger, readings(2, 1, 0, 0, 1)), [])
  assert.match(checkWhole(ledger, readings(3, 1, 0, 0, 1)).join(), 'hot reads 3, and 2 increments counted')
  assert.equal(checkTail(ledger, readings(1, 1, 0, 0, 0)), [])
  assert.match(checkTail(ledger, readings(1, 0, 0, 0, 1)).join(), 'op-0 is lost')
  const shown = new CheckShown()
  assert.equal([...shown.shown('a', 1), ...shown.shown('a', 1), ...shown.shown('a', 2)], [])
  assert.match(shown.shown('a', 1).join(), 'shown as 2 and then as 1')
  assert.equal(checkStart(new Error('EIO'), 'fault'), [])
  assert.is(checkStart(new Error('EIO'), 'rot').length, 1)
})

/** An item as a write of node 1 has left it. */
const version = (seq: number, tenant: string | undefined) => ({ stamp: 1000 + seq, node: 1, incarnation: 7, seq, tenant })

test('the checkers of items can fail', () => {
  const held = new Map([
    ['a', version(1, 'red')],
    ['b', version(2, undefined)],
  ])
  const applied = [
    { name: 'w1', versions: new Map([['a', version(1, 'red')]]), acknowledged: true },
    { name: 'w2', versions: new Map([['b', version(2, undefined)]]), acknowledged: false },
    { name: 'w3', versions: new Map([['a', version(3, 'red')]]), acknowledged: false },
  ]
  assert.is(checkItemsPrefix(applied, held, false), 2)
  assert.is(checkItemsPrefix(applied, new Map([['a', version(1, 'red')]]), false), 1)
  assert.match(String(checkItemsPrefix(applied, new Map(), false)), 'items a,b are not as after the first 1 writes')
  assert.is(checkItemsPrefix(applied, new Map(), true), 0)
  assert.type(checkItemsPrefix(applied, new Map([['a', version(3, 'red')]]), false), 'string')
  assert.type(checkItemsPrefix(applied, new Map([['a', version(1, 'green')]]), false), 'string')

  const store = (red: number, a: string | undefined, b: string | undefined) => ({
    tenantCount: (tenant: string) => (tenant === 'red' ? red : 0),
    item: (id: string) => {
      const tenant = id === 'a' ? a : id === 'b' ? b : undefined
      return tenant === undefined ? undefined : { id, tenant, stamp: 1001 }
    },
  })
  assert.equal(checkItemCounts(store(1, 'red', undefined), held, 'it'), [])
  assert.match(checkItemCounts(store(2, 'red', undefined), held, 'it').join(), 'it counts 2 items of tenant red, and holds 1')
  assert.match(checkItemCounts(store(1, 'red', 'red'), held, 'it').join(), 'it reads item b as')
  assert.match(checkItemCounts(store(1, undefined, undefined), held, 'it').join(), 'it reads item a as undefined')
  assert.equal(checkTenantList([{ tenant: 'red', count: 1 }], held, 'it'), [])
  assert.match(checkTenantList([], held, 'it').join(), 'lists tenants , and holds red 1')
  assert.is(checkTenantList([{ tenant: 'red', count: 2 }], held, 'it').length, 1)

  const writes = [
    {
      name: 'w',
      versions: new Map([
        ['a', version(4, 'red')],
        ['b', version(4, 'red')],
      ]),
    },
  ]
  const part = new Map([...held, ['a', version(4, 'red')]] as const)
  assert.equal(checkItemsWhole(writes, held, 'it'), [])
  assert.match(checkItemsWhole(writes, part, 'it').join(), 'it has item a of w, and not item b')
  assert.equal(checkItemsWhole(writes, new Map([...part, ['b', version(5, 'red')]] as const), 'it'), [])

  const shown = new CheckItemsShown()
  assert.equal([...shown.shown(held), ...shown.shown(part)], [])
  assert.match(shown.shown(held).join(), 'item a was shown as red at 1004')
})

test('the checker of notes can fail', () => {
  const notes = [
    { number: 1, acknowledged: true },
    { number: 2, acknowledged: true },
    { number: 3, acknowledged: false },
    { number: 4, acknowledged: false, refused: true as const },
  ]
  assert.equal([...checkNotes(notes, 2, false), ...checkNotes(notes, 3, false), ...checkNotes(notes, 1, true)], [])
  assert.match(checkNotes(notes, 1, false).join(), 'note 2 was acknowledged, and 1 is there')
  assert.match(checkNotes(notes, 4, false).join(), 'note 4 is there, and was refused')
  assert.match(checkNotes(notes, 5, false).join(), 'note 5 is there, and was never kept')
})

test.run()
