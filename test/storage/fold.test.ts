// Old incarnations of a node become one column, and no value changes on the way.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { FOLDED, Replica, type ReplicaId, SEQ_MAX, SLOT_BASE, VersionVector } from '../../lib/storage/index.ts'
import {
  batchOf,
  bytesOf,
  type Cell,
  cellsOf,
  decode,
  deltasSince,
  encodeCells,
  HASH,
  increment,
  merge,
  stateOf,
} from './harness.ts'

const test = suite('storage/fold')

const NODE = 3
const MAX = 2n ** 64n - 1n

const replicaAt = (node: number, incarnation: number): Replica =>
  new Replica({ self: { node, incarnation }, hash: HASH, namesMax: 0 })
const value = (replica: Replica, name: string) => BigInt(replica.value(bytesOf(name)))
const column = (incarnation: number, node = NODE): ReplicaId => ({ node, incarnation })
const cell = (name: string, incarnation: number, plus: bigint | number, minus: bigint | number = 0, seq = 1): Cell => ({
  name,
  replica: column(incarnation),
  plus: BigInt(plus),
  minus: BigInt(minus),
  seq,
})
const keyed = (name: string): string => {
  const key = Buffer.alloc(8)
  key.writeBigUInt64LE(crc64(bytesOf(name)))
  return `#${key.toString('hex')}`
}

function foldAll(replica: Replica, mark: number, node = NODE): void {
  for (const _ of replica.fold(node, mark));
}

/** Joins the cells, and says that the columns are known up to the last of them. */
function know(replica: Replica, cells: readonly Cell[]): void {
  const last = new VersionVector()
  for (const { replica: of, seq } of cells) last.raise(of, seq)
  merge(
    replica,
    encodeCells(
      cells,
      Array.from(last, ({ replica: of, seq }) => [of, seq] as const),
    ),
  )
}

/** A replica that knows four lives of a node, with names far enough apart for a step each. */
const LIVES = [10, 20, 30, 40]
const NAMES = ['first', 'second', 'third', 'fourth', 'fifth']
function withLives(node = 9): Replica {
  const replica = replicaAt(node, 1000 + node)
  for (const name of NAMES) {
    replica.addNames(batchOf([[name, 0]]), 0, 1)
    replica.addNames(batchOf(Array.from({ length: 4096 }, (_, at) => [`${name} ${at}`, 0] as const)), 0, 4096)
  }
  know(
    replica,
    NAMES.flatMap((name, at) =>
      LIVES.filter((_, life) => life !== at % 4).map((life) => cell(name, life, life * (at + 1), at === 2 ? life : 0, at + 1)),
    ),
  )
  return replica
}
const valuesOf = (replica: Replica) => NAMES.map((name) => value(replica, name))
const EXPECTED = valuesOf(withLives())

/** Asks, and takes the frames up to the cut. */
function pull(asker: Replica, answerer: Replica, cut = Number.POSITIVE_INFINITY): void {
  const deltas = deltasSince(answerer, asker.vector())
  const frames = deltas.slice(0, -1).flatMap((delta) => cellsOf(decode(delta)).map((each) => encodeCells([each])))
  for (const frame of [...frames, deltas.at(-1)!].slice(0, cut)) merge(asker, frame)
}

test('values stay what they are after every step, P and N', () => {
  const replica = withLives()
  assert.equal(EXPECTED, [90n, 160n, 140n, 240n, 450n])
  let steps = 0
  for (const _ of replica.fold(NODE, 40)) {
    steps++
    assert.equal(valuesOf(replica), EXPECTED)
  }
  assert.ok(steps >= NAMES.length, `${steps} steps`)
  assert.equal(valuesOf(replica), EXPECTED)
  assert.ok(stateOf(replica).includes('third 3.1 +210 -70 @40'), stateOf(replica).join('\n'))
})

