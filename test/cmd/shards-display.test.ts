// What an operator is told of a shard without slots: whether it may be stopped, and when.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { emptiedText } from '../../cmd/shards-display.ts'
import { forget, freeze, handOver, release, SlotMap, widen } from '../../lib/cluster/index.ts'

const test = suite('cmd/shards-display')
const NODES = { sender: 1, receiver: 1 }
const DAY_MS = 86_400_000
const AT_MS = Date.parse('2024-05-06T07:08:09.000Z')

test('of a shard that was emptied it is said until when retries ask it, and then that it may be stopped', () => {
  const half = { ranges: [[0, 4_000] as const], from: 0, to: 1 }
  const first = release(handOver(freeze(SlotMap.even(2), half, NODES), AT_MS - 5_000, DAY_MS))
  const map = release(handOver(freeze(first, { ...half, ranges: [[4_001, 8_191]] }, NODES), AT_MS, DAY_MS))
  const soon = emptiedText(map, 0, DAY_MS)
  assert.match(soon, /^shard 0 has nothing left: .* until 2024-05-07T07:08:09\.000Z \(COUNTER_IDEMPOTENCY_TTL\): let it run\./)
  assert.match(soon, 'Run this again afterwards, and then stop it.\n')
  const late = emptiedText(forget(map, 0, AT_MS + DAY_MS + 1, DAY_MS)!, 0, DAY_MS)
  assert.match(late, 'Nobody asks it any more: it may be stopped. Keep its place in COUNTER_SHARDS.\n')
})

test('one whose part of the total has not gone along has to run on', () => {
  assert.match(
    emptiedText(widen(SlotMap.even(2), ['http://c']), 2, DAY_MS),
    /^shard 2 has no names left\. It has a part of the one total/,
  )
})

test.run()
