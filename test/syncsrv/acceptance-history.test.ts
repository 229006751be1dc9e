// Random histories of batches that all keep or none, with crashes, cuts and repetition; and faults that are planted to show that they and
// the crashes at every moment can see one.
// time limit: 900 s
// SEED=7 begins with another seed, HISTORIES=10000 makes it long.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crash, SCENARIOS } from './batch-crash.ts'
import { BATCH_FAULTS } from './batch-faults.ts'
import { type History, history } from './batch-history.ts'
import type { Node } from './cluster.ts'

const test = suite('syncsrv/acceptance-history')
const SEED = Number(process.env.SEED ?? 1)
const HISTORIES = Number(process.env.HISTORIES ?? 200)
/** A planted fault must be seen within so many histories, or moments of a crash. */
const TRIES_MAX = 60

test(`${HISTORIES} random histories`, async () => {
  const tally: Record<string, number> = {}
  for (let seed = SEED; seed < SEED + HISTORIES; seed++) {
    const { breaches, batches, done } = await history(seed)
    assert.equal(breaches, [], `SEED=${seed}`)
    for (const { outcome, accept } of batches) tally[`${accept} ${outcome}`] = (tally[`${accept} ${outcome}`] ?? 0) + 1
    for (const [what, times] of Object.entries(done)) tally[what] = (tally[what] ?? 0) + times
  }
  for (const accept of ['all', 'majority']) {
    for (const outcome of ['acknowledged', 'refused', 'unknown']) {
      assert.ok(tally[`${accept} ${outcome}`]! > HISTORIES / 20, `void: ${JSON.stringify(tally)}`)
    }
  }
})

test('one seed is one history', async () => {
  const told = ({ batches, done }: History) => [done, batches.map(({ name, outcome, error }) => [name, outcome, error?.message])]
  assert.equal(told(await history(SEED)), told(await history(SEED)))
})

for (const { name, plant, plantInAll } of BATCH_FAULTS) {
  test(`a planted fault is seen: ${name}`, async () => {
    const takeOut = plantInAll?.()
    try {
      const breaches = (await seenByHistories(plant)) ?? (await seenByCrashes(plant))
      assert.ok(breaches, `nothing was seen in ${TRIES_MAX} histories, nor in as many moments of each crash`)
    } finally {
      takeOut?.()
    }
  })
}

async function seenByHistories(plant: ((node: Node) => void) | undefined): Promise<readonly string[] | undefined> {
  for (let seed = SEED; seed < SEED + TRIES_MAX; seed++) {
    const { breaches } = await history(seed, plant)
    if (breaches.length > 0) return breaches
  }
  return undefined
}

async function seenByCrashes(plant: ((node: Node) => void) | undefined): Promise<readonly string[] | undefined> {
  for (const scenario of SCENARIOS) {
    for (let moment = 0; moment < TRIES_MAX; moment++) {
      const { breaches } = await crash({ scenario, victim: 0, how: 'powerCut', moment, ...(plant && { plant }) })
      if (breaches.length > 0) return breaches
    }
  }
  return undefined
}

test.run()
