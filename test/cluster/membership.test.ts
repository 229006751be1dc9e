// Membership: what a node believes of the others, and how it comes to agree with them.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { type Member, Membership } from '../../lib/cluster/index.ts'
import { MEMBERS_MAX } from '../../lib/cluster/members.ts'

fc.configureGlobal({ seed: Number(process.env.SEED ?? 1) })
const test = suite('cluster/membership')

const SUSPECT_MS = 5000
const STATES = ['alive', 'suspect', 'dead', 'left'] as const

function member(node: number, fields: Partial<Member> = {}): Member {
  return { node, incarnation: 100, edition: 0, state: 'alive', address: `http://n${node}:3001`, publicUrl: '', ...fields }
}

const membership = (self: Member, ...others: Member[]): Membership => {
  const made = new Membership({ self, suspectMs: SUSPECT_MS })
  made.heard(0, others)
  return made
}

/** Two misses in a row: suspect. */
const miss = (made: Membership, nowMs: number, node: number) => [made.missed(nowMs, node), made.missed(nowMs, node)]

const codeOf = (action: () => void): string | undefined => {
  try {
    action()
    return undefined
  } catch (error) {
    assert.instance(error, CounterError)
    return (error as CounterError).code
  }
}

const someMember = fc.record(
  {
    node: fc.integer({ min: 2, max: 4 }),
    incarnation: fc.integer({ min: 1, max: 3 }),
    edition: fc.integer({ min: 0, max: 2 }),
    state: fc.constantFrom(...STATES),
    address: fc.constantFrom('http://a:1', 'http://b:1'),
    publicUrl: fc.constantFrom('', 'http://p:1'),
  },
  { noNullPrototype: true },
)

test('what is heard is joined: order, grouping and repetition do not matter', () => {
  fc.assert(
    fc.property(fc.array(someMember, { maxLength: 12 }), fc.infiniteStream(fc.nat()), fc.nat(), (records, order, cut) => {
      const shuffled = records
        .map((record) => ({ record, key: order.next().value as number }))
        .sort((a, b) => a.key - b.key)
        .map(({ record }) => record)
      const whole = membership(member(1), ...records)
      const parts = membership(member(1))
      const at = cut % (shuffled.length + 1)
      parts.heard(0, shuffled.slice(at))
      parts.heard(0, shuffled.slice(0, at))
      parts.heard(0, shuffled)
      assert.equal(parts.list(), whole.list())
      assert.is(whole.heard(0, parts.list()), false, 'nothing is news twice')
    }),
    { numRuns: 2000 },
  )
})

test('two nodes that tell each other all they know believe the same of everybody else', () => {
  fc.assert(
    fc.property(fc.array(someMember, { maxLength: 8 }), fc.array(someMember, { maxLength: 8 }), (here, there) => {
      const [a, b] = [membership(member(10), ...here), membership(member(11), ...there)]
      a.heard(0, b.list())
      b.heard(0, a.list())
      const others = (made: Membership) => made.list().filter(({ node }) => node < 10)
      assert.equal(others(a), others(b))
      assert.equal(a.find(11), b.self)
    }),
    { numRuns: 500 },
  )
})

test('refutation is monotone: whatever is said of this node, it lives, its edition never falls, and all that was said is void', () => {
  const ofSelf = someMember.map((record) => ({ ...record, node: 1, incarnation: 2, address: 'http://n1:3001' }))
  fc.assert(
    fc.property(fc.array(ofSelf, { maxLength: 12 }), (records) => {
      const made = membership(member(1, { incarnation: 2 }))
      let edition = 0
      for (const record of records) {
        made.heard(0, [record])
        assert.is(made.self.state, 'alive')
        assert.ok(made.self.edition >= edition)
        edition = made.self.edition
      }
      const other = membership(member(2), ...records.filter(({ state }) => state !== 'left'))
      other.heard(0, [made.self])
      assert.equal(other.find(1), made.self)
      assert.is(
        made.removed(1, 2),
        records.some(({ state }) => state === 'left'),
      )
    }),
    { numRuns: 1000 },
  )
})

