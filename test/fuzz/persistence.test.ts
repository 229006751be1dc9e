// Short runs of the fuzzers of what lies on disk. Longer ones: node --import tsx test/fuzz/log.fuzz.ts --runs 100000 --seed 7.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { fuzzLog } from './log.fuzz.ts'
import { fuzzSnapshot } from './snapshot.fuzz.ts'

const test = suite('fuzz/persistence')
const seed = Number(process.env.SEED ?? 1)

test('a damaged log opens with what is true in it, or is refused', async () => {
  const ends = await fuzzLog(400, seed)
  for (const end of ['opened', 'LOG_CORRUPT']) assert.ok((ends.get(end) ?? 0) > 20, `${end} ${ends.get(end)}`)
})

test('a damaged snapshot is refused', async () => {
  const ends = await fuzzSnapshot(1000, seed)
  for (const end of ['read', 'SNAPSHOT_CORRUPT']) assert.ok((ends.get(end) ?? 0) > 20, `${end} ${ends.get(end)}`)
})

test.run()
