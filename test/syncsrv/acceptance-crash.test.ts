// A batch that all keep or none, and a crash of the coordinator or of a member at every step: before and after each message, each durable
// write and everything in between. At every look at every node the batch is there as a whole or not at all.
// time limit: 900 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Crashed, crash, SCENARIOS, type Scenario } from './batch-crash.ts'

const test = suite('syncsrv/acceptance-crash')

const MOMENTS_MAX = 1000

/** One run for each moment until there is none left. */
async function crashAtEach(scenario: Scenario, victim: number, how: 'kill' | 'powerCut'): Promise<Crashed[]> {
  const runs: Crashed[] = []
  for (let moment = 0; moment < MOMENTS_MAX; moment++) {
    const run = await crash({ scenario, victim, how, moment })
    assert.equal(run.breaches, [], `${scenario.name}: node ${victim + 1} dies at moment ${moment} (${how})`)
    runs.push(run)
    if (!run.crashed) return runs
  }
  throw new Error('there is no end of it')
}

const [ALL, REFUSED, MAJORITY, ALONE] = SCENARIOS as [Scenario, Scenario, Scenario, Scenario]
const outcomes = (runs: readonly Crashed[]): Set<string> =>
  new Set(runs.map(({ batch, kept }) => `${batch.outcome}${kept ? ' and kept' : ''}`))

for (const how of ['kill', 'powerCut'] as const) {
  test(`the coordinator dies at any moment (${how}): nowhere, or everywhere`, async () => {
    const runs = await crashAtEach(ALL, 0, how)
    assert.ok(runs.length > 40, `void: only ${runs.length} moments`)
    // It was hit before the decision, after it, and after the answer.
    assert.equal([...outcomes(runs)].sort(), ['acknowledged and kept', 'unknown', 'unknown and kept'])
  })

  test(`a member dies at any moment (${how}): refused and nowhere, or accepted and everywhere`, async () => {
    const runs = await crashAtEach(ALL, 1, how)
    assert.ok(runs.length > 40, `void: only ${runs.length} moments`)
    assert.equal([...outcomes(runs)].sort(), ['acknowledged and kept', 'refused'])
    // Some had promised, and got the batch when they were back.
    assert.ok(runs.some(({ batch }) => batch.answer?.accepted === 2))
  })

  test(`a node alone dies at any moment (${how})`, async () => {
    const runs = await crashAtEach(ALONE, 0, how)
    assert.equal([...outcomes(runs)].sort(), ['acknowledged and kept', 'unknown', 'unknown and kept'])
  })
}

test('a batch that one refuses is nowhere, whoever dies at whatever moment', async () => {
  for (const victim of [0, 1]) {
    const runs = await crashAtEach(REFUSED, victim, 'kill')
    assert.ok(runs.every(({ kept }) => !kept))
    assert.ok(outcomes(runs).has('refused'))
  }
})

test('a majority keeps it or nobody, whoever dies at whatever moment', async () => {
  for (const victim of [0, 1]) {
    const runs = await crashAtEach(MAJORITY, victim, 'kill')
    assert.ok(outcomes(runs).has('acknowledged and kept'))
    assert.ok(runs.some(({ kept }) => !kept))
  }
})

test.run()