test('a greater incarnation holds, then that it left, then a greater edition, then the worse news', () => {
  //  the one that holds                                     against
  const grid: Array<[Partial<Member>, Partial<Member>]> = [
    [{ incarnation: 101 }, { incarnation: 100, edition: 9, state: 'left' }],
    [{ state: 'left' }, { edition: 9 }],
    [{ state: 'left' }, { edition: 9, state: 'dead' }],
    [{ edition: 1 }, { state: 'dead' }],
    [{ state: 'dead' }, { state: 'suspect' }],
    [{ state: 'suspect' }, {}],
    [{ edition: 1, address: 'http://a:1' }, { address: 'http://z:1' }],
    [
      { incarnation: 101, address: 'http://a:1' },
      { edition: 3, address: 'http://z:1' },
    ],
  ]
  for (const [holds, other] of grid) {
    for (const order of [
      [holds, other],
      [other, holds],
    ]) {
      const made = membership(member(1), ...order.map((fields) => member(2, fields)))
      assert.equal(made.find(2), member(2, holds))
    }
  }
})

test('one miss is forgiven, two in a row make suspect, and suspicion that lasts makes dead', () => {
  const made = membership(member(1), member(2))
  assert.is(made.missed(0, 2), false)
  assert.is(made.reached(1, 2), false)
  assert.equal(miss(made, 10, 2), [false, true])
  assert.is(made.find(2)?.state, 'suspect')
  assert.is(made.tick(10 + SUSPECT_MS - 1), false)
  assert.is(made.tick(10 + SUSPECT_MS), true)
  assert.is(made.find(2)?.state, 'dead')
  assert.is(made.tick(10 + 2 * SUSPECT_MS), false)
  assert.equal(miss(made, 99_999, 2), [false, false])
})

test('who hears of a suspicion waits as long as who had it', () => {
  const made = membership(member(1), member(2))
  made.heard(100, [member(2, { state: 'suspect' })])
  assert.is(made.tick(100 + SUSPECT_MS - 1), false)
  assert.is(made.tick(100 + SUSPECT_MS), true)
})

test('contact that succeeds stops the clock of a suspicion, but only the member takes it back', () => {
  const made = membership(member(1), member(2))
  miss(made, 0, 2)
  made.reached(1, 2)
  assert.is(made.tick(10 * SUSPECT_MS), false)
  assert.is(made.find(2)?.state, 'suspect')
  assert.is(made.heard(2, [member(2)]), false)
  assert.is(made.heard(3, [member(2, { edition: 1 })]), true)
  assert.is(made.find(2)?.state, 'alive')
})

test('a member that speaks is not made suspect because it cannot be asked', () => {
  const made = membership(member(1), member(2))
  for (let turn = 0; turn < 10; turn++) {
    assert.is(made.missed(turn, 2), false)
    made.heard(turn, [], 2)
  }
  miss(made, 20, 2)
  made.heard(21, [], 2)
  assert.is(made.tick(21 + SUSPECT_MS), false)
})

test('one exchange of words clears a suspicion', () => {
  const [a, b] = [membership(member(1), member(2)), membership(member(2), member(1))]
  miss(a, 0, 2)
  a.tick(SUSPECT_MS)
  assert.is(a.find(2)?.state, 'dead')
  b.heard(SUSPECT_MS, a.list(), 1)
  a.heard(SUSPECT_MS, b.list(), 2)
  assert.equal(a.find(2), member(2, { edition: 1 }))
})

test('after a refutation old accusations change nothing, and new misses accuse anew', () => {
  const made = membership(member(1), member(2))
  miss(made, 0, 2)
  made.heard(1, [member(2, { edition: 1 })])
  assert.is(made.heard(2, [member(2, { state: 'dead' })]), false)
  assert.equal(miss(made, 3, 2), [false, true])
  assert.equal(made.find(2), member(2, { edition: 1, state: 'suspect' }))
})

test('a node that starts again goes on with its edition, and above it when it has moved', () => {
  const again = membership(member(1), member(1, { edition: 7 }))
  assert.is(again.self.edition, 7)
  assert.is(again.conflict, undefined)
  const moved = membership(member(1), member(1, { edition: 7, address: 'http://old:3001' }))
  assert.is(moved.self.edition, 8)
  const renamed = membership(member(1, { publicUrl: 'http://p' }), member(1, { edition: 7, publicUrl: 'http://q' }))
  assert.is(renamed.self.edition, 8)
})

