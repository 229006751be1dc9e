// Until when writes with idempotency keys may have to be taken back: what is told to the store of what each other member knows.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { VersionVector } from '../../lib/storage/index.ts'
import { Settling } from '../../lib/syncsrv/settling.ts'
import type { Site } from '../../lib/syncsrv/site.ts'

const test = suite('syncsrv/settling')

/** Of each node, all of incarnation 7, the number up to which it is known. */
function vectorOf(known: Record<number, number>): VersionVector {
  const vector = new VersionVector()
  for (const [node, seq] of Object.entries(known)) vector.raise({ node: Number(node), incarnation: 7 }, seq)
  return vector
}

/** Node 1, with others. `told` is what its store was told last: of each other member what it knows of nodes 1 to 3. */
function siteOf(others: number[]) {
  let listener: (node: number) => void = () => {}
  let told: readonly VersionVector[] = []
  let own = vectorOf({})
  const peers = new Map<number, { readonly life: string; readonly vector: VersionVector }>()
  const site = {
    options: {
      store: {
        vector: () => own,
        settle: (known: readonly VersionVector[]) => {
          told = known
        },
      },
    },
    roster: { others: () => others.map((node) => ({ node })) },
    peers: { find: (node: number) => peers.get(node) },
    onHeard: (heard: typeof listener) => {
      listener = heard
    },
  }
  const settling = new Settling(site as unknown as Site)
  return {
    settling,
    knows: (known: Record<number, number>) => {
      own = vectorOf(known)
    },
    hear: (node: number, known: Record<number, number>, life = 'a') => {
      peers.set(node, { life, vector: vectorOf(known) })
      listener(node)
    },
    told: () => told.map((vector) => [1, 2, 3].map((node) => vector.get({ node, incarnation: 7 })).join(' ')),
  }
}

test('of a member that was not heard nothing is known', () => {
  const { settling, hear, knows, told } = siteOf([2, 3])
  settling.look()
  assert.equal(told(), ['0 0 0', '0 0 0'])
  knows({ 1: 5 })
  hear(3, { 1: 4 })
  assert.equal(told(), ['0 0 0', '4 0 0'])
})

test('what a member knows counts when all of it is here', () => {
  const { hear, knows, told } = siteOf([2])
  knows({ 1: 5, 2: 8 })
  hear(2, { 1: 5, 2: 9 })
  assert.equal(told(), ['0 0 0'])
  knows({ 1: 5, 2: 9 })
  hear(2, { 1: 5, 2: 9 })
  assert.equal(told(), ['5 9 0'])
})

test('of a member that is always ahead what it knew at a moment counts when this node has caught up with that', () => {
  const { hear, knows, told } = siteOf([2])
  knows({ 1: 5 })
  hear(2, { 1: 4, 2: 9 })
  knows({ 1: 6, 2: 9 })
  hear(2, { 1: 6, 2: 11 })
  assert.equal(told(), ['4 9 0'])
  knows({ 1: 6, 2: 12 })
  hear(2, { 1: 6, 2: 14 })
  assert.equal(told(), ['6 11 0'])
})

test('what an earlier process of a member knew may be lost', () => {
  const { hear, knows, told } = siteOf([2])
  knows({ 1: 5, 2: 9 })
  hear(2, { 1: 5, 2: 9 })
  assert.equal(told(), ['5 9 0'])
  hear(2, { 2: 9, 3: 1 }, 'b')
  assert.equal(told(), ['0 0 0'])
})

test('a member that has lost what it was ahead with is not waited for', () => {
  const { hear, knows, told } = siteOf([2])
  knows({ 1: 5 })
  hear(2, { 1: 4, 2: 9 })
  assert.equal(told(), ['0 0 0'])
  hear(2, { 1: 5 }, 'b')
  assert.equal(told(), ['5 0 0'])
})

test('who has left is not waited for', () => {
  const others = [2, 3]
  const { settling, hear, knows, told } = siteOf(others)
  knows({ 1: 5 })
  hear(2, { 1: 5 })
  others.pop()
  settling.look()
  assert.equal(told(), ['5 0 0'])
  others.pop()
  settling.look()
  assert.equal(told(), [])
})

test.run()
