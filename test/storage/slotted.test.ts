import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { DecodedDelta, Replica, SlottedView } from '../../lib/storage/index.ts'
import { batchOf, hash } from '../persistence/harness.ts'

const test = suite('storage/slotted')
/** A name's slot is its first letter here. */
const slotOf = (bytes: Uint8Array, start: number): number => bytes[start]! - 97
const flags = (letters: string): Uint8Array => {
  const flags = new Uint8Array(2 ** 16)
  for (const letter of letters) flags[letter.charCodeAt(0) - 97] = 1
  return flags
}
const decoder = new TextDecoder()

function replica(node = 1): Replica {
  return new Replica({ self: { node, incarnation: 5 }, hash, namesMax: 0 })
}
const count = (to: Replica, amounts: Record<string, number | bigint>) => to.increment(batchOf(amounts), new ByteWriter())
const change = (to: Replica, items: Record<string, string | undefined>) => {
  const writer = new ByteWriter()
  to.changeItems(
    Object.entries(items).map(([id, tenant]) => ({ id, tenant })),
    1,
    writer,
  )
  return writer.written().slice()
}
const found = (view: SlottedView, letters: string, from = 0): string[] => {
  const lines: string[] = []
  for (const each of view.in(flags(letters), from)) {
    if (each?.kind === 'counter') lines.push(`${decoder.decode(each.name)}=${each.value}`)
    if (each?.kind === 'item') lines.push(`${decoder.decode(each.id)}:${decoder.decode(each.tenant)}`)
  }
  return lines
}

test('counters that are not 0 and items that are there are found by slot, and what comes later too', () => {
  const own = replica()
  const view = new SlottedView(own, slotOf)
  count(own, { a1: 3, b1: 4, a2: 2n ** 63n, a3: 0 })
  // Beyond what one node may count.
  const writer = new ByteWriter()
  replica(2).increment(batchOf({ a2: 2n ** 63n }), writer)
  merge(own, writer.written())
  change(own, { a1: 't', b1: 't', a2: 'u' })
  assert.equal(found(view, 'a'), ['a1=3', 'a2=18446744073709551616', 'a1:t', 'a2:u'])
  count(own, { a1: -3, c1: 1 })
  change(own, { a2: undefined, c1: 'u' })
  assert.equal(found(view, 'ac'), ['a2=18446744073709551616', 'c1=1', 'a1:t', 'c1:u'])
  assert.equal(found(view, ''), [])
})

test('a walk goes on from a position, and what is added meanwhile is found behind it', () => {
  const own = replica()
  const view = new SlottedView(own, slotOf)
  count(own, Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`a${index}`, 1])))
  change(own, Object.fromEntries(Array.from({ length: 40 }, (_, index) => [`a${index}`, 't'])))
  const lines: string[] = []
  let at = 0
  for (;;) {
    let next = at
    for (const each of view.in(flags('a'), at)) {
      if (each === undefined) continue
      lines.push(each.kind)
      next = each.next
      if (lines.length % 7 === 0) break
    }
    if (next === at) break
    at = next
  }
  assert.is(lines.filter((kind) => kind === 'counter').length, 40)
  assert.is(lines.filter((kind) => kind === 'item').length, 40)
})

test('items in hidden slots do not count for their tenants, whoever changes them, until they are shown again', () => {
  const random = seededRandom(Number(process.env.SEED ?? 1))
  const own = replica(1)
  const other = replica(2)
  const view = new SlottedView(own, slotOf)
  const items = new Map<string, string | undefined>()
  let hidden = ''
  for (let step = 0; step < 500; step++) {
    const id = `${'abcd'[random.uint32() % 4]}${random.uint32() % 6}`
    const tenant = ['t', 'u', undefined][random.uint32() % 3]
    if (random.uint32() % 4 === 0) {
      hidden = ['', 'a', 'ab', 'bcd', 'd'][random.uint32() % 5]!
      view.hide(hidden === '' ? undefined : flags(hidden))
    } else if (random.uint32() % 2 === 0) {
      items.set(id, tenant)
      merge(other, change(own, { [id]: tenant }))
    } else {
      items.set(id, tenant)
      merge(own, change(other, { [id]: tenant }))
    }
    for (const each of ['t', 'u']) {
      const expected = [...items].filter(([id, of]) => of === each && !hidden.includes(id[0]!)).length
      assert.is(own.items.countOf(each), expected, `step ${step}, tenant ${each}, hidden ${hidden}`)
    }
  }
})

function merge(to: Replica, delta: Uint8Array): void {
  const decoded = new DecodedDelta()
  decoded.decode(new ByteReader(delta, 0, delta.length, 'DELTA_INVALID', 'delta'))
  to.merge(decoded)
}

test.run()