//  | name | of 10     | of 20     | of 30 | folded        |
for (const [title, ...counts] of [
  ['below 2^32', 1n, 2n, 3n],
  ['beyond 2^32', 2n ** 32n - 1n, 1n, 2n ** 32n - 1n],
  ['beyond 2^53', 2n ** 53n, 2n ** 53n + 1n, 1n],
  ['up to 2^64 - 1', MAX - 2n ** 33n, 2n ** 33n - 1n, 1n],
] as const) {
  test(`sums ${title} are exact, of P and of N`, () => {
    const replica = replicaAt(9, 1000)
    know(replica, [
      ...counts.map((count, life) => cell('plus', LIVES[life]!, count)),
      ...counts.map((count, life) => cell('minus', LIVES[life]!, 0, count)),
    ])
    foldAll(replica, 30)
    const sum = counts.reduce((total, count) => total + count, 0n)
    assert.equal([value(replica, 'plus'), value(replica, 'minus')], [sum, -sum])
  })
}

for (const [plus, minus] of [
  [1n, 0n],
  [0n, 1n],
] as const) {
  test(`a sum beyond 2^64 - 1 is refused with nothing lost: ${plus ? 'P' : 'N'}`, () => {
    const replica = replicaAt(9, 1000)
    know(replica, [
      cell('before', 10, 1),
      cell('before', 20, 2),
      cell('x', 10, plus * MAX, minus * MAX),
      cell('x', 20, plus, minus),
    ])
    assert.throws(
      () => foldAll(replica, 20),
      (error: { code: string }) => error.code === 'COUNT_OVERFLOW',
    )
    assert.equal([value(replica, 'before'), value(replica, 'x')], [3n, (plus - minus) * (MAX + 1n)])
    assert.is(replica.vector().get(column(FOLDED)), 0)
    assert.not.ok(
      stateOf(replica).some((line) => line.includes(`.${FOLDED} `)),
      'nothing is half folded',
    )
    const other = replicaAt(8, 1000)
    pull(other, replica)
    assert.equal([value(other, 'before'), value(other, 'x')], [3n, (plus - minus) * (MAX + 1n)])
  })
}

test('a fold that was given up is begun again, and done twice it changes nothing', () => {
  const whole = withLives()
  foldAll(whole, 40)
  for (let given = 0; given <= NAMES.length; given++) {
    const replica = withLives()
    const steps = replica.fold(NODE, 40)
    for (let step = 0; step < given; step++) steps.next()
    steps.return()
    assert.equal(valuesOf(replica), EXPECTED)
    foldAll(replica, 40)
    foldAll(replica, 40)
    assert.equal(
      stateOf(replica).filter((line) => line.includes(' 3.')),
      stateOf(whole).filter((line) => line.includes(' 3.')),
    )
  }
})

test('a fold goes on from the one before', () => {
  const twice = withLives()
  foldAll(twice, 20)
  assert.equal(valuesOf(twice), EXPECTED)
  foldAll(twice, 40)
  const once = withLives()
  foldAll(once, 40)
  assert.equal(stateOf(twice), stateOf(once))
})

test('a half-folded replica exchanges with others, each way, cut after any frame, and all end equal', () => {
  const others: Record<string, () => Replica> = {
    'one that has not folded': () => withLives(8),
    'one that has': () => {
      const replica = withLives(8)
      foldAll(replica, 40)
      return replica
    },
    'one that has folded less': () => {
      const replica = withLives(8)
      foldAll(replica, 20)
      return replica
    },
  }
  for (const [title, make] of Object.entries(others)) {
    for (let cut = 0; cut <= 20; cut += 2) {
      const half = withLives(9)
      const other = make()
      const steps = half.fold(NODE, 40)
      for (let step = 0; step < 2; step++) steps.next()
      pull(other, half, cut)
      assert.equal([valuesOf(half), valuesOf(other)], [EXPECTED, EXPECTED], `${title}, cut after ${cut}`)
      pull(half, other, cut)
      assert.equal([valuesOf(half), valuesOf(other)], [EXPECTED, EXPECTED], `${title}, cut after ${cut}`)
      while (!steps.next().done) assert.equal(valuesOf(half), EXPECTED)
      for (const [asker, answerer] of [
        [half, other],
        [other, half],
      ] as const) {
        pull(asker, answerer)
        assert.equal(valuesOf(asker), EXPECTED)
      }
      assert.equal(stateOf(other), stateOf(half))
      assert.not.ok(other.columns.some(({ replica }) => LIVES.includes(replica.incarnation)))
    }
  }
})

