// A small cluster of replicas for the property test of folding, and an oracle that knows nothing of folding: of each replica, up to which
// write each cell is held, learned from the frames alone. Values must be the sums of just these writes, and what a vector says must be held.

import * as assert from 'uvu/assert'
import { admitsFold, decideFold, type Fold, viewOf } from '../../lib/cluster/index.ts'
import { FOLDED, Replica, type ReplicaId, replicaKey, type VersionVector } from '../../lib/storage/index.ts'
import { batchOf, bytesOf, type Cell, cellsOf, decode, deltasSince, encodeCells, HASH, increment } from './harness.ts'

export const NAMES = ['a', 'b', 'c']
/** Rows between two names, so that a fold has a step for each. */
const BETWEEN = 4096

interface Write {
  readonly replica: ReplicaId
  readonly seq: number
  readonly name: string
  readonly amount: bigint
}

export class Member {
  readonly node: number
  replica: Replica
  /** What the others were heard to know, in this life. */
  heard = new Map<number, VersionVector>()
  folds = new Map<number, Fold>()
  /** Folds under way, by node. */
  running = new Map<number, { fold: Fold; steps: Generator<void, void> }>()
  isUp = true
  joined: boolean
  /** Of each name and replica the number of the last write that its cell includes. */
  held = new Map<string, number>()

  constructor(node: number, joined: boolean) {
    this.node = node
    this.joined = joined
    this.replica = emptyReplica({ node, incarnation: 100 })
  }
}

export function emptyReplica(self: ReplicaId): Replica {
  const replica = new Replica({ self, hash: HASH, namesMax: 0 })
  for (const [index, name] of NAMES.entries()) {
    replica.addNames(batchOf([[name, 0]]), 0, 1)
    const fillers = batchOf(Array.from({ length: BETWEEN }, (_, at) => [`${index} ${at}`, 0] as const))
    if (index + 1 < NAMES.length) replica.addNames(fillers, 0, BETWEEN)
  }
  return replica
}

export class World {
  readonly members = Array.from({ length: 4 }, (_, node) => new Member(node, node < 3))
  readonly writes: Write[] = []
  folded = 0
  #incarnation = 100

  /** Those of the members that take part now. */
  up(index: number): Member | undefined {
    const member = this.members[index % this.members.length]!
    return member.isUp && member.joined ? member : undefined
  }

  write(member: Member, name: string, amount: bigint): void {
    increment(member.replica, [[name, amount]])
    const { self, seq } = member.replica
    this.writes.push({ replica: self, seq, name, amount })
    hold(member, name, self, seq)
  }

  /** The process ends and another begins, which opens a new incarnation; what was folded so far may be lost, or not. */
  restart(member: Member, fresh: boolean): void {
    const { node, replica } = member
    this.#incarnation++
    if (fresh) {
      member.replica = emptyReplica(replica.self)
      for (const delta of deltasSince(replica).reverse()) member.replica.replay(decode(delta))
    }
    member.replica.become({ node, incarnation: this.#incarnation })
    member.heard.clear()
    member.folds.clear()
    member.running.clear()
  }

  /** `asker` asks, each cell comes as a frame of its own, and the answer ends after so many. */
  exchange(asker: Member, answerer: Member, cut: number): void {
    const known = asker.replica.vector()
    this.#hear(answerer, asker, known)
    const view = viewOf([...answerer.folds.values()], answerer.replica.vector(), known)
    this.#hear(asker, answerer, view.own)
    const steps = [...answerer.replica.since(view.known, { chunk: 0, vector: view.own })].length
    const deltas = Array.from(answerer.replica.since(view.known, { chunk: 0, vector: view.own }), ({ delta }) => delta.slice())
    assert.is(deltas.length, steps)
    const last = deltas.pop()!
    const cells = deltas.flatMap((delta) => cellsOf(decode(delta)))
    for (const cell of cells.slice(0, cut)) this.#take(asker, cell)
    if (cut >= cells.length) asker.replica.merge(decode(last))
  }

  #hear(member: Member, other: Member, vector: VersionVector): void {
    const known = member.heard.get(other.node)?.copy()
    known?.merge(vector)
    member.heard.set(other.node, known ?? vector)
    for (const fold of other.folds.values()) {
      if ((member.folds.get(fold.node)?.mark ?? 0) < fold.mark) member.folds.set(fold.node, fold)
    }
  }

  #take(member: Member, cell: Cell): void {
    member.replica.merge(decode(encodeCells([cell])))
    const { node, incarnation } = cell.replica
    if (incarnation !== FOLDED) return hold(member, cell.name, cell.replica, cell.seq)
    for (const { replica, seq, name } of this.writes) {
      if (replica.node === node && replica.incarnation <= cell.seq && name === cell.name) hold(member, name, replica, seq)
    }
  }

  /** As lib/syncsrv/folds.ts does it. */
  considerFolds(member: Member): void {
    const { replica, node } = member
    const others = this.members.filter((other) => other.joined && other !== member).map((other) => member.heard.get(other.node))
    if (!member.running.has(node) && others.every((vector) => vector !== undefined)) {
      const fold = decideFold(replica.self, replica.livesOf(node), others)
      if (fold) this.#start(member, fold)
    }
    for (const fold of member.folds.values()) {
      const isOpen = fold.node !== node || fold.mark < replica.self.incarnation
      if (isOpen && !member.running.has(fold.node) && admitsFold(replica.livesOf(fold.node), fold)) this.#start(member, fold)
    }
  }

  #start(member: Member, fold: Fold): void {
    member.running.set(fold.node, { fold, steps: member.replica.fold(fold.node, fold.mark) })
  }

  stepFolds(member: Member): void {
    for (const [node, { fold, steps }] of member.running) {
      if (!steps.next().done) continue
      member.running.delete(node)
      if ((member.folds.get(node)?.mark ?? 0) < fold.mark) member.folds.set(node, fold)
      this.folded++
    }
  }

  check(member: Member): void {
    const { replica, held } = member
    const vector = replica.vector()
    for (const name of NAMES) {
      let value = 0n
      for (const write of this.writes) {
        if (write.name !== name) continue
        const isHeld = (held.get(`${name} ${replicaKey(write.replica)}`) ?? 0) >= write.seq
        if (isHeld) value += write.amount
        else if (vector.get(write.replica) >= write.seq)
          assert.unreachable(`the vector of ${member.node} says what it does not hold`)
      }
      assert.is(BigInt(replica.value(bytesOf(name))), value, `'${name}' at node ${member.node}`)
    }
  }

  /** All are up and have all the time they need. */
  settle(): void {
    for (const member of this.members) member.isUp = true
    for (let round = 0; round < 6; round++) {
      for (const asker of this.members) {
        if (!asker.joined) continue
        for (const answerer of this.members) if (answerer !== asker && answerer.joined) this.exchange(asker, answerer, Infinity)
        this.considerFolds(asker)
        for (let step = 0; step <= NAMES.length; step++) {
          this.check(asker)
          this.stepFolds(asker)
        }
        this.check(asker)
      }
    }
  }
}

function hold(member: Member, name: string, replica: ReplicaId, seq: number): void {
  const key = `${name} ${replicaKey(replica)}`
  member.held.set(key, Math.max(seq, member.held.get(key) ?? 0))
}
