// Damaged logs, with their checksums left as they are and with them put right again. A start takes what is true, or refuses with a
// code; it never ends in another way, and what it took it can go on from.
//
//   node --import tsx test/fuzz/log.fuzz.ts --runs 10000 --seed 7

import { parseArgs } from 'node:util'
import { crc32 } from 'node:zlib'
import { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES } from '../../lib/persistence/frame.ts'
import type { Store } from '../../lib/persistence/index.ts'
import { encodeCells, encodeKnown, FOLDED, VersionVector } from '../../lib/storage/index.ts'
import { Machine, nameBytes, once, plainReply, valueOf } from '../persistence/harness.ts'
import { countsOf } from '../sim/check-items-counts.ts'
import { itemsOf } from '../sim/item-versions.ts'
import { damaged } from './damage.ts'

const OPS = 12
/** From here on the writes with keys can be taken back: until then the incarnation that they are of is given up. */
const MOVED = OPS / 2
/** Nothing was heard of another member. */
const UNHEARD = [new VersionVector()]

/** Checksums of the frames as they now lie there. */
function resealed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = SEGMENT_HEADER_BYTES; at + FRAME_HEADER_BYTES < bytes.length; ) {
    const end = at + FRAME_HEADER_BYTES + view.getUint32(at, true)
    if (end > bytes.length || end === at + FRAME_HEADER_BYTES) break
    view.setBigUint64(at + 8, BigInt(at - SEGMENT_HEADER_BYTES), true)
    view.setUint32(at + 4, crc32(bytes.subarray(at + 8, end)), true)
    at = end
  }
  return bytes
}

/** Another node's lives become one, and then this node's own first ones, of which the present one is moved away. */
async function foldAndMove(machine: Machine, store: Store): Promise<void> {
  const cells = [{ name: nameBytes('theirs'), plus: 3n, minus: 1n }]
  for (const incarnation of [10, 20]) {
    await machine.settle(store.merge(encodeCells({ node: 7, incarnation }, 1, cells)))
    await machine.settle(store.merge(encodeKnown({ node: 7, incarnation }, 1)))
  }
  await machine.settle(store.fold(7, 20))
  const { node, incarnation } = store.self
  await machine.settle(store.merge(encodeKnown({ node, incarnation: FOLDED }, incarnation + 5)))
}

const amountsOf = (index: number) => ({ hot: 1, [`op-${index}`]: 1, cold: index % 4 === 0 ? -1 : 1 })
const keyOf = (index: number) => (index % 2 === 0 ? once(`k${index}`) : undefined)

/** Another node, which has counted some of the keys a second earlier: this one takes its own writes back when it hears of it. */
async function openOther(
  seed: number,
): Promise<{ count(index: number): Promise<void>; tell(to: Machine, store: Store): Promise<void> }> {
  const machine = new Machine(seed)
  const store = await machine.open({ nodeId: 2 })
  machine.clock.wallMs -= 1000
  store.settle(UNHEARD)
  return {
    count: async (index) => void (await machine.settle(machine.write(store, amountsOf(index), keyOf(index), 'of the other'))),
    async tell(to, heard) {
      for (const delta of Array.from(store.since(heard.vector()), ({ delta }) => delta.slice()))
        await to.settle(heard.merge(delta))
    },
  }
}

/** Items and a note after each write of counts: one item more, and one that goes from tenant to tenant, or away. */
async function changeItems(machine: Machine, store: Store, index: number): Promise<void> {
  const changes = [
    { id: `item-${index}`, tenant: 'all' },
    { id: 'wanderer', tenant: wandererAt(index) },
  ]
  const key = index % 4 === 0 ? once(`items-${index}`) : undefined
  await machine.settle(store.changeItems(changes, () => plainReply(), key))
  await machine.settle(store.keepNotes([['note', nameBytes(String(index + 1))]]))
}

const wandererAt = (index: number): string | undefined => (index < 0 || index % 4 === 3 ? undefined : `camp ${index % 4}`)

/** What is wrong with the items when so many of the counts are there, or undefined. */
function judgeItems(store: Store, counted: number): string | undefined {
  const there = Array.from({ length: OPS }, (_, index) => store.item(`item-${index}`)?.tenant === 'all')
  const count = there.filter(Boolean).length
  const noted = Number(Buffer.from(store.note('note') ?? []).toString())
  if (there.some((isThere, index) => isThere !== index < count)) return `not the first items: ${there}`
  if (count > counted || count < counted - 1 || noted > count || noted < count - 1) return `${counted}, ${count}, ${noted}`
  if (store.item('wanderer')?.tenant !== wandererAt(count - 1)) return `the wanderer is at ${store.item('wanderer')?.tenant}`
  return undefined
}

