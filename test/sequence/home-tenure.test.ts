// Who may give numbers out: the verdict on what all members say, case by case, and that no two nodes ever get one to give numbers at once.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  contradicts,
  decodeStanding,
  type Evidence,
  encodeStanding,
  type Holding,
  judge,
  type Mark,
  type Opinion,
  type Standing,
  type Tenure,
} from '../../lib/sequence/home-tenure.ts'

const test = suite('sequence/home-tenure')

const tenure = (term: number, home: number, life = `${term}${home}`.padStart(16, 'a')): Tenure => ({ term, life, home })
const NOTHING: Standing = { tenure: undefined, holding: 'none' }
const stands = (of: Tenure, holding: Holding): Standing => ({ tenure: of, holding })

const says = (node: number, standing: Standing = NOTHING, marks: Record<string, Mark> = {}, home = 0): Opinion => ({
  node,
  home,
  ...standing,
  members: [0, 1, 2],
  marks: new Map(Object.entries(marks)),
})

/** Node 0, which the settings name, with the others as given. */
function verdict(own: Standing, opinions: readonly Opinion[], more: Partial<Evidence> = {}): string {
  const missing = [1, 2].filter((node) => opinions.every((opinion) => opinion.node !== node))
  const evidence = { self: 0, own, opinions, missing, lonely: false, doubtful: false, givenHere: () => 0, ...more }
  const found = judge(evidence)
  return found.kind === 'begin' ? `begin ${found.term}${found.from ? ` from ${found.from.node}` : ''}` : found.kind
}

test('nothing was ever given: it begins when every member has said so', () => {
  assert.is(verdict(NOTHING, [says(1), says(2)]), 'begin 1')
  assert.is(verdict(NOTHING, [says(1)]), 'wait')
  assert.is(verdict(NOTHING, [], { missing: [] }), 'begin 1', 'alone')
  assert.is(verdict(NOTHING, [], { missing: [], lonely: true }), 'wait', 'there are others to be found')
})

test('who holds the last tenure goes on, with nobody there even; where its directory is doubtful everybody has to agree', () => {
  const own = stands(tenure(3, 0), 'holds')
  assert.is(verdict(own, []), 'serve')
  assert.is(verdict(own, [says(1, stands(tenure(3, 0), 'none')), says(2)]), 'serve')
  assert.is(verdict(own, [says(1)], { doubtful: true }), 'wait')
  assert.is(verdict(own, [says(1), says(2)], { doubtful: true }), 'serve')
  assert.is(verdict(own, [says(1, NOTHING, {}, 1)]), 'serve', 'another setting elsewhere begins nothing')
})

test('who has lost its tenure, or numbers of it, is lost', () => {
  const known = stands(tenure(3, 0), 'none')
  for (const own of [NOTHING, stands(tenure(2, 0), 'holds'), stands(tenure(3, 0), 'none'), stands(tenure(3, 0, 'b'), 'holds')]) {
    assert.is(verdict(own, [says(1, known)]), 'lost')
    assert.is(verdict(own, [says(1, known), says(2)]), 'lost')
  }
  const own = stands(tenure(3, 0), 'holds')
  const heard = { a: { term: 3, value: 11 } }
  assert.is(verdict(own, [says(1, known, heard)], { givenHere: () => 10 }), 'lost')
  assert.is(verdict(own, [says(1, known, heard)], { givenHere: () => 11 }), 'serve')
  assert.is(verdict(own, [says(1, known, { a: { term: 2, value: 99 } })]), 'serve', 'values were taken back since')
})

test('what another home has given over is taken from there, when it is all there', () => {
  const last = tenure(3, 1)
  const marks = { a: { term: 3, value: 7 } }
  assert.is(verdict(NOTHING, [says(1, stands(last, 'ceded'), marks), says(2)]), 'begin 4 from 1')
  assert.is(verdict(stands(tenure(2, 0), 'ceded'), [says(1, stands(last, 'ceded'), marks), says(2)]), 'begin 4 from 1')
  assert.is(verdict(NOTHING, [says(1, stands(last, 'ceded'), marks)]), 'wait', 'node 2 may know of another')
  assert.is(verdict(NOTHING, [says(2, stands(last, 'none'))]), 'wait', 'it is not there')
  assert.is(verdict(NOTHING, [says(2, stands(last, 'none'))], { missing: [] }), 'lost', 'it is no member any more')
  assert.is(verdict(NOTHING, [says(1), says(2, stands(last, 'none'))]), 'lost', 'it has lost it')
  const more = says(2, stands(last, 'none'), { a: { term: 3, value: 8 } })
  assert.is(verdict(NOTHING, [says(1, stands(last, 'ceded'), marks), more]), 'lost', 'it was put back')
  assert.is(verdict(stands(tenure(4, 0), 'ceded'), [says(1, stands(last, 'ceded')), says(2)]), 'begin 5', 'back again')
})

