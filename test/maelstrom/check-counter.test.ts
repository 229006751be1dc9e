// The checker says yes to what a right counter shows, and no to each way of being wrong.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkCounter } from './check-counter.ts'
import { History, type Operation } from './history.ts'

const NODES = ['n1', 'n2']
const test = suite('maelstrom/check-counter')

const add = (history: History, node: string, delta: number, outcome: Operation['outcome'] = 'ok'): void => {
  const operation = history.begin('add', node, delta)
  if (outcome !== 'unknown') history.end(operation, outcome)
}
const read = (history: History, node: string, value: number, final = false): void =>
  history.end(history.begin('read', node, 0, final), 'ok', value)
const finals = (history: History, ...values: number[]): void =>
  values.forEach((value, index) => void read(history, NODES[index]!, value, true))
const check = (history: History, grows = false): string[] => checkCounter(history.operations, { nodes: NODES, grows })

/** n1 adds 5 and -2 with success, n2 fails with 100, and 7 at n2 is unknown. */
function mixed(): History {
  const history = new History()
  add(history, 'n1', 5)
  add(history, 'n2', 100, 'failed')
  add(history, 'n2', 7, 'unknown')
  add(history, 'n1', -2)
  return history
}

test('acknowledged adds count, failed ones do not, unknown ones may', () => {
  for (const sum of [3, 10]) {
    const history = mixed()
    finals(history, sum, sum)
    assert.equal(check(history), [])
  }
})

test('a lost acknowledged add is seen', () => {
  const history = mixed()
  finals(history, -2, -2)
  assert.ok(check(history).includes('n1 shows -2 in the end, and possible is one of 2 from 3 to 10.'))
})

test('an add that counted twice is seen', () => {
  const history = mixed()
  finals(history, 8, 8)
  assert.match(check(history).join('\n'), /n2 shows 8 in the end/)
})

test('a failed add that counted is seen', () => {
  const history = mixed()
  finals(history, 103, 103)
  assert.is.not(check(history).length, 0)
})

test('an unknown add that counted in part is seen, though the sum is in the range', () => {
  const history = mixed()
  finals(history, 6, 6)
  assert.match(check(history).join('\n'), /n1 shows 6 in the end/)
})

test('nodes that show different possible sums are seen', () => {
  const history = mixed()
  finals(history, 3, 10)
  assert.equal(check(history), ['The nodes do not agree in the end: n1 shows 3, n2 shows 10.'])
})

test('a node without a last read is seen', () => {
  const history = mixed()
  finals(history, 3)
  assert.equal(check(history), ['n2 has no last read.'])
})

test('a read without what its own node has acknowledged is seen', () => {
  const history = new History()
  add(history, 'n1', 5)
  read(history, 'n2', 0)
  read(history, 'n1', 0)
  finals(history, 5, 5)
  assert.equal(check(history), ['n1 shows 0 at 4, outside [5, 5].'])
})

test('a read of what nobody has added yet is seen', () => {
  const history = new History()
  read(history, 'n2', 5)
  add(history, 'n1', 5)
  finals(history, 5, 5)
  assert.equal(check(history), ['n2 shows 5 at 0, outside [0, 0].'])
})

test('a read may show an add that is under way', () => {
  const history = new History()
  const slow = history.begin('add', 'n1', 5)
  read(history, 'n2', 5)
  history.end(slow, 'ok')
  finals(history, 5, 5)
  assert.equal(check(history), [])
})

test('a growing counter that shows less than before is seen', () => {
  const history = new History()
  add(history, 'n1', 5)
  add(history, 'n1', 4)
  read(history, 'n2', 9)
  read(history, 'n2', 5)
  finals(history, 9, 9)
  assert.equal(check(history, true), ['n2 shows 5 at 6, and 9 before.'])
  assert.equal(check(history, false), [])
})

test.run()