/** Counts per tenant are those of the items, whatever was damaged. */
function judgeCounts(store: Store): string | undefined {
  const counts = [...countsOf(itemsOf(store))]
  const wrong = counts.find(([tenant, count]) => store.tenantCount(tenant) !== count)
  if (wrong !== undefined) return `tenant ${wrong} is counted as ${store.tenantCount(wrong[0])}`
  const items = counts.reduce((sum, [, count]) => sum + count, 0)
  return store.status().items === items ? undefined : `${store.status().items} items, and ${items} are there`
}

export async function fuzzLog(runs: number, seed: number): Promise<Map<string, number>> {
  const random = seededRandom(seed)
  const ends = new Map<string, number>()
  const machine = new Machine(seed)
  let store = await machine.open()
  const other = await openOther(seed + 1)
  for (let index = 0; index < OPS; index++) {
    if (index === MOVED) {
      await foldAndMove(machine, store)
      store.settle(UNHEARD)
    }
    const isTwice = index >= MOVED && index % 4 === 2
    if (isTwice) await other.count(index)
    await machine.settle(machine.write(store, amountsOf(index), keyOf(index), `reply ${index}`))
    if (isTwice) await other.tell(machine, store)
    await changeItems(machine, store, index)
  }
  const { tentativeWrites, withdrawals } = store.status()
  if (tentativeWrites === 0 || withdrawals < 2) throw new Error(`void: ${tentativeWrites} tentative, ${withdrawals} withdrawn`)
  await machine.kill()
  const path = machine.files('log')[0]!
  const whole = machine.disk.bytesOf(path)
  const log = whole.slice(0, whole.findLastIndex((byte) => byte !== 0) + 1)

  for (let run = 0; run < runs; run++) {
    const fix = random.uint32() % 2 === 0
    let bytes = damaged(fix ? log.subarray(SEGMENT_HEADER_BYTES) : log, random)
    if (fix) bytes = resealed(new Uint8Array(Buffer.concat([log.subarray(0, SEGMENT_HEADER_BYTES), bytes])))
    for (const other of machine.files('log')) machine.disk.drop(other)
    machine.disk.put(path, bytes)
    const fail = (why: string): never => {
      throw new Error(`log.fuzz --seed ${seed}, run ${run}${fix ? ', checksums put right' : ''}: ${why}`)
    }
    let end = 'opened'
    try {
      store = await machine.open()
      // What was heard and not taken back yet, is now.
      store.settle(UNHEARD)
      await machine.rest()
      if (!fix) {
        const kept = Array.from({ length: OPS }, (_, index) => valueOf(store, `op-${index}`))
        const count = kept.filter((value) => value === 1).length
        if (kept.some((value, index) => value !== (index < count ? 1 : 0))) fail(`not the first ones: ${kept}`)
        if (valueOf(store, 'hot') !== count) fail(`hot is ${valueOf(store, 'hot')} of ${count}`)
        const wrong = judgeItems(store, count)
        if (wrong !== undefined) fail(wrong)
      }
      const miscounted = judgeCounts(store)
      if (miscounted !== undefined) fail(miscounted)
      const before = valueOf(store, 'after')
      await machine.settle(machine.write(store, { after: 1 }))
      await machine.settle(store.changeItems([{ id: 'after', tenant: 'last' }], () => plainReply()))
      await machine.powerCut(0)
      store = await machine.open()
      if (!fix && valueOf(store, 'after') !== before + 1) fail('a write behind it is lost')
      if (store.item('after')?.tenant !== 'last') fail('an item behind it is lost')
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      end = error.code
      if (end !== 'LOG_CORRUPT' && end !== 'LOG_VERSION' && !(fix && end === 'COUNT_OVERFLOW')) fail(String(error))
    }
    ends.set(end, (ends.get(end) ?? 0) + 1)
    await machine.kill()
    if (machine.disk.openCount > 0) fail('files stay open')
  }
  return ends
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } } })
  console.log(await fuzzLog(Number(values.runs), Number(values.seed)))
}
