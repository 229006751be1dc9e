// time limit: 1800 s
// Random histories of a cluster. More of them, and one alone: npm run sim -- --cluster --runs 10000, npm run sim -- --cluster --seed 42.

import { availableParallelism } from 'node:os'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkAgreement, checkDigests, type View } from './check-agreement.ts'
import { CheckColumns } from './check-columns.ts'
import { checkFolded } from './check-folded.ts'
import { checkHandedOver, checkHeld, checkKept } from './check-kept.ts'
import { checkLevel } from './check-level.ts'
import { checkSession } from './check-session.ts'
import { runClusterHistory } from './cluster.ts'
import { checkItemsHandedOver, checkItemsHeld, checkItemsKept, checkLater, ItemsLedger } from './cluster-items-ledger.ts'
import { ClusterLedger } from './cluster-ledger.ts'
import type { Version } from './item-versions.ts'
import { runClusterHistories } from './processes.ts'

const test = suite('sim/cluster')

/** Histories of a run. Each takes some 100 to 170 ms of one core. */
const RUNS = process.env.CI === 'true' ? 1_000 : 300

test(`${RUNS} histories of clusters with all that can happen to disks, clocks, links and members hold every promise`, async () => {
  const first = Number(process.env.SEED ?? 1) * RUNS
  const { failed, violations } = await runClusterHistories(first, RUNS, Math.min(2, availableParallelism()))
  assert.equal(violations, [], `npm run sim -- --cluster --seed ${failed}`)
})

test('the same seed gives the same history', async () => {
  const once = await runClusterHistory(7)
  assert.ok(once.trace.length > 5)
  assert.equal(await runClusterHistory(7), once)
})

test('the checker of agreement can fail', () => {
  const view = (machine: number, hot: number, vector: string, digest: number): View => ({
    machine,
    readings: new Map([['hot', hot]]),
    vector,
    digests: Uint32Array.of(digest),
  })
  assert.equal(checkAgreement([view(1, 5, 'a', 7), view(2, 5, 'a', 7)]), [])
  assert.match(checkAgreement([view(1, 5, 'a', 7), view(2, 4, 'a', 7)]).join(), 'read hot as 5 and 4')
  assert.match(checkAgreement([view(1, 5, 'a', 7), view(2, 5, 'b', 7)]).join(), 'know a and b')
  assert.match(checkDigests([view(1, 5, 'a', 7), view(2, 5, 'a', 8)]).join(), 'their digests differ')
  assert.equal(checkDigests([view(1, 5, 'a', 7), view(2, 5, 'b', 8)]), [])
})

/** Four increments: acknowledged and held by machine 1, acknowledged and lost, refused, unknown. */
function ledgerOfFour(): ClusterLedger {
  const ledger = new ClusterLedger()
  for (const state of ['acknowledged', 'acknowledged', 'refused', 'unknown'] as const) ledger.add(1, 1).state = state
  ledger.held(1, 'op-0')
  ledger.held(2, 'op-1')
  ledger.lost(2)
  return ledger
}

test('the checkers of what is kept can fail', () => {
  const ledger = ledgerOfFour()
  const check = (...values: number[]) =>
    checkKept(ledger, new Map(['hot', 'op-0', 'op-1', 'op-2', 'op-3'].map((name, index) => [name, values[index]!]))).join()
  assert.is(check(1, 1, 0, 0, 0), '')
  assert.is(check(3, 1, 1, 0, 1), '')
  assert.match(check(0, 0, 0, 0, 0), 'op-0 was acknowledged')
  assert.match(check(2, 1, 0, 1, 0), 'op-2 was refused and reads 1')
  assert.match(check(3, 1, 0, 0, 2), 'op-3 reads 2')
  assert.match(check(2, 1, 0, 0, 0), 'hot reads 2, and 1 increments counted')
  assert.equal(
    checkHeld(ledger, 1, () => 1),
    [],
  )
  assert.match(checkHeld(ledger, 1, () => 0).join(), 'machine 1 held op-0')
  assert.match(checkHandedOver(ledger, 1).join(), 'it alone holds op-0')
  ledger.held(2, 'op-0')
  assert.equal(checkHandedOver(ledger, 1), [])
})

test('what a rolled back disk still holds is not excused, and what no disk holds is', () => {
  const ledger = ledgerOfFour()
  const [kept] = ledger.ops
  ledger.lost(1, new Set(['op-0']))
  assert.is(kept!.excused, false)
  ledger.lost(1)
  assert.is(kept!.excused, true)
})

