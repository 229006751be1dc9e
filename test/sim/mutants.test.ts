// A few planted faults, the quick ones, are caught. All of them: npm run mutants.

import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { BATCH_MUTANTS } from './batch-mutants.ts'
import { CLUSTER_MUTANTS } from './cluster-mutants.ts'
import { ITEM_MUTANTS } from './item-mutants.ts'
import { KEYED_MUTANTS } from './keyed-mutants.ts'
import { catchMutant, MUTANTS } from './mutants.ts'

const test = suite('sim/mutants')
const QUICK = ['ack before sync', 'reads do not wait for the open group', 'merge adds up']

for (const name of QUICK) {
  test(`caught: ${name}`, async () => {
    assert.ok(await catchMutant(MUTANTS.find((mutant) => mutant.name === name)!))
  })
}

test('every fault has its place in the source, once', () => {
  const lost = [...MUTANTS, ...ITEM_MUTANTS, ...BATCH_MUTANTS, ...CLUSTER_MUTANTS, ...KEYED_MUTANTS].filter(
    ({ file, from }) => readFileSync(file, 'utf8').split(from).length !== 2,
  )
  assert.equal(
    lost.map(({ name }) => name),
    [],
  )
})

test('a source without a fault passes', async () => {
  const nothing = {
    name: 'nothing',
    file: 'lib/persistence/log.ts',
    from: 'const RESERVE_BYTES =',
    to: 'const RESERVE_BYTES =',
  }
  assert.is(await catchMutant(nothing, 40), undefined)
})

test.run()
