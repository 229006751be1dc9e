// Random histories of moves, each with kills in all phases, and planted faults that they find.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runHistory } from './history.ts'
import type { Fault } from './world.ts'

const test = suite('sharding/moving')
const SEED = Number(process.env.SEED ?? 1)

async function run(histories: number, replicas: number): Promise<Set<string>> {
  const killedIn = new Set<string>()
  let [acknowledged, reads, withdrawals] = [0, 0, 0]
  for (let seed = SEED; seed < SEED + histories; seed++) {
    const result = await runHistory({ seed, replicas })
    assert.equal(result.wrong, [], `seed ${seed}`)
    for (const phase of result.killedIn) killedIn.add(phase)
    acknowledged += result.acknowledged
    reads += result.reads
    withdrawals += result.withdrawals
  }
  assert.ok(acknowledged > 50 * histories, `${acknowledged} were counted`)
  assert.ok(reads > 20 * histories, `${reads} reads`)
  assert.ok(replicas === 1 || withdrawals > 10 * histories, `${withdrawals} were counted twice at first`)
  return killedIn
}

test('no count ever changes by a move, whatever dies in whichever phase', async () => {
  const killedIn = await run(12, 1)
  for (const phase of ['copy', 'settle']) {
    for (const who of ['mover', 'source', 'target']) assert.ok(killedIn.has(`${who} in ${phase}`), `no ${who} died in ${phase}`)
  }
})

test('nor between groups of replicas, of which any may be asked, and two may have counted the same key', async () => {
  await run(4, 2)
})

/** Each fault with what shows it: shards of so many replicas. Where there are two, they hear each other late, and nothing dies. */
const FAULTS: readonly [fault: Fault, replicas: number, histories: number][] = [
  ['nobody freezes', 1, 20],
  ['values are added', 1, 20],
  ['pages get lost and nothing is compared', 1, 20],
  ['the home keeps any version', 1, 30],
  ['items in transit count', 1, 20],
  ['a map does not wait for writes under way', 1, 20],
  ['values are copied before writes are taken back', 2, 40],
]
for (const [fault, replicas, histories] of FAULTS) {
  test(`it is found when ${fault}`, async () => {
    for (let seed = 1; seed <= histories; seed++) {
      const { wrong } = await runHistory({ seed, replicas, faults: [fault], isSlow: replicas > 1 })
      if (wrong.length > 0) return
    }
    assert.unreachable(`${histories} histories looked sound`)
  })
}

test.run()
