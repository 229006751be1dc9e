// time limit: 240 s
// Random histories of one node. More of them, and one alone: npm run sim -- --runs 10000, npm run sim -- --seed 42.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkFaults } from './check-faults.ts'
import { checkLedger } from './check-ledger.ts'
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

test.run()