test('another address or incarnation of the own node id is a conflict, and is refuted or kept apart, not taken', () => {
  const made = membership(member(1))
  const elsewhere = member(1, { address: 'http://clone:3001' })
  assert.is(made.heard(0, [elsewhere]), true)
  assert.equal(made.conflict, elsewhere)
  assert.equal(made.self, member(1, { edition: 1 }))
  made.conflictSettled()
  assert.is(made.conflict, undefined)
  assert.is(made.heard(0, [elsewhere]), false)
  assert.is(made.conflict, undefined)

  const later = member(1, { incarnation: 105, edition: 3 })
  assert.is(made.heard(0, [later]), true)
  assert.is(made.heard(0, [later]), false)
  assert.equal(made.conflict, later)
  assert.is(made.self.incarnation, 100)
  assert.is(made.incarnationFloor, 105)
  made.rename(106)
  assert.is(made.conflict, undefined)
  assert.equal(made.self, member(1, { incarnation: 106 }))
  assert.is(made.heard(0, [later]), false)
})

test('a node that knows only its port is at home wherever others reach it', () => {
  const made = membership(member(1, { address: ':3001' }), member(1, { address: 'http://10.0.0.7:3001', edition: 2 }))
  assert.is(made.conflict, undefined)
  assert.is(made.self.edition, 2)
  made.heard(0, [member(1, { address: 'http://10.0.0.7:13001', edition: 2 })])
  assert.ok(made.conflict)
})

test('who leaves stays left, whatever is said of it, until it has a new incarnation', () => {
  const made = membership(member(1), member(2))
  made.leave()
  assert.is(made.self.state, 'left')
  assert.is(made.removed(1, 100), true)
  assert.is(made.heard(0, [member(1, { state: 'dead', edition: 4 }), member(1, { state: 'left' })]), false)
  assert.is(made.self.state, 'left')
  made.rename(101)
  assert.is(made.self.state, 'alive')
  assert.is(made.removed(1, 101), false)
})

test('only a dead member can be removed', () => {
  const made = membership(member(1), member(2), member(3, { state: 'dead' }))
  assert.is(
    codeOf(() => made.remove(0, 9)),
    'MEMBER_UNKNOWN',
  )
  assert.is(
    codeOf(() => made.remove(0, 1)),
    'MEMBER_ALIVE',
  )
  assert.is(
    codeOf(() => made.remove(0, 2)),
    'MEMBER_ALIVE',
  )
  miss(made, 0, 2)
  assert.is(
    codeOf(() => made.remove(0, 2)),
    'MEMBER_ALIVE',
  )
  made.tick(SUSPECT_MS)
  made.reached(SUSPECT_MS, 2)
  assert.is(
    codeOf(() => made.remove(SUSPECT_MS, 2)),
    'MEMBER_ALIVE',
  )
  made.missed(SUSPECT_MS, 2)
  made.remove(SUSPECT_MS, 2)
  made.remove(SUSPECT_MS, 2)
  made.remove(0, 3)
  assert.equal(
    made.list().map(({ state }) => state),
    ['alive', 'left', 'left'],
  )
})

test('a removed node is told, and comes back as new', () => {
  const others = membership(member(1), member(2, { state: 'dead' }))
  others.remove(0, 2)
  assert.is(others.removed(2, 100), true)
  assert.is(others.removed(2, 101), false)
  const back = membership(member(2, { edition: 5 }))
  back.heard(0, others.list())
  assert.is(back.removed(2, 100), true)
  others.heard(0, back.list())
  assert.is(others.find(2)?.state, 'left', 'an incarnation ends once')
  back.rename(101)
  assert.is(back.removed(2, 101), false)
  others.heard(0, back.list())
  assert.equal(others.find(2), member(2, { incarnation: 101 }))
  assert.is(others.removed(2, 100), false)
  assert.is(others.removed(3, 1), false)
})

test('a node that was removed under an incarnation it has forgotten has to go above that', () => {
  const made = membership(member(1), member(1, { incarnation: 120, state: 'left' }))
  assert.is(made.removed(1, 100), true)
  assert.is(made.incarnationFloor, 120)
  assert.is(made.conflict, undefined, 'nobody lives there')
})

test('there are 1,024 members at most, and who is one too many is passed over', () => {
  const made = membership(member(1))
  made.heard(
    0,
    Array.from({ length: MEMBERS_MAX + 5 }, (_, index) => member(index + 2)),
  )
  assert.is(made.list().length, MEMBERS_MAX)
  assert.is(made.find(MEMBERS_MAX)?.node, MEMBERS_MAX)
  assert.is(made.find(MEMBERS_MAX + 1), undefined)
  assert.is(Membership.decode(made.encode()).length, MEMBERS_MAX)
})

test('contact with strangers changes nothing', () => {
  const made = membership(member(1))
  assert.equal([...miss(made, 0, 7), made.reached(0, 7), made.tick(99_999)], [false, false, false, false])
  assert.equal(made.list(), [member(1)])
})

test.run()
