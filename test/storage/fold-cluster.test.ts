// Folding among members that write, restart, meet in part, go away and come back, against sums of plain writes.
// time limit: 500 s

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { FOLD_AT_LEAST } from '../../lib/cluster/index.ts'
import { FOLDED } from '../../lib/storage/index.ts'
import { NAMES, World } from './folds.ts'
import { SEED, stateOf } from './harness.ts'

const test = suite('storage/fold-cluster')

const RUNS = 400

const node = fc.nat({ max: 3 })
const amount = fc.oneof(fc.bigInt({ min: -3n, max: 9n }), fc.constantFrom(2n ** 32n - 1n, -(2n ** 33n), 2n ** 54n, 1n))
const op = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constant('write' as const), node, fc.nat({ max: NAMES.length - 1 }), amount) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('restart' as const), fc.constantFrom(0, 0, 0, 1), fc.boolean(), amount) },
  {
    weight: 8,
    arbitrary: fc.tuple(fc.constant('exchange' as const), node, node, fc.oneof(fc.nat({ max: 6 }), fc.constant(999))),
  },
  { weight: 4, arbitrary: fc.tuple(fc.constant('all' as const), fc.nat({ max: 9 })) },
  { weight: 2, arbitrary: fc.tuple(fc.constant('lives' as const), fc.constantFrom(0, 0, 0, 1), fc.nat({ max: 2 }), amount) },
  { weight: 8, arbitrary: fc.tuple(fc.constant('fold' as const), node) },
  { weight: 5, arbitrary: fc.tuple(fc.constant('step' as const), node) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('join' as const)) },
  { weight: 1, arbitrary: fc.tuple(fc.constant('away' as const), node) },
  { weight: 3, arbitrary: fc.tuple(fc.constant('back' as const), node) },
)
type Op = typeof op extends fc.Arbitrary<infer T> ? T : never

function run(world: World, [kind, ...rest]: Op): void {
  const [first, second, third] = rest as [number, number | boolean, bigint | number]
  const member = world.up(first ?? 0)
  if (kind === 'join') world.members[3]!.joined = true
  else if (kind === 'back') world.members[first]!.isUp = true
  else if (kind === 'all') {
    for (const asker of world.members.map((_, at) => world.up(at))) {
      for (const answerer of world.members.map((_, at) => world.up(at))) {
        if (asker && answerer && asker !== answerer) world.exchange(asker, answerer, first === 0 ? 2 : 999)
      }
    }
  } else if (member === undefined) return
  else if (kind === 'write') world.write(member, NAMES[second as number]!, third as bigint)
  else if (kind === 'restart') {
    world.restart(member, second as boolean)
    world.write(member, NAMES[0]!, third as bigint)
  } else if (kind === 'lives') {
    for (let life = 0; life < 4; life++) {
      world.restart(member, false)
      world.write(member, NAMES[((second as number) + life) % 2]!, third as bigint)
    }
    if (second === 0) return
    // Often it is then time to fold.
    for (const times of [1, 2]) run(world, ['all', times])
    if (second === 1) world.considerFolds(member)
  } else if (kind === 'exchange') {
    const other = world.up(second as number)
    if (other && other !== member) world.exchange(member, other, third as number)
  } else if (kind === 'fold') world.considerFolds(member)
  else if (kind === 'step') world.stepFolds(member)
  else if (kind === 'away') member.isUp = false
}

test(`whatever happens, values are the sums of the writes that are held, and vectors say only what is held, in ${RUNS} histories`, () => {
  let folded = 0
  let midway = 0
  fc.assert(
    fc.property(fc.array(op, { minLength: 20, maxLength: 120 }), (ops) => {
      const world = new World()
      for (const each of ops) {
        run(world, each)
        for (const member of world.members) world.check(member)
        if (world.members.some(({ running }) => running.size > 0)) midway++
      }
      world.settle()
      const members = world.members.filter(({ joined }) => joined)
      const states = members.map(({ replica }) => stateOf(replica))
      for (const state of states) assert.is(state.join('\n'), states[0]!.join('\n'))
      for (const { replica } of members) {
        for (const { replica: column } of replica.columns) assert.not.ok(replica.vector().isFolded(column))
        const lives = (of: number) => replica.columns.filter((column) => column.replica.node === of).length
        // The folded one, the present one, and fewer than are worth a fold.
        for (const { node: of } of members) assert.ok(lives(of) <= FOLD_AT_LEAST + 1, `${lives(of)} columns of ${of}`)
        assert.not.ok(replica.columns.some(({ replica: column }) => column.incarnation === FOLDED && column.node > 1))
      }
      folded += world.folded
    }),
    { seed: SEED, numRuns: RUNS, includeErrorInReport: true },
  )
  assert.ok(folded > RUNS && midway > RUNS, `only ${folded} folds, seen under way ${midway} times`)
})

test.run()
