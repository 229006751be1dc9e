// A page of sequences, sorted by the UTF-8 bytes of their names, as etcd and every other store of bytes sorts them.

import { assert } from '../base/assert.ts'
import { type Clock, nextTurn } from '../base/clock.ts'
import type { SequencePage, SequenceValue } from './sequencer.ts'

/** So many names are looked at in a turn of the event loop. */
const SLICE = 10_000

/** The order of the UTF-8 bytes of two strings: that of their code points, which in UTF-16 differs from that of the units. */
export function compareUtf8(a: string, b: string): number {
  const length = Math.min(a.length, b.length)
  for (let at = 0; at < length; at++) {
    const ours = a.charCodeAt(at)
    const theirs = b.charCodeAt(at)
    if (ours !== theirs) return codePointOrder(ours) - codePointOrder(theirs)
  }
  return a.length - b.length
}

/** Halves of surrogate pairs stand for code points above all that have a unit of their own. */
const codePointOrder = (unit: number): number => (unit >= 0xe000 ? unit - 0x800 : unit >= 0xd800 ? unit + 0x2000 : unit)

/** The first of `values` on the page. Cost: a look at each, in slices; a sort of some times the page. */
export async function pageOf(
  values: Iterable<readonly [name: string, value: number]>,
  { prefix, after, limit }: SequencePage,
  clock: Clock,
): Promise<{ sequences: SequenceValue[]; more: boolean }> {
  assert(Number.isInteger(limit) && limit >= 1, 'a page has room')
  const kept = limit + 1
  let first: SequenceValue[] = []
  let looked = 0
  for (const [name, value] of values) {
    if (++looked % SLICE === 0) await nextTurn(clock)
    if (!name.startsWith(prefix) || (after !== undefined && compareUtf8(name, after) <= 0)) continue
    first.push({ name, value })
    if (first.length >= 8 * kept) first = lowest(first, kept)
  }
  first = lowest(first, kept)
  return { sequences: first.slice(0, limit), more: first.length > limit }
}

const lowest = (values: SequenceValue[], count: number): SequenceValue[] =>
  values.sort((a, b) => compareUtf8(a.name, b.name)).slice(0, count)