test('the checkers of levels and sessions can fail', () => {
  const ledger = new ClusterLedger()
  const op = ledger.add(1, 'majority')
  ledger.held(1, op.name)
  assert.equal(checkLevel(op, { reached: 1, members: 3, met: false }, 3), [])
  assert.match(checkLevel(op, { reached: 2, members: 3, met: true }, 3).join(), '1 disks held it')
  assert.match(checkLevel(op, { reached: 1, members: 3, met: true }, 3).join(), 'met majority of 3 with 1')
  assert.match(checkLevel(op, { reached: 1, members: 1, met: true }, 3).join(), 'counted 1 members, and there are 3')
  ledger.held(2, op.name)
  assert.equal(checkLevel(op, { reached: 2, members: 3, met: true }, 3), [])
  assert.equal(checkSession([op], 2, new Map([[op.name, 1]])), [])
  assert.match(checkSession([op], 2, new Map([[op.name, 0]])).join(), 'a session wrote op-0 and does not read it')
})

test('the checkers of columns can fail', () => {
  const columns = new CheckColumns()
  const cell = { name: 'hot', replica: '1.7', seq: 3, plus: 5, minus: 0 }
  assert.equal([...columns.seen([cell]), ...columns.seen([cell, { ...cell, seq: 4, plus: 6 }])], [])
  assert.match(columns.seen([{ ...cell, plus: 6 }]).join(), 'hot of 1.7 at 3 was 5 and is 6')
  assert.equal(checkFolded(['1.1', '1.7', '1.8', '1.9', '1.10', '2.7'], [1, 2]), [])
  assert.match(checkFolded(['1.1', '1.7', '1.8', '1.9', '1.10', '1.11'], [1]).join(), 'node 1 has 6 columns')
})

const version = (seq: number, tenant: string | undefined = 'red'): Version => ({
  stamp: 1000 + seq,
  node: 1,
  incarnation: 7,
  seq,
  tenant,
})

/** Two writes: of a and b, acknowledged and held by machine 1, and a later one of b, unknown. */
function itemsLedgerOfTwo(): ItemsLedger {
  const ledger = new ItemsLedger()
  const [first, second] = [ledger.add(1, 1), ledger.add(1, 1)]
  first.versions = new Map([
    ['a', version(1)],
    ['b', version(1, undefined)],
  ])
  first.state = 'acknowledged'
  second.versions = new Map([['b', version(2, 'green')]])
  ledger.lostTouch(1)
  ledger.held(1, first.versions)
  return ledger
}

test('the checkers of items of a cluster can fail', () => {
  const ledger = itemsLedgerOfTwo()
  const kept = (...items: Array<[string, Version]>) => checkItemsKept(ledger, new Map(items), 'it').join()
  assert.is(kept(['a', version(1)], ['b', version(1, undefined)]), '')
  assert.is(kept(['a', { ...version(1), incarnation: 9 }], ['b', version(2, 'green')]), '', 'moved, and what was unknown')
  assert.match(kept(['a', version(1)]), 'items-0 has set item b and was acknowledged with level 1, and it does not have it')
  assert.match(kept(['a', version(1)], ['b', version(2, 'blue')]), 'it has item b of blue, and items-1 wrote green')
  assert.match(kept(['a', version(3)], ['b', version(2, 'green')]), 'it has item a as nobody has written it')

  assert.equal(checkItemsHeld(ledger, 1, new Map(ledger.heldBy(1))), [])
  assert.match(checkItemsHeld(ledger, 1, new Map([['a', version(1)]])).join(), 'machine 1 held item b')
  assert.match(checkItemsHandedOver(ledger, 1).join(), 'it alone holds items-0')
  ledger.held(2, ledger.ops[0]!.versions)
  assert.equal(checkItemsHandedOver(ledger, 1), [])
  assert.is(ledger.holders(ledger.ops[0]!), 2)

  const write = { name: 'w', versions: new Map([['a', version(5)]]) }
  assert.equal(checkLater(write, new Map([['b', version(4)]])), [])
  assert.match(checkLater(write, new Map([['b', version(5)]])).join(), 'w is stamped 1005, and item b 1005 before')
})

test('an item that a disk still holds, or something later, is not excused', () => {
  const ledger = itemsLedgerOfTwo()
  const [first] = ledger.ops
  ledger.held(2, [['a', version(4)]])
  ledger.lost(1)
  assert.equal([...first!.excused], ['b'])
  ledger.lost(2, new Map([['a', version(1)]]))
  assert.equal([...first!.excused], ['b'])
  ledger.lost(2)
  assert.equal([...first!.excused], ['b', 'a'])
})

test('the checker of columns can fail for items', () => {
  const columns = new CheckColumns()
  assert.equal([...columns.seenItems([['a', version(1)]]), ...columns.seenItems([['a', version(1)]])], [])
  assert.match(columns.seenItems([['a', version(1, 'green')]]).join(), 'item a of 1.7 at 1 was red at 1001 and is green at 1001')
})

test.run()
