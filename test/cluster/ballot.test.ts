// Whether enough members accept a batch, against a count by hand.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { AcceptanceRefused, Ballot } from '../../lib/cluster/index.ts'

const test = suite('cluster/ballot')

const refusal = (node: number) => ({ node, code: 'DRAINING', reason: 'it leaves' })

test('all: every member that was asked accepts, and one that refuses is enough', () => {
  const ballot = new Ballot({ accept: 'all', asked: [2, 3], absent: [] })
  assert.is(ballot.verdict, 'open')
  ballot.accept(2)
  assert.is(ballot.verdict, 'open')
  ballot.accept(3)
  assert.is(ballot.verdict, 'accepted')
  assert.equal(ballot.accepted, [2, 3])

  const refused = new Ballot({ accept: 'all', asked: [2, 3], absent: [] })
  refused.refuse(refusal(3))
  assert.is(refused.verdict, 'refused')
  refused.accept(2)
  assert.is(refused.verdict, 'refused')
  assert.equal(refused.refused().refusals, [refusal(3)])
})

test('all: who is dead is not asked, and a node that is alone asks nobody', () => {
  assert.is(new Ballot({ accept: 'all', asked: [], absent: [2, 3] }).verdict, 'accepted')
  assert.is(new Ballot({ accept: 'all', asked: [], absent: [] }).verdict, 'accepted')
})

//  members  dead  others that must accept
//     1       0      0
//     2       0      1
//     3       0      1
//     3       1      1
//     4       0      2
//     5       2      2
test('majority: more than half of all members accept, the asker and the dead ones counted', () => {
  for (const [members, dead, needed] of [
    [1, 0, 0],
    [2, 0, 1],
    [3, 0, 1],
    [3, 1, 1],
    [4, 0, 2],
    [5, 2, 2],
  ] as const) {
    const others = Array.from({ length: members - 1 }, (_, index) => index + 2)
    const ballot = new Ballot({ accept: 'majority', asked: others.slice(dead), absent: others.slice(0, dead) })
    for (let accepted = 0; accepted < needed; accepted++) {
      assert.is(ballot.verdict, 'open', `${accepted} of ${members}`)
      ballot.accept(others[dead + accepted]!)
    }
    assert.is(ballot.verdict, 'accepted', `${members} members, ${dead} dead`)
  }
})

test('a majority that cannot come is refused at once, and those that are dead are named', () => {
  const ballot = new Ballot({ accept: 'majority', asked: [2], absent: [3, 4] })
  assert.is(ballot.verdict, 'refused')
  const error = ballot.refused()
  assert.instance(error, AcceptanceRefused)
  assert.is(error.code, 'ITEMS_REFUSED')
  assert.equal(
    error.refusals.map(({ node }) => node),
    [3, 4],
  )
  assert.match(error.message, /node 3: .*dead.*node 4/)
  assert.match(error.fix!, 'accept=one')
})

test('who has not answered when time is up refuses; nobody counts twice, and strangers do not count', () => {
  const ballot = new Ballot({ accept: 'majority', asked: [2, 3, 4, 5], absent: [] })
  ballot.accept(2)
  ballot.accept(2)
  ballot.accept(9)
  ballot.refuse(refusal(2))
  assert.is(ballot.verdict, 'open')
  ballot.close('PEER_UNREACHABLE', 'no answer')
  assert.is(ballot.verdict, 'refused')
  assert.equal(
    ballot.refused().refusals.map(({ node, code }) => [node, code]),
    [3, 4, 5].map((node) => [node, 'PEER_UNREACHABLE']),
  )
})

test('the verdict is that of a count by hand, whatever the order, and never changes', () => {
  const votes = fc.array(fc.record({ node: fc.integer({ min: 2, max: 8 }), accepts: fc.boolean() }), { maxLength: 12 })
  fc.assert(
    fc.property(
      fc.constantFrom('all', 'majority'),
      fc.integer({ min: 0, max: 6 }),
      fc.integer({ min: 0, max: 3 }),
      votes,
      (accept, asked, absent, cast) => {
        const ballot = new Ballot({
          accept: accept as 'all' | 'majority',
          asked: Array.from({ length: asked }, (_, index) => index + 2),
          absent: Array.from({ length: absent }, (_, index) => index + 100),
        })
        const answers = new Map<number, boolean>()
        let decided: string | undefined
        for (const { node, accepts } of cast) {
          if (node < asked + 2 && !answers.has(node)) answers.set(node, accepts)
          if (accepts) ballot.accept(node)
          else ballot.refuse(refusal(node))
          const [yes, no] = [true, false].map((answer) => [...answers.values()].filter((value) => value === answer).length) as [
            number,
            number,
          ]
          const members = 1 + asked + absent
          const won = accept === 'all' ? yes === asked : 2 * (yes + 1) > members
          const lost = accept === 'all' ? no > 0 : 2 * (asked - no + 1) <= members
          assert.is(ballot.verdict, won ? 'accepted' : lost ? 'refused' : 'open')
          assert.ok(decided === undefined || ballot.verdict === decided, 'a verdict stays')
          if (ballot.verdict !== 'open') decided = ballot.verdict
        }
      },
    ),
  )
})

test.run()
