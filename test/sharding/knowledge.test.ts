// Before anything is copied the sender knows what all replicas of its group have taken, up to the last write before they froze; and before what
// has arrived is written to, each replica there knows what the others have taken up to then.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SlotMap } from '../../lib/cluster/index.ts'
import { Mover, type ShardPort } from '../../lib/sharding/index.ts'
import type { Known, View } from '../../lib/sharding/port.ts'
import { rejection } from '../persistence/harness.ts'

const test = suite('sharding/knowledge')

/** The write that only one replica has heard of. */
const LAST: Known = [2, 7, 5]

/** A replica in a few lines: it keeps maps, and holds one counter once it has it. */
class Fake implements ShardPort {
  readonly url: string
  readonly #node: number
  readonly #shard: number
  readonly #members: readonly number[]
  #map = SlotMap.even(2)
  known: Known[] = []
  /** Called when a map is kept in which slots are on their way. */
  onFrozen: () => void = () => {}
  /** Called when one is kept in which they have arrived, and nobody writes to them yet. */
  onArrived: () => void = () => {}
  /** What it says to `know`. */
  learns: (known: readonly Known[]) => boolean = () => true
  value: string | undefined

  constructor(node: number, shard: number, members: readonly number[]) {
    this.url = `http://${shard}.${node}`
    this.#node = node
    this.#shard = shard
    this.#members = members
  }

  async look(): Promise<View> {
    const { known } = this
    const kept = { map: this.#map.plain(), shard: this.#shard }
    return {
      node: this.#node,
      kept,
      members: this.#members,
      known: [...known],
      names: 1,
      items: 0,
      nameless: 0,
      withdrawalsDue: 0,
      tableBytes: 0,
    }
  }

  async keep({ map }: { map: unknown }): Promise<void> {
    const next = SlotMap.read(map)
    if (next.version > this.#map.version) this.#map = next
    if (next.moving?.phase === 'copy') this.onFrozen()
    if (next.moving?.phase === 'settle') this.onArrived()
  }

  async know(known: readonly Known[]): Promise<boolean> {
    return this.learns(known)
  }

  async take() {
    const counters = this.value === undefined ? [] : [['a', this.value] as const]
    return { counters, items: [], next: null }
  }

  async find() {
    return { counters: [['a', this.value ?? '0'] as const], items: [] }
  }

  async put({ counters }: { counters: readonly (readonly [string, string])[] }): Promise<void> {
    for (const [, digits] of counters) this.value = digits
  }

  async digest() {
    return { counters: this.value === undefined ? 0 : 1, items: 0, sum: this.value ?? '' }
  }

  owns(slot: number): boolean {
    return this.#map.shardOf(slot) === this.#shard && !this.#map.isMoving(slot)
  }
}

/** A sender, the replica beside it that takes one more write just before it freezes, and a shard that everything goes to. */
function world() {
  const [sender, beside, target] = [new Fake(1, 0, [1, 2]), new Fake(2, 0, [1, 2]), new Fake(1, 1, [1])]
  beside.onFrozen = () => {
    beside.known = [LAST]
    beside.value = '42'
  }
  return { sender, beside, target, mover: moverOf([[sender, beside], [target]]) }
}

const moverOf = (shards: readonly (readonly ShardPort[])[]): Mover =>
  new Mover({
    shards,
    connect: (url) => assert.unreachable(`${url} is named`) as never,
    slotsMax: 16_384,
    formerMs: 1000,
    now: () => 1_700_000_000_000,
    pause: async () => {},
  })

test('a write that another replica took just before it froze goes along', async () => {
  const { sender, target, mover } = world()
  sender.learns = (known) => {
    if (known.some(([node, incarnation, seq]) => node === LAST[0] && incarnation === LAST[1] && seq >= LAST[2]))
      sender.value = '42'
    return true
  }
  await mover.run({ members: [1] })
  assert.is(target.value, '42')
  assert.ok(target.owns(0))
})

test('while the sender does not learn of it, nothing is handed over, and the slots stay', async () => {
  const { sender, target, mover } = world()
  sender.learns = (known) => known.length === 0
  const error = await rejection(mover.run({ members: [1] }))
  assert.is(error.code, 'PEER_UNREACHABLE')
  assert.match(error.message, 'lacks what other replicas of its shard have')
  assert.ok(sender.owns(0))
  assert.is(target.value, undefined)
})

test('what replicas of the target took before the slots arrived all of them know before anybody writes to these', async () => {
  const [sender, target, beside] = [new Fake(1, 0, [1]), new Fake(1, 1, [1, 2]), new Fake(2, 1, [1, 2])]
  beside.onArrived = () => {
    beside.known = [LAST]
  }
  const learned: { owns: boolean }[] = []
  target.learns = (known) => {
    if (known.some(([node]) => node === LAST[0])) learned.push({ owns: target.owns(0) })
    return true
  }
  await moverOf([[sender], [target, beside]]).run({ members: [1] })
  assert.ok(target.owns(0))
  assert.equal(learned[0], { owns: false })
})

test.run()
