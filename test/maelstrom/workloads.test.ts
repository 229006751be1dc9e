// Maelstrom's workloads on real processes, cut off from each other, with lost messages and kill -9 (docs/decisions/0010); and the same with a
// node that acknowledges too early, which must not pass.
// time limit: 1000 s
// SECONDS=120 SEED=7 makes them long runs.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { buildCounter } from '../e2e/built.ts'
import { TROUBLES } from './trouble.ts'
import { type RunResult, runWorkload } from './workload.ts'

const SECONDS = Number(process.env.SECONDS ?? 15)
const seed = Number(process.env.SEED ?? 1)
const test = suite('maelstrom/workloads')

function assertHolds({ breaches, voids, counts, logs }: RunResult): void {
  console.log(JSON.stringify(counts))
  assert.equal(breaches, [], logs)
  assert.equal(voids, [], logs)
}

for (const workload of ['pn-counter', 'g-counter'] as const) {
  test(`${workload} holds through partitions, loss, delay and kills of ${SECONDS} s`, async () => {
    const command = [...(await buildCounter()), 'maelstrom'] as const
    assertHolds(await runWorkload({ workload, nodes: 3, seconds: SECONDS, seed, troubles: TROUBLES, command }))
  })
}

test('a node that acknowledges before its log is on disk does not pass, and the same one that waits does', async () => {
  const command = await buildCounter('test/maelstrom/slow-node.ts')
  const options = { workload: 'pn-counter', nodes: 2, clients: 6, seconds: 8, seed, troubles: ['kill'] } as const
  const careful = await runWorkload({ ...options, command })
  assertHolds(careful)
  const breaches: string[] = []
  // Who answers at once leaves nobody in doubt: such a run goes on for as long as it may. Whether a kill falls between an answer and its write is
  // up to chance.
  for (let attempt = 0; attempt < 3 && breaches.length === 0; attempt++) {
    const hasty = await runWorkload({ ...options, seconds: 3, seed: seed + attempt, command: [...command, 'hasty'] })
    breaches.push(...hasty.breaches)
  }
  assert.match(breaches.join('\n'), /shows .* outside|shows .* in the end, and possible/)
})

test.run()
