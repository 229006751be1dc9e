// The names under which shards count the one total. Each adds to a part of its own, its open part, whose name has no slot. When its last slots go,
// the part goes with them and is closed: from then on it is a counter like any other, under a name in one of those slots, that nobody adds to any
// more. A shard that gets slots again opens another part, so that no name ever means two.
//
//   the total        the total 1       ...     open parts of a shard in its eras: era 0, era 1 after it was emptied once, and so on
//   the total {17} 3.0                         closed: shard 3's of era 0, in the slot of 17

import { type Names, slotOf } from './slots.ts'

/** The counter of the one total, on a node alone and on a shard that was never emptied. */
export const TOTAL_NAME = 'the total'

/** Of which shard and era a closed part is, and where it lies. */
export interface ClosedPart {
  readonly shard: number
  readonly era: number
  readonly slot: number
}

const encoder = new TextEncoder()
const TOTAL = encoder.encode(TOTAL_NAME)
const SPACE = 0x20
const DIGIT_0 = 0x30
const DIGIT_9 = 0x39
const ERA_DIGITS_MAX = 6
const CLOSED = /^the total \{(0|[1-9]\d{0,6})\} (0|[1-9]\d{0,2})\.(0|[1-9]\d{0,5})$/
const CLOSED_LENGTH_MAX = 40

export const openPart = (era: number): string => (era === 0 ? TOTAL_NAME : `${TOTAL_NAME} ${era}`)

/** The era of a shard whose open part has this name; undefined when none has. Cost: a look at the length and the first bytes. */
export function eraOf(name: Uint8Array): number | undefined {
  if (!startsAsTotal(name)) return undefined
  if (name.length === TOTAL.length) return 0
  const from = TOTAL.length + 1
  if (name[TOTAL.length] !== SPACE || name.length === from || name.length > from + ERA_DIGITS_MAX) return undefined
  let era = 0
  for (let at = from; at < name.length; at++) {
    const digit = name[at]!
    if (digit < DIGIT_0 || digit > DIGIT_9 || (at === from && digit === DIGIT_0)) return undefined
    era = era * 10 + digit - DIGIT_0
  }
  return era
}

/** The name of a part that is closed and lies in one of the slots; of the same slots always the same. Cost: up to some 10 ms for a single slot. */
export function closedPart(shard: number, era: number, isIn: (slot: number) => boolean): string {
  // Some number has each slot: the CRC of numbers of up to six digits takes all values.
  for (let tag = 0; ; tag++) if (isIn(slotOfText(String(tag)))) return `${TOTAL_NAME} {${tag}} ${shard}.${era}`
}

export function readClosedPart(name: unknown): ClosedPart | undefined {
  const found = typeof name === 'string' ? CLOSED.exec(name) : null
  if (found === null) return undefined
  return { shard: Number(found[2]), era: Number(found[3]), slot: slotOfText(found[1]!) }
}

/** Whether a name is, or may become, that of a part of the total over shards. */
export function isPart(name: Uint8Array): boolean {
  if (!startsAsTotal(name) || name.length > CLOSED_LENGTH_MAX) return false
  return eraOf(name) !== undefined || CLOSED.test(Buffer.from(name.buffer, name.byteOffset, name.length).toString('latin1'))
}

/** Whether one of the names is. */
export function hasPart({ count, names, ends }: Names): boolean {
  for (let index = 0, start = 0; index < count; index++) {
    const end = ends[index]!
    if (end - start >= TOTAL.length && isPart(names.subarray(start, end))) return true
    start = end
  }
  return false
}

function startsAsTotal(name: Uint8Array): boolean {
  if (name.length < TOTAL.length) return false
  for (let at = 0; at < TOTAL.length; at++) if (name[at] !== TOTAL[at]) return false
  return true
}

function slotOfText(text: string): number {
  const bytes = encoder.encode(text)
  return slotOf(bytes, 0, bytes.length)
}
