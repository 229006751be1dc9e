// The checker of histories finds what it is there for, and nothing in histories that are well.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkHistory, type Seen, type Taken } from './history.ts'

const test = suite('sequence/history')

const next = (
  startMs: number,
  endMs: number,
  outcome: Taken['outcome'] | number,
  more: { key?: string; count?: number } = {},
): Seen => {
  const count = more.count ?? 1
  return {
    kind: 'next',
    startMs,
    endMs,
    count,
    ...(more.key !== undefined && { key: more.key }),
    outcome: typeof outcome === 'number' ? { first: outcome, last: outcome + count - 1, replayed: false } : outcome,
  }
}
const get = (startMs: number, endMs: number, value: number): Seen => ({ kind: 'get', startMs, endMs, value })
const again = (first: number, last = first) => ({ first, last, replayed: true })

test('histories that one sequence can have shown are well', () => {
  assert.equal(checkHistory([], 0), [])
  assert.equal(checkHistory([next(0, 1, 1), next(2, 3, 2), get(4, 5, 2)], 2), [])
  assert.equal(checkHistory([next(0, 9, 2), next(1, 8, 1), get(2, 7, 0), get(3, 7, 2)], 2), [], 'at the same time any order')
  assert.equal(checkHistory([next(0, 1, 1, { count: 5 }), next(2, 3, 6)], 6), [])
  assert.equal(checkHistory([next(0, 1, 'unknown', { count: 2 }), next(2, 3, 3)], 3), [], 'taken')
  assert.equal(checkHistory([next(0, 1, 'unknown', { count: 2 }), next(2, 3, 1)], 1), [], 'not taken')
  assert.equal(checkHistory([next(0, 1, 'unknown', { count: 2 }), next(2, 3, 1)], 3), [], 'taken later')
  assert.equal(checkHistory([next(0, 1, 'unknown', { key: 'k' }), next(2, 3, 2), next(4, 5, again(1), { key: 'k' })], 2), [])
  assert.equal(checkHistory([next(0, 1, 'nothing'), next(2, 3, 1)], 1), [])
})

test('what one sequence cannot have shown is found', () => {
  const cases: [what: RegExp, history: Seen[], final: number][] = [
    [/overlap/, [next(0, 9, 1), next(0, 9, 1)], 1],
    [/overlap/, [next(0, 9, 1, { count: 5 }), next(0, 9, 3)], 5],
    [/overlap/, [next(0, 1, 'unknown', { key: 'k' }), next(0, 9, again(1), { key: 'k' }), next(0, 9, 1)], 1],
    [/came after/, [next(0, 1, 2), next(2, 3, 1)], 2],
    [/came after the numbers 1/, [next(0, 1, 1), get(2, 3, 0)], 1],
    [/came after the value 1/, [next(4, 5, 1), get(2, 3, 1)], 1],
    [/came after the value 5/, [next(0, 9, 1, { count: 9 }), get(2, 3, 5), get(4, 5, 4)], 9],
    [/1 numbers are missing/, [next(0, 1, 1), next(2, 3, 3)], 3],
    [/1 numbers are missing/, [next(0, 1, 'nothing'), next(2, 3, 2)], 2],
    [/2 numbers are missing/, [next(0, 1, 'unknown'), next(2, 3, 3)], 3],
    [/1 numbers are missing/, [next(0, 1, 'unknown', { key: 'k' }), next(2, 3, 2, { key: 'k' })], 2],
    [/the number 2 was given/, [next(0, 1, 1), next(2, 3, 2)], 1],
    [/the key k got 1 to 1, and 2 to 2/, [next(0, 1, 1, { key: 'k' }), next(2, 3, again(2), { key: 'k' })], 2],
    [/new to two callers/, [next(0, 1, 1, { key: 'k' }), next(2, 3, 1, { key: 'k' })], 1],
    [/were given for 2 numbers/, [next(0, 1, { first: 1, last: 3, replayed: false }, { count: 2 })], 3],
    [/were given for 1 numbers/, [next(0, 1, 0)], 0],
  ]
  for (const [what, history, final] of cases) assert.match(checkHistory(history, final).join('; '), what)
})

test.run()
