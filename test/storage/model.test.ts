// Three replicas that count, exchange what the other's vector does not cover, and lose the rest of some exchanges on the way,
// against a model of plain maps: what each has itself counted, and what all together have.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { type Replica, VersionVector } from '../../lib/storage/index.ts'
import { bytesOf, cellsOf, decode, deltasSince, increment, lineOf, merge, replicaOf, SEED, stateOf } from './harness.ts'

const test = suite('storage/model')
const DELTAS = [1n, 1n, 1n, 2n, 300n, -1n, -70_000n, 2n ** 32n - 1n, 2n ** 40n, -(2n ** 53n)]

class Model {
  readonly #random: () => number
  readonly replicas: Replica[]
  readonly #own: Map<string, bigint>[]
  readonly #total = new Map<string, bigint>()

  constructor(seed: number) {
    const random = seededRandom(seed)
    this.#random = () => random.uint32() / 2 ** 32
    this.replicas = [0, 1, 2].map((node) =>
      replicaOf(node, { hash: { start: random.uint32(), multiplier: random.uint32() | 1 } }),
    )
    this.#own = this.replicas.map(() => new Map())
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  count(): void {
    const at = this.below(3)
    const batch = new Map<string, bigint>()
    for (let length = this.below(5); length >= 0; length--) {
      batch.set(`name ${this.below(3) === 0 ? this.below(5000) : this.below(30)}`, DELTAS[this.below(DELTAS.length)]!)
    }
    increment(this.replicas[at]!, batch)
    for (const [name, delta] of batch) {
      this.#own[at]!.set(name, (this.#own[at]!.get(name) ?? 0n) + delta)
      this.#total.set(name, (this.#total.get(name) ?? 0n) + delta)
    }
  }

  /** One reads what another has and it has not; the exchange may break off after any step. */
  exchange(source = this.below(3), target = this.below(3), whole = this.below(2) === 0): void {
    const from = this.replicas[source]!
    const to = this.replicas[target]!
    const known = to.vector()
    const deltas = deltasSince(from, known)
    const news = deltas.flatMap((delta) => cellsOf(decode(delta)))
    const naive = stateOfCells(from).filter((cell) => cell.seq > known.get(cell.replica))
    assert.equal(news.map(lineOf).sort(), naive.map(lineOf).sort(), 'since gives exactly what the vector does not cover')
    for (const delta of whole ? deltas : deltas.slice(0, this.below(deltas.length + 1))) merge(to, delta)
    if (!whole) return
    // What a broken exchange left in `from` beyond its own vector is given again, and nothing else is.
    const rest = deltasSince(from, to.vector()).flatMap((delta) => cellsOf(decode(delta)))
    assert.ok(rest.every((cell) => cell.seq > from.vector().get(cell.replica)))
  }

  check(): void {
    this.replicas.forEach((replica, at) => {
      const column = replica.columns.find((each) => each.replica === replica.self)!
      for (const [name, expected] of this.#own[at]!) {
        const row = rowOf(replica, name)
        assert.is(column.balanceOf(row), expected, `own count of ${name} on ${at}`)
      }
    })
  }

  settle(): void {
    for (const [source, target] of [
      [0, 1],
      [1, 2],
      [2, 0],
      [0, 1],
    ] as const)
      this.exchange(source, target, true)
    for (const replica of this.replicas) {
      for (const [name, expected] of this.#total) assert.is(BigInt(replica.value(bytesOf(name))), expected, name)
    }
    assert.equal(stateOf(this.replicas[1]!), stateOf(this.replicas[0]!))
    assert.equal(stateOf(this.replicas[2]!), stateOf(this.replicas[0]!))
  }
}

const stateOfCells = (replica: Replica) => deltasSince(replica).flatMap((delta) => cellsOf(decode(delta)))

function rowOf(replica: Replica, name: string): number {
  for (let row = 0; row < replica.table.rowCount; row++)
    if (Buffer.from(replica.table.nameOf(row)).toString() === name) return row
  return -1
}

test('random histories of counting and broken exchanges end as the plain maps do', () => {
  for (let run = 0; run < 20; run++) {
    const model = new Model(SEED * 1000 + run)
    for (let step = 0; step < 150; step++) model.below(4) === 0 ? model.exchange() : model.count()
    model.check()
    model.settle()
  }
})

test('what is counted while an exchange goes on is in it or in the next one', () => {
  const source = replicaOf(0)
  const target = replicaOf(1)
  const names = Array.from({ length: 40_000 }, (_, index) => `n${index}`)
  increment(
    source,
    names.map((name) => [name, 1] as const),
  )
  let steps = 0
  for (const { delta } of source.since(target.vector())) {
    merge(target, delta.slice())
    increment(
      source,
      [0, 20_000, 39_999].map((index) => [names[index]!, 10] as const),
    )
    steps++
  }
  assert.ok(steps > 3)
  for (const { delta } of source.since(target.vector())) merge(target, delta.slice())
  assert.equal(stateOf(target), stateOf(source))
})

test('the vector comes last, and alone when there is nothing new', () => {
  const source = replicaOf(0)
  increment(source, [['a', 1]])
  const deltas = deltasSince(source)
  assert.equal(
    deltas.map((delta) => decode(delta).vector?.size),
    [undefined, 1],
  )
  const known = new VersionVector()
  known.raise(source.self, 1)
  assert.equal(
    deltasSince(source, known).map((delta) => [decode(delta).cellCount, decode(delta).vector?.size]),
    [[0, 1]],
  )
})

test.run()