test('a newcomer gets the folded column, from a whole or a half-folded one, and has all when it is told so', () => {
  for (const steps of [1, 3, 99]) {
    for (let cut = 0; cut <= 20; cut += 3) {
      const replica = withLives()
      const fold = replica.fold(NODE, 40)
      for (let step = 0; step < steps; step++) fold.next()
      const newcomer = replicaAt(8, 1000)
      pull(newcomer, replica, cut)
      if (newcomer.vector().covers(replica.vector())) assert.equal(valuesOf(newcomer), EXPECTED)
      while (!fold.next().done);
      pull(newcomer, replica)
      assert.equal(valuesOf(newcomer), EXPECTED)
      assert.equal(stateOf(newcomer), stateOf(replica))
    }
  }
})

test('while it is under way the vector does not say that it is done', () => {
  const replica = withLives()
  const steps = replica.fold(NODE, 40)
  steps.next()
  assert.is(replica.vector().get(column(FOLDED)), 0)
  assert.is(replica.vector().get(column(30)), 5)
  while (!steps.next().done);
  assert.is(replica.vector().get(column(FOLDED)), 40)
  assert.is(replica.vector().get(column(30)), SEQ_MAX)
})

test('the answer to an asker that began before the fold was done is whole', () => {
  const replica = withLives()
  const newcomer = replicaAt(8, 1000)
  const answer = replica.since(newcomer.vector())
  const first = answer.next().value!.delta.slice()
  foldAll(replica, 40)
  merge(newcomer, first)
  for (const { delta } of answer) merge(newcomer, delta.slice())
  assert.equal(valuesOf(newcomer), EXPECTED)
  assert.is(newcomer.vector().get(column(40)), 5)
  foldAll(newcomer, 40)
  pull(newcomer, replica)
  pull(replica, newcomer)
  assert.equal(stateOf(newcomer), stateOf(replica))
})

test('the memory of the columns is given back', () => {
  const replica = withLives()
  const before = replica.byteLength
  const bytes = replica.columns.filter(({ replica: { node } }) => node === NODE).map(({ byteLength }) => byteLength)
  foldAll(replica, 40)
  assert.is(bytes.length, 4)
  const folded = replica.columns.find(({ replica: { incarnation } }) => incarnation === FOLDED)!
  assert.is(
    replica.byteLength,
    bytes.reduce((sum, each) => sum - each, before + folded.byteLength),
  )
  assert.ok(folded.byteLength <= Math.max(...bytes))
})

test('cells and vector entries of folded incarnations that come later are passed over', () => {
  const replica = withLives()
  foldAll(replica, 40)
  const state = stateOf(replica)
  know(replica, [cell('first', 10, 1_000_000, 0, 9), cell('new', 25, 5, 0, 2)])
  assert.equal(valuesOf(replica), EXPECTED)
  assert.is(value(replica, 'new'), 0n)
  assert.equal(stateOf(replica), state)
  know(replica, [cell('first', 41, 7)])
  assert.is(value(replica, 'first'), EXPECTED[0]! + 7n)
})

test('a vector from elsewhere lets go of the columns without a fold, when all of the folded one is here', () => {
  const done = withLives(8)
  foldAll(done, 40)
  const replica = withLives(9)
  pull(replica, done)
  assert.equal(valuesOf(replica), EXPECTED)
  assert.equal(stateOf(replica), stateOf(done))
})

test('a life without cells is folded by its number alone', () => {
  const replica = replicaAt(9, 1000)
  merge(replica, encodeCells([], [[column(10), 3]]))
  foldAll(replica, 10)
  assert.is(replica.vector().get(column(FOLDED)), 10)
  assert.is(replica.columns.length, 1)
})

