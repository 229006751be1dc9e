// What a member answers when the home asks what it knows, or tells it something. docs/PROTOCOL.md, section 9.

import { ByteWriter } from '../base/bytes.ts'
import { ended, many, PAGE_MAX, readerOf, readFlag, readText, writeText } from './home-parts.ts'
import { type Mark, type Opinion, readStanding, type Standing, writeStanding } from './home-tenure.ts'

/** An answer to `ask`: one page of the opinion. */
export interface OpinionPage extends Standing {
  readonly home: number
  readonly members: readonly number[]
  readonly marks: ReadonlyArray<readonly [name: string, mark: Mark]>
  /** How many marks there are. */
  readonly total: number
}

export function encodeOpinion({ home, members, marks, total, ...standing }: OpinionPage): Uint8Array {
  const writer = new ByteWriter(256)
  writer.varint(home)
  writeStanding(writer, standing)
  writer.varint(members.length)
  for (const node of members) writer.varint(node)
  writer.varint(total)
  writer.varint(marks.length)
  for (const [name, { term, value }] of marks) {
    writeText(writer, name)
    writer.varint(term)
    writer.varint(value)
  }
  return writer.written()
}

/** @throws CounterError SYNC_INVALID */
export function decodeOpinion(bytes: Uint8Array): OpinionPage {
  const reader = readerOf(bytes, 'what a member knows of sequences')
  const home = reader.varint()
  const standing = readStanding(reader)
  const members = many(reader, Number.POSITIVE_INFINITY, () => reader.varint())
  const total = reader.varint()
  const marks = many(reader, PAGE_MAX, () => [readText(reader), { term: reader.varint(), value: reader.varint() }] as const)
  ended(reader)
  return { home, ...standing, members, total, marks }
}

/** Whether what was told fits what the member knows. */
export const encodeAgreement = (agrees: boolean): Uint8Array => Uint8Array.of(Number(agrees))

/** @throws CounterError SYNC_INVALID */
export function decodeAgreement(bytes: Uint8Array): boolean {
  const reader = readerOf(bytes, 'whether a member agrees about sequences')
  const agrees = readFlag(reader)
  ended(reader)
  return agrees
}

/** An opinion whose pages are put together. */
export const opinionOf = (node: number, page: OpinionPage, marks: Map<string, Mark>): Opinion => ({
  node,
  home: page.home,
  tenure: page.tenure,
  holding: page.holding,
  members: page.members,
  marks,
})
