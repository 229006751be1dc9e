// What the checkers of writes with Idempotency-Keys find, and what they let pass.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClusterLedger } from './cluster-ledger.ts'
import { type Attempt, checkKeyed, KEYED, KeyedLedger, type KeyedOp } from './keyed-ledger.ts'

const test = suite('sim/keyed')

/** The incarnation that each node is in. */
const NOW = 7
const isPresent = ({ replica }: { readonly replica: { readonly incarnation: number } }) => replica.incarnation === NOW

/** A write that machines have counted, one after the other. */
function counted(keyed: KeyedLedger, ...machines: readonly number[]): { op: KeyedOp; attempts: Attempt[] } {
  const op = new ClusterLedger().addKeyed(keyed, machines[0]!, (name) => ({ [KEYED]: 1, [`${name}-`]: -3, [name]: 1 }))
  const attempts = machines.map((machine) => {
    const attempt = op.begin(machine)
    op.counted(attempt, { replica: { node: machine, incarnation: NOW }, seq: 5 })
    attempt.tentative = true
    attempt.state = 'unknown'
    return attempt
  })
  return { op, attempts }
}

const strict = () => new KeyedLedger({ forgetful: false, tight: false })

function check(keyed: KeyedLedger, value: number, others: Record<string, number> = {}): string {
  const readings = { [KEYED]: value, 'op-0': value, 'op-0-': -3 * value, ...others }
  return checkKeyed(keyed, new Map(Object.entries(readings)), isPresent).join()
}

test('however many nodes have counted it, it counts once when it was acknowledged, and never more often', () => {
  const keyed = strict()
  const { attempts } = counted(keyed, 1, 2, 3)
  assert.equal([check(keyed, 0), check(keyed, 1)], ['', ''])
  assert.match(check(keyed, 2), 'op-0 reads 2, and should 0 to 1: machine 1 counted as 1.7:5 unknown')
  attempts[1]!.state = 'acknowledged'
  assert.match(check(keyed, 0), 'op-0 reads 0, and should 1 to 1')
  keyed.ops[0]!.excused = true
  assert.is(check(keyed, 0), '')
})

test('what nobody has counted does not count', () => {
  const keyed = strict()
  const op = new ClusterLedger().addKeyed(keyed, 1, (name) => ({ [name]: 1 }))
  op.begin(1).state = 'refused'
  assert.is(op.state, 'refused')
  assert.match(check(keyed, 1), 'op-0 reads 1, and should 0 to 0')
})

test('it counts as a whole', () => {
  const keyed = strict()
  counted(keyed, 1)
  assert.match(check(keyed, 1, { 'op-0-': -6 }), 'op-0 counts 1 times, and op-0- reads -6')
  assert.match(check(keyed, 1, { [KEYED]: 2 }), 'keyed reads 2, and 1 writes with keys counted')
})

test('only what nobody could take back stays beside another one', () => {
  const cases: ReadonlyArray<[what: string, most: number, change: (keyed: KeyedLedger, attempts: Attempt[]) => void]> = [
    ['nothing', 1, () => {}],
    ['one for good', 2, (_, [, second]) => Object.assign(second!, { tentative: false })],
    ['two for good', 3, (_, [, ...others]) => others.forEach((other) => Object.assign(other, { tentative: false }))],
    ['another incarnation', 2, (_, [first]) => Object.assign(first!.place!.replica, { incarnation: NOW - 1 })],
    ['no member for a time', 3, (keyed) => keyed.unsure.add(3)],
    ['a disk lost by who had not counted it', 1, (keyed) => keyed.forgot(4)],
  ]
  for (const [what, most, change] of cases) {
    const keyed = strict()
    change(keyed, counted(keyed, 1, 2, 3).attempts)
    assert.is(check(keyed, most), '', what)
    assert.match(check(keyed, most + 1), `should 0 to ${most}`, what)
  }
})

test('who has lost what it knew and counts again may leave those that others have let go of', () => {
  const keyed = strict()
  const { op } = counted(keyed, 1)
  keyed.forgot(2)
  assert.match(check(keyed, 2), 'should 0 to 1')
  const again = op.begin(2)
  op.counted(again, { replica: { node: 2, incarnation: NOW }, seq: 1 })
  again.tentative = true
  assert.is(check(keyed, 2), '')
  assert.match(check(keyed, 3), 'should 0 to 2')
})

test('nodes that forget keys count as often as they are asked', () => {
  const keyed = new KeyedLedger({ forgetful: true, tight: false })
  counted(keyed, 1, 1, 2)
  assert.is(check(keyed, 3), '')
  assert.match(check(keyed, 4), 'should 0 to 3')
})

test('an attempt whose process died is unknown when it had counted, and else did nothing', () => {
  const keyed = strict()
  const { op } = counted(keyed, 1)
  for (const machine of [1, 2]) op.begin(machine)
  assert.is(op.state, 'pending')
  op.lostTouch(2)
  op.lostTouch(1)
  assert.is(op.state, 'unknown')
  assert.equal(
    op.attempts.map(({ state }) => state),
    ['unknown', 'refused', 'refused'],
  )
})

test.run()
