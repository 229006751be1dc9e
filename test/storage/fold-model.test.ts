// A small cluster that counts, restarts into new incarnations, exchanges what it lacks over links that are cut anywhere, and folds by
// certificate, all of it interleaved step by step, against plain sums. What a node shows never falls, is never above what was counted,
// and is never less than what it was completely given; and in the end everybody shows the same, in few columns.
// time limit: 400 s

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { NameHash } from '../../lib/base/hash.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { admitsFold, decideFold, FOLD_AT_LEAST, type Fold } from '../../lib/cluster/index.ts'
import { Replica, type SinceStart, type VersionVector } from '../../lib/storage/index.ts'
import { bytesOf, deltasSince, HASH, increment, merge, SEED, textOf } from './harness.ts'

const test = suite('storage/fold-model')

/** More than one step of a fold, and of an answer. */
const NAMES = 5000

interface Node {
  readonly id: number
  readonly replica: Replica
  /** What the others said when they last asked or answered. */
  readonly heard: Map<number, VersionVector>
  readonly resumes: Map<number, SinceStart>
  /** What it has shown of each name. */
  readonly shown: Float64Array
  fold: { readonly of: Fold; readonly steps: Generator<void, void> } | undefined
}

interface Answer {
  readonly from: Node
  readonly to: Node
  readonly steps: ReturnType<Replica['since']>
  readonly vector: VersionVector
  readonly promised: Float64Array
  readonly isResumed: boolean
}

class Model {
  readonly #random: () => number
  readonly #nodes: Node[] = []
  readonly #total = new Float64Array(NAMES)
  readonly #folds: Fold[] = []
  readonly #answers: Answer[] = []
  #incarnation = 100
  folded = 0
  told = 0

  constructor(seed: number) {
    const random = seededRandom(seed)
    this.#random = () => random.uint32() / 2 ** 32
    for (let id = 0; id < 3; id++) this.join()
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  #any(): Node {
    return this.#nodes[this.below(this.#nodes.length)]!
  }

  /** A newcomer knows nothing. */
  join(): void {
    const hash = { start: this.below(2 ** 32), multiplier: this.below(2 ** 31) | 1 }
    this.#nodes.push(newNode(this.#nodes.length, this.#nextIncarnation(), hash))
  }

