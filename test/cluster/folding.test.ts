import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { admitsFold, decideFold, FOLD_AT_LEAST, FOLD_AT_MOST, type Fold, viewOf } from '../../lib/cluster/index.ts'
import { FOLDED, LIST_INCARNATIONS, VersionVector } from '../../lib/storage/index.ts'

const test = suite('cluster/folding')

const SELF = { node: 1, incarnation: 100 }

/** Of node 1: incarnation and sequence number. */
function vectorOf(entries: readonly (readonly [incarnation: number, seq: number])[], node = 1): VersionVector {
  const vector = new VersionVector()
  for (const [incarnation, seq] of entries) vector.raise({ node, incarnation }, seq)
  return vector
}
const OLD = [
  [10, 1],
  [20, 2],
  [30, 3],
  [40, 4],
] as const
const OWN = vectorOf([...OLD, [100, 9]])
const FOLD: Fold = { node: 1, mark: 40, finals: OLD.map(([incarnation, seq]) => ({ incarnation, seq })) }
const without = (incarnation: number) => vectorOf(OLD.filter(([each]) => each !== incarnation))

test('what all members know exactly is folded, up to the present incarnation', () => {
  assert.equal(decideFold(SELF, OWN, [vectorOf(OLD), vectorOf([...OLD, [100, 3]])]), FOLD)
  assert.equal(decideFold(SELF, OWN, []), FOLD)
})

//  others know                                          folded
for (const [title, others, mark] of [
  ['one is behind in the last', [...without(40), ...vectorOf([[40, 3]])], 0],
  ['one is ahead in the first', [...vectorOf([[10, 5]]), ...without(10)], 0],
  ['one lacks the second', [...without(20)], 0],
  ['one knows another that stands between', [...vectorOf([...OLD, [25, 1]])], 0],
  ['one knows another behind them', [...vectorOf([...OLD, [50, 1]])], 40],
] as const) {
  test(`${title}: ${mark ? 'folded' : 'they stay apart'}`, () => {
    const other = vectorOf(others.map(({ replica, seq }) => [replica.incarnation, seq] as const))
    assert.is(decideFold(SELF, OWN, [vectorOf(OLD), other])?.mark ?? 0, mark)
  })
}

test('only the first ones, up to one that is not known alike, when they are enough', () => {
  const own = vectorOf([...OLD, [50, 5], [60, 6]])
  const other = vectorOf([...OLD, [50, 4], [60, 6]])
  assert.equal(decideFold(SELF, own, [other]), FOLD)
})

test('fewer than are worth it stay apart', () => {
  assert.is(OLD.length, FOLD_AT_LEAST)
  assert.is(decideFold(SELF, without(40), [without(40)]), undefined)
})

test('of very many as many as can be told', () => {
  const own = vectorOf(Array.from({ length: 300 }, (_, at) => [at + 2, 1] as const))
  const fold = decideFold({ node: 1, incarnation: 1000 }, own, [own])!
  assert.is(fold.finals.length, FOLD_AT_MOST)
  assert.is(fold.mark, FOLD_AT_MOST + 1)
})

test('imports, lists, the folded column and other nodes are not among them', () => {
  const own = vectorOf([...OLD, [0, 7], [LIST_INCARNATIONS + 1, 1], [FOLDED, 5]])
  own.raise({ node: 2, incarnation: 15 }, 1)
  assert.equal(decideFold(SELF, own, [own]), { ...FOLD, finals: [{ incarnation: FOLDED, seq: 5 }, ...FOLD.finals] })
})

test('who has not folded what is folded here does not stand in the way', () => {
  const own = vectorOf([
    [FOLDED, 40],
    [50, 1],
    [60, 1],
    [70, 1],
    [80, 1],
  ])
  const other = vectorOf([...OLD, [50, 1], [60, 1], [70, 1], [80, 1]])
  assert.is(decideFold(SELF, own, [other])!.mark, 80)
})

test('who has folded more than is folded here is waited for', () => {
  assert.is(
    decideFold(SELF, OWN, [
      vectorOf([
        [FOLDED, 30],
        [40, 4],
      ]),
    ]),
    undefined,
  )
  assert.is(decideFold(SELF, OWN, [vectorOf([[FOLDED, 90]])]), undefined)
})

//  known                                                  admits
for (const [title, known, admits] of [
  ['the very same', vectorOf(OLD), true],
  ['the same and later ones', vectorOf([...OLD, [50, 1], [100, 7]]), true],
  [
    'less of one',
    vectorOf([
      [10, 1],
      [20, 2],
      [30, 2],
      [40, 4],
    ]),
    false,
  ],
  [
    'more of one',
    vectorOf([
      [10, 1],
      [20, 2],
      [30, 4],
      [40, 4],
    ]),
    false,
  ],
  ['one less', without(10), false],
  ['one more', vectorOf([...OLD, [15, 1]]), false],
  ['nothing', new VersionVector(), false],
  ['the fold itself', vectorOf([[FOLDED, 40]]), false],
  ['a later fold', vectorOf([[FOLDED, 50]]), false],
  [
    'an earlier fold, and the rest',
    vectorOf([
      [FOLDED, 20],
      [30, 3],
      [40, 4],
    ]),
    true,
  ],
  [
    'an earlier fold, and not the rest',
    vectorOf([
      [FOLDED, 20],
      [30, 3],
    ]),
    false,
  ],
  ['imports beside', vectorOf([...OLD, [0, 3], [LIST_INCARNATIONS, 1]]), true],
] as const) {
  test(`who knows ${title} ${admits ? 'folds' : 'does not fold'}`, () => assert.is(admitsFold(known, FOLD), admits))
}

test('a second fold is admitted only by who has done the first', () => {
  const lives = [50, 60].map((incarnation) => ({ incarnation, seq: 1 }))
  const second: Fold = { node: 1, mark: 60, finals: [{ incarnation: FOLDED, seq: 40 }, ...lives] }
  const later = [
    [50, 1],
    [60, 1],
  ] as const
  assert.is(admitsFold(vectorOf([[FOLDED, 40], ...later]), second), true)
  assert.is(admitsFold(vectorOf([[FOLDED, 45], ...later]), second), true)
  assert.is(admitsFold(vectorOf([...OLD, ...later]), second), false)
  assert.is(admitsFold(vectorOf([[FOLDED, 39], ...later]), second), false)
  assert.is(admitsFold(vectorOf(later), second), false, 'a newcomer may know the later ones and not what was folded')
})

test('who can fold for itself is shown what was before; everybody else what is', () => {
  const folded = vectorOf([
    [FOLDED, 40],
    [100, 9],
  ])
  const can = viewOf([FOLD], folded, vectorOf(OLD))
  assert.equal([...can.own].length, 5)
  assert.is(can.own.get({ node: 1, incarnation: FOLDED }), 0)
  assert.ok(can.own.equals(OWN))
  assert.is(can.known.get({ node: 1, incarnation: FOLDED }), 40)
  assert.ok(can.shown(folded).equals(OWN))
  for (const asker of [new VersionVector(), without(10), vectorOf([[FOLDED, 40]])]) {
    const view = viewOf([FOLD], folded, asker)
    assert.is(view.own, folded)
    assert.ok(view.known.equals(asker))
  }
  const further = vectorOf([[FOLDED, 50]])
  assert.is(viewOf([FOLD], further, vectorOf(OLD)).own, further)
})

test.run()
