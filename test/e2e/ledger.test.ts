// The ledger must be able to fail: each fault that it is there for is planted into a node that is only a Map.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { HOT, Ledger, type Op, type ReadCounts, requestOf } from '../support/ledger.ts'

const test = suite<{ ledger: Ledger; node: Counts; acknowledged: Op; unknown: Op; refused: Op }>('e2e/ledger')

class Counts extends Map<string, number> {
  add(name: string, by = 1): void {
    this.set(name, (this.get(name) ?? 0) + by)
  }

  count(op: Op): void {
    this.add(HOT)
    this.add(op.name)
  }

  readonly read: ReadCounts = async (names) => new Map(Array.from(names, (name) => [name, this.get(name) ?? 0]))
}

test.before.each((context) => {
  const [ledger, node] = [new Ledger({ keyedEvery: 2 }), new Counts()]
  const [acknowledged, unknown, refused] = [ledger.begin(), ledger.begin(), ledger.begin()]
  node.count(acknowledged)
  ledger.acknowledged(acknowledged)
  ledger.unknown(unknown)
  ledger.refused(refused)
  Object.assign(context, { ledger, node, acknowledged, unknown, refused })
})

const pick = (below: number): number => seededRandom(1).uint32() % below

test('an honest node passes, whether the unknown op counted or not', async ({ ledger, node }) => {
  assert.equal(await ledger.check(node.read), [])
  assert.equal(await ledger.checkSome(node.read, 3, pick), [])
})

test('an unknown op may have counted', async ({ ledger, node, unknown }) => {
  node.count(unknown)
  assert.equal(await ledger.check(node.read), [])
})

test('a lost acknowledgement is found', async ({ ledger, node, acknowledged }) => {
  node.add(HOT, -1)
  node.delete(acknowledged.name)
  assert.equal(await ledger.check(node.read), ['op-0 was acknowledged, and reads 0 instead of 1.'])
})

test('an op that counted twice is found', async ({ ledger, node, acknowledged }) => {
  node.count(acknowledged)
  assert.equal(await ledger.check(node.read), [
    'op-0 was acknowledged, and reads 2 instead of 1.',
    'hot reads 2, but 0 ops read 1.',
  ])
})

test('half a text is found, whichever half it is', async ({ ledger, node, unknown }) => {
  node.add(unknown.name)
  assert.equal(await ledger.check(node.read), ['hot reads 1, but 2 ops read 1.'])
  node.add(HOT, 2)
  assert.equal(await ledger.check(node.read), ['hot reads 3, but 2 ops read 1.'])
})

test('a refused op that counted is found', async ({ ledger, node, refused }) => {
  node.count(refused)
  assert.match((await ledger.check(node.read)).join(), 'op-2 was refused, and reads 1 instead of 0.')
})

test('a count that a read has shown and that is gone later is found', async ({ ledger, node, unknown }) => {
  node.count(unknown)
  assert.equal(await ledger.check(node.read), [])
  node.delete(unknown.name)
  node.add(HOT, -1)
  assert.equal(await ledger.check(node.read), [
    'op-1 was unknown, and read 1 before, and reads 0 instead of 1.',
    'hot reads 1, but 2 ops read 1.',
  ])
})

test('a keyed op that was lost and sent again counts once, and twice is found', async ({ ledger, node }) => {
  ledger.begin()
  const keyed = ledger.begin()
  assert.ok(keyed.keyed)
  ledger.unknown(keyed)
  assert.equal(ledger.open(), [keyed])
  assert.equal(await ledger.check(node.read), [])
  ledger.resend(keyed)
  node.count(keyed)
  ledger.acknowledged(keyed)
  assert.equal(await ledger.checkSome(node.read, 0, pick), [])
  node.count(keyed)
  assert.is((await ledger.check(node.read)).length, 2)
})

test('an attempt that is refused leaves an earlier one unknown', async ({ ledger, node, unknown }) => {
  ledger.refused(unknown)
  node.count(unknown)
  assert.equal(await ledger.check(node.read), [])
})

test('the same op is always the same request, as its key demands', ({ acknowledged }) => {
  assert.equal(requestOf(acknowledged), requestOf(acknowledged))
})

test.run()