  #nextIncarnation(): number {
    this.#incarnation += 1 + this.below(5)
    return this.#incarnation
  }

  restart(node = this.#any()): void {
    node.replica.become({ node: node.id, incarnation: this.#nextIncarnation() })
    this.count(node)
  }

  /** The directory is lost when another node has all of it, and the node begins anew. It knows nothing, not even of its own columns. */
  wipe(): void {
    const node = this.#any()
    const other = this.#nodes[(node.id + 1) % this.#nodes.length]!
    if (this.#answers.some(({ from, to }) => from === node || to === node)) return
    for (let turn = 0; turn < 2; turn++) {
      this.ask(other, node)
      for (let answer = this.#answers.at(-1); answer?.to === other && answer.from === node; answer = this.#answers.at(-1)) {
        this.carry(answer, false)
      }
    }
    for (const { heard, resumes } of this.#nodes) {
      heard.delete(node.id)
      resumes.delete(node.id)
    }
    this.#nodes[node.id] = newNode(node.id, this.#nextIncarnation(), node.replica.table.hash)
  }

  count(node = this.#any(), most = 40): void {
    const batch = new Map<string, number>()
    const from = this.below(NAMES)
    const stride = 1 + this.below(200)
    for (let index = this.below(most); index >= 0; index--) batch.set(`n${(from + index * stride) % NAMES}`, 1 + this.below(5))
    increment(node.replica, batch)
    for (const [name, amount] of batch) this.#total[Number(name.slice(1))]! += amount
  }

  ask(to = this.#any(), from = this.#any()): void {
    if (to === from || this.#answers.some((answer) => answer.to === to && answer.from === from)) return
    const known = to.replica.vector()
    from.heard.set(to.id, known)
    const start = to.resumes.get(from.id)
    const vector = start?.vector ?? from.replica.vector()
    to.heard.set(from.id, from.replica.vector())
    to.resumes.set(from.id, start ?? { chunk: 0, vector })
    const steps = from.replica.since(known, start)
    this.#answers.push({ from, to, steps, vector, promised: valuesOf(from.replica), isResumed: start !== undefined })
  }

  /** One message of an answer under way; now and then it is the last because the link breaks. */
  carry(answer = this.#answers[this.below(this.#answers.length)], breaks = this.below(6) === 0): void {
    if (answer === undefined) return
    const { from, to, steps, vector, promised, isResumed } = answer
    const step = steps.next()
    if (!step.done && !breaks) {
      merge(to.replica, step.value.delta.slice())
      to.resumes.set(from.id, { chunk: step.value.nextChunk, vector })
      return
    }
    this.#answers.splice(this.#answers.indexOf(answer), 1)
    if (!step.done) return
    to.resumes.delete(from.id)
    if (isResumed) return
    const got = valuesOf(to.replica)
    for (let index = 0; index < NAMES; index++) {
      assert.ok(got[index]! >= promised[index]!, `n${index} of a whole answer: ${got[index]} of ${promised[index]}`)
    }
  }

  decide(node = this.#any()): void {
    const others = this.#nodes.filter((other) => other !== node).map(({ id }) => node.heard.get(id))
    if (!others.every((vector) => vector !== undefined)) return
    const fold = decideFold(node.replica.self, node.replica.livesOf(node.id), others)
    if (fold === undefined || this.#folds.some(({ node: of, mark }) => of === fold.node && mark >= fold.mark)) return
    this.#folds.push(fold)
    this.told++
  }

  /** Begins a fold that was told, or takes a step of the one that goes on; or forgets it, as a failure would. */
  fold(node = this.#any()): void {
    if (node.fold === undefined) {
      const of = this.#folds.find((fold) => admitsFold(node.replica.livesOf(fold.node), fold))
      if (of) node.fold = { of, steps: node.replica.fold(of.node, of.mark) }
    } else if (this.below(10) === 0) {
      node.fold.steps.return()
      node.fold = undefined
    } else {
      const before = valuesOf(node.replica)
      const { done } = node.fold.steps.next()
      assert.ok(isSame(valuesOf(node.replica), before), `a step of a fold on ${node.id} changes no value`)
      if (!done) return
      node.fold = undefined
      this.folded++
    }
  }

  check(): void {
    for (const node of this.#nodes) {
      const values = valuesOf(node.replica)
      for (let index = 0; index < NAMES; index++) {
        const value = values[index]!
        assert.ok(value <= this.#total[index]!, `n${index} on ${node.id}: ${value} of ${this.#total[index]}`)
        assert.ok(value >= node.shown[index]!, `n${index} on ${node.id} fell from ${node.shown[index]} to ${value}`)
      }
      node.shown.set(values)
    }
  }

  step(): void {
    const roll = this.below(100)
    if (roll < 10) this.count()
    else if (roll < 20) this.restart()
    else if (roll < 40) this.ask()
    else if (roll < 65) this.carry()
    else if (roll < 70) this.decide()
    else if (roll < 98) this.fold()
    else if (roll < 99) this.wipe()
    else if (this.#nodes.length < 5) this.join()
  }

  /** Everybody asks everybody, over good links, and may decide. */
  talk(): void {
    for (const to of [...this.#nodes, ...this.#nodes]) {
      for (const from of this.#nodes) {
        this.ask(to, from)
        for (let answer = this.#answers[0]; answer !== undefined; answer = this.#answers[0]) this.carry(answer, false)
      }
    }
    for (const node of this.#nodes) this.decide(node)
  }

  /** All that is told is folded, until nothing moves. */
  settle(): void {
    for (let round = 0; round < 3; round++) {
      this.talk()
      for (const node of this.#nodes) for (let turn = 0; turn < 200; turn++) this.fold(node)
    }
    this.check()
    const vector = this.#nodes[0]!.replica.vector()
    for (const { id, replica } of this.#nodes) {
      const values = valuesOf(replica)
      for (let index = 0; index < NAMES; index++) assert.is(values[index], this.#total[index], `n${index} on ${id}`)
      assert.ok(replica.vector().equals(vector))
      assert.ok(replica.columns.length <= 5 * this.#nodes.length, `${replica.columns.length} columns on ${id}`)
      assert.equal(lastOf(replica.digests()), lastOf(this.#nodes[0]!.replica.digests()), `digests of ${id}`)
      assert.is(replica.hiddenCells, 0)
    }
  }
}

function newNode(id: number, incarnation: number, hash: NameHash): Node {
  const replica = new Replica({ self: { node: id, incarnation }, hash, namesMax: 0 })
  return { id, replica, heard: new Map(), resumes: new Map(), shown: new Float64Array(NAMES), fold: undefined }
}

/** Of each row which name it is, as far as that was looked up. Rows never move, and reading them in order is fast. */
const numbers = new WeakMap<Replica, number[]>()

function valuesOf(replica: Replica): Float64Array {
  const numberOf = numbers.get(replica) ?? []
  numbers.set(replica, numberOf)
  const values = new Float64Array(NAMES)
  for (let row = 0; row < replica.table.rowCount; row++) {
    numberOf[row] ??= Number(textOf(replica.table.nameOf(row)).slice(1))
    values[numberOf[row]!] = Number(replica.valueOf(row))
  }
  return values
}

const isSame = (left: Float64Array, right: Float64Array): boolean => left.every((value, index) => value === right[index])

function lastOf<T>(steps: Generator<unknown, T>): T {
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value
}

test('a cluster that folds shows what one that never folds shows, through cuts, restarts and newcomers', () => {
  let folded = 0
  let told = 0
  for (let run = 0; run < 6; run++) {
    const seed = SEED * 1000 + run
    const model = new Model(seed)
    try {
      for (let node = 0; node < 3; node++) model.count(undefined, 4500)
      for (let step = 0; step < 400; step++) {
        model.step()
        if (step % 10 === 0) model.check()
        if (step % 100 === 50) model.count(undefined, 4500)
        if (step % 60 === 30) model.talk()
      }
      model.settle()
    } catch (error) {
      ;(error as Error).message += `; seed ${seed}`
      throw error
    }
    folded += model.folded
    told += model.told
  }
  assert.ok(told > 30 && folded > 3 * told, `${told} folds were told, ${folded} done`)
})

test('a newcomer that met a wiped node before the others did waits for what was folded before', () => {
  const value = (replica: Replica) => replica.value(bytesOf('n0'))
  const live = (replica: Replica) => {
    for (let life = 0; life < FOLD_AT_LEAST; life++) {
      increment(replica, [['n0', 10]])
      replica.become({ node: 0, incarnation: replica.self.incarnation + 1 })
    }
  }
  const pull = (to: Replica, from: Replica) => {
    for (const delta of deltasSince(from, to.vector())) merge(to, delta)
  }
  const old = newNode(0, 100, HASH).replica
  const member = newNode(1, 50, HASH).replica
  live(old)
  pull(member, old)
  const first = decideFold(old.self, old.livesOf(0), [member.vector()])!
  for (const _ of member.fold(0, first.mark));

  const wiped = newNode(0, 200, HASH).replica
  const newcomer = newNode(2, 150, HASH).replica
  live(wiped)
  pull(newcomer, wiped)
  pull(wiped, member)
  pull(member, wiped)
  const second = decideFold(wiped.self, wiped.livesOf(0), [member.vector(), newcomer.vector()])!
  for (const replica of [wiped, member, newcomer]) {
    assert.is(admitsFold(replica.livesOf(0), second), replica !== newcomer)
    if (replica !== newcomer) for (const _ of replica.fold(0, second.mark));
  }
  pull(newcomer, member)
  for (const replica of [wiped, member, newcomer]) assert.is(value(replica), 10 * 2 * FOLD_AT_LEAST)
})

test.run()