test('nothing begins while settings differ, or from two beginnings', () => {
  assert.is(verdict(NOTHING, [says(1, NOTHING, {}, 1), says(2)]), 'conflict')
  assert.is(verdict(stands(tenure(1, 0), 'holds'), [says(1, stands(tenure(1, 1), 'ceded')), says(2)]), 'lost')
  assert.is(verdict(NOTHING, [says(1, stands(tenure(2, 1), 'ceded')), says(2, stands(tenure(2, 1, 'b'), 'none'))]), 'lost')
})

test('a tenure is contradicted by a later one and by another of its term', () => {
  assert.is(contradicts(undefined, undefined), false)
  assert.is(contradicts(undefined, tenure(1, 0)), false)
  assert.is(contradicts(tenure(1, 0), undefined), true)
  assert.is(contradicts(tenure(2, 0), tenure(1, 0)), true)
  assert.is(contradicts(tenure(1, 0), tenure(2, 1)), false)
  assert.is(contradicts(tenure(1, 0), tenure(1, 0)), false)
  assert.is(contradicts(tenure(1, 0), tenure(1, 0, 'b')), true)
})

test('a standing is there again from its bytes, and damaged ones are refused', () => {
  for (const holding of ['none', 'holds', 'ceded'] as const) {
    for (const standing of [NOTHING, stands(tenure(2 ** 40, 2 ** 30, '0123456789abcdef'), holding)]) {
      const bytes = encodeStanding(standing)
      assert.equal(decodeStanding(bytes), standing)
      for (let length = 0; length < bytes.length; length++) assert.throws(() => decodeStanding(bytes.subarray(0, length)))
    }
  }
  assert.throws(() => decodeStanding(Uint8Array.of(0, 3)), /unknown holding/)
})

/** Nodes that ask, give over and begin, with settings that change in any order and answers that get lost. */
interface ModelNode {
  home: number
  standing: Standing
}

test('however settings change and answers are lost, no two nodes give numbers', () => {
  const step = fc.oneof(
    fc.record({ what: fc.constant('set' as const), nodes: fc.constantFrom([0], [1], [2], [0, 1, 2]), home: fc.nat(2) }),
    fc.record({
      what: fc.constant('confirm' as const),
      node: fc.nat(2),
      reached: fc.constantFrom(7, 7, 7, 1, 2, 4, 3, 5, 6),
      heard: fc.constantFrom(7, 7, 7, 1, 2, 4, 3, 5, 6),
    }),
  )
  let begun = 0
  fc.assert(
    fc.property(fc.array(step, { minLength: 40, maxLength: 60 }), (steps) => {
      const nodes: ModelNode[] = [0, 1, 2].map(() => ({ home: 0, standing: NOTHING }))
      let lives = 0
      for (const at of steps) {
        if (at.what === 'set') {
          for (const node of at.nodes) nodes[node]!.home = at.home
          continue
        }
        const node = nodes[at.node]!
        if (node.home === at.node) {
          const opinions: Opinion[] = []
          const missing: number[] = []
          for (const [other, asked] of nodes.entries()) {
            if (other === at.node) continue
            // The question arrives, or not; then the answer does, or not.
            const isAsked = (at.reached >> other) & 1
            if (isAsked && asked.home === at.node && asked.standing.holding === 'holds') {
              asked.standing = { ...asked.standing, holding: 'ceded' }
            }
            if (isAsked && (at.heard >> other) & 1) opinions.push(says(other, asked.standing, {}, asked.home))
            else missing.push(other)
          }
          const evidence = {
            self: at.node,
            own: node.standing,
            opinions,
            missing,
            lonely: false,
            doubtful: false,
            givenHere: () => 0,
          }
          const found = judge(evidence)
          assert.is.not(found.kind, 'lost', 'nothing was ever lost')
          if (found.kind === 'begin') {
            begun++
            node.standing = stands(tenure(found.term, at.node, String(++lives).padStart(16, '0')), 'holds')
          }
        }
        const giving = nodes.filter(({ standing }) => standing.holding === 'holds')
        assert.ok(giving.length <= 1, 'one at most')
      }
    }),
    { numRuns: 2000, seed: Number(process.env.SEED ?? 1) },
  )
  assert.ok(begun > 1000, `${begun} tenures`)
})

test.run()
