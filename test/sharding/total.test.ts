// Random histories of the one total, with shards that are emptied and filled again, and planted faults that they find.
// time limit: 900 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runTotalHistory } from './total-history.ts'
import type { TotalFault } from './total-transport.ts'

const test = suite('sharding/total')
const SEED = Number(process.env.SEED ?? 1)

async function run(histories: number, replicas: number): Promise<Set<string>> {
  const killedIn = new Set<string>()
  let [acknowledged, retried, reads, emptied] = [0, 0, 0, 0]
  for (let seed = SEED; seed < SEED + histories; seed++) {
    const result = await runTotalHistory({ seed, replicas })
    assert.equal(result.wrong, [], `seed ${seed}`)
    for (const phase of result.killedIn) killedIn.add(phase)
    acknowledged += result.acknowledged
    retried += result.retried
    reads += result.reads
    emptied += result.emptied
  }
  assert.ok(acknowledged > 50 * histories && reads > 20 * histories, `void: ${acknowledged} were added, ${reads} reads`)
  assert.ok(
    retried > 2 * histories && emptied > 2 * histories,
    `void: ${retried} were retried, ${emptied} times a shard was emptied`,
  )
  return killedIn
}

test('the total never changes by a shard that is emptied, filled again, and stopped, whatever dies in whichever phase', async () => {
  const killedIn = await run(12, 1)
  for (const phase of ['copy of a part', 'settle of a part']) {
    for (const who of ['mover', 'source', 'target']) assert.ok(killedIn.has(`${who} in ${phase}`), `no ${who} died in ${phase}`)
  }
})

test('nor between groups of replicas, of which any may be asked', async () => {
  await run(4, 2)
})

/** Each fault with how many histories are run to find it. */
const FAULTS: readonly [fault: TotalFault, histories: number][] = [
  ['a part is not frozen', 20],
  ['a shard adds to the same part for ever', 20],
  ['nobody asks who had the slot of a key', 40],
]
for (const [fault, histories] of FAULTS) {
  test(`it is found when ${fault}`, async () => {
    for (let seed = 1; seed <= histories; seed++) {
      const { wrong } = await runTotalHistory({ seed, replicas: 1, faults: [fault] })
      if (wrong.length > 0) return
    }
    assert.unreachable(`${histories} histories looked sound`)
  })
}

test.run()