test('the column of an import and lists stay', () => {
  const list = 2 ** 52 + 5
  const replica = withLives()
  know(replica, [cell('first', 0, 5), cell('first', list, 6)])
  foldAll(replica, SEQ_MAX)
  assert.is(value(replica, 'first'), EXPECTED[0]! + 11n)
  assert.equal(
    replica.columns
      .filter(({ replica: { node } }) => node === NODE)
      .map(({ replica: { incarnation } }) => incarnation)
      .sort(),
    [0, FOLDED, list],
  )
})

test('what an original has said of the node counts by the greater, before, while and after', () => {
  for (const heard of [5n, 100n]) {
    const replica = replicaAt(9, 1000)
    const slot = { node: SLOT_BASE + NODE, incarnation: 77 }
    know(replica, [
      { name: keyed('word'), replica: slot, plus: heard, minus: 0n, seq: 1 },
      ...LIVES.map((life) => cell('word', life, 10, 1)),
      cell(keyed('word'), 10, 2),
      cell(keyed('word'), 40, 3),
    ])
    const expected = (heard > 45n ? heard : 45n) - 4n
    assert.is(value(replica, 'word'), expected)
    for (const _ of replica.fold(NODE, 30)) assert.is(value(replica, 'word'), expected)
    assert.is(value(replica, 'word'), expected)
    foldAll(replica, 40)
    assert.is(value(replica, 'word'), expected)
    for (const { count, words } of replica.changedTotals(new VersionVector())) {
      if (count > 0) assert.is(BigInt(words[0]!), heard > 45n ? heard : 45n)
    }
  }
})

test('rows without a name are folded too, and count for the name that claims them', () => {
  const replica = replicaAt(9, 1000)
  know(replica, [...LIVES.map((life) => cell(keyed('later'), life, life)), cell('other', 10, 1)])
  foldAll(replica, 40)
  assert.is(value(replica, 'later'), 100n)
  increment(replica, [['later', 1]])
  assert.is(value(replica, 'later'), 101n)
})

test('the order in which columns came does not matter', () => {
  const cells = NAMES.flatMap((name, at) => LIVES.map((life) => cell(name, life, life + at)))
  const states = [cells, [...cells].reverse()].map((list) => {
    const replica = replicaAt(9, 1000)
    for (const each of list) know(replica, [each])
    foldAll(replica, 40)
    return stateOf(replica)
  })
  assert.equal(states[0], states[1])
})

test('a delta that would fold the present own incarnation is told, wherever in it the cell stands', () => {
  const replica = replicaAt(NODE, 50)
  const outlived = (cells: Cell[], vector: [ReplicaId, number][] = []) => replica.outlivedBy(decode(encodeCells(cells, vector)))
  assert.is(outlived([cell('a', FOLDED, 1, 0, 49), cell('a', 60, 1)]), 0)
  assert.is(outlived([cell('a', FOLDED, 1, 0, 20), cell('b', FOLDED, 1, 0, 50)]), 50)
  assert.is(outlived([], [[column(FOLDED), 70]]), 70)
  assert.is(outlived([], [[column(FOLDED, 4), 70]]), 0)
})

test('what a life has written is moved to another, once, and walks under way still see it', () => {
  const replica = replicaAt(NODE, 50)
  increment(replica, [
    ['a', 5],
    ['b', -2],
  ])
  increment(replica, [['a', 1]])
  const walk = replica.since(new VersionVector())
  assert.is(replica.move(NODE, 50, 80), true)
  assert.is(replica.move(NODE, 50, 80), false)
  assert.equal([value(replica, 'a'), value(replica, 'b')], [6n, -2n])
  replica.become(column(80))
  assert.is(replica.seq, 2)
  increment(replica, [['a', 1]])
  assert.equal([replica.seq, value(replica, 'a')], [3, 7n])
  merge(replica, encodeCells([], [[column(FOLDED), 70]]))
  assert.equal([value(replica, 'a'), value(replica, 'b')], [7n, -2n])
  const seen = replicaAt(9, 1000)
  for (const { delta } of walk) merge(seen, delta.slice())
  assert.equal([value(seen, 'a'), value(seen, 'b')], [6n, -2n])
})

test.run()
