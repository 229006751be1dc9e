// Members as bytes: in messages between nodes, and in the members file. docs/PROTOCOL.md, section 1.
//
//   member  := node incarnation edition state(u8) address publicUrl      numbers are varints, a text is its length and UTF-8
//   members := version(u8 = 1) count member{count}                       the file; its checksum is persistence's
//
// Decoding is total: what is not a member throws, before memory is taken for it.

import { isUtf8 } from 'node:buffer'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { CounterError } from '../base/errors.ts'
import { LIST_INCARNATIONS, NODE_MAX } from '../storage/index.ts'
import type { Member, MemberState } from './member.ts'

/** Members at most, those that left included. */
export const MEMBERS_MAX = 1024
/** Bytes of an address at most. */
export const ADDRESS_BYTES_MAX = 512
/** Editions are in [0, EDITION_MAX]. One a millisecond reaches it in 142,000 years. */
export const EDITION_MAX = 2 ** 52

const VERSION = 1
const STATES: readonly MemberState[] = ['alive', 'suspect', 'dead', 'left']
/** Bytes that an encoded member takes at least. */
const MEMBER_BYTES_MIN = 6
const CONTROL_CHARACTERS = /\p{Cc}/u

/** The members file's content. */
export function encodeMembers(members: readonly Member[]): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(VERSION)
  writeMembers(writer, members)
  return writer.written()
}

/** @throws CounterError SYNC_INVALID when the bytes are not those of members */
export function decodeMembers(bytes: Uint8Array): readonly Member[] {
  const reader = new ByteReader(bytes, 0, bytes.length, 'SYNC_INVALID', 'members')
  const version = reader.uint8()
  if (version !== VERSION) throw new CounterError('SYNC_INVALID', `members are version ${version}, expected ${VERSION}`)
  const members = readMembers(reader)
  if (reader.left > 0) reader.fail(`${reader.left} bytes are left over`)
  return members
}

/** Appends how many, and each. */
export function writeMembers(writer: ByteWriter, members: readonly Member[]): void {
  writer.varint(members.length)
  for (const member of members) writeMember(writer, member)
}

/** Reads what writeMembers has written. @throws CounterError with the reader's code */
export function readMembers(reader: ByteReader): Member[] {
  const count = reader.varint()
  if (count > MEMBERS_MAX) reader.fail(`${count} members, at most ${MEMBERS_MAX}`)
  if (count * MEMBER_BYTES_MIN > reader.left) reader.fail(`${count} members do not fit`)
  return Array.from({ length: count }, () => readMember(reader))
}

export function writeMember(writer: ByteWriter, member: Member): void {
  writer.varint(member.node)
  writer.varint(member.incarnation)
  writer.varint(member.edition)
  writer.uint8(STATES.indexOf(member.state))
  writer.sized(Buffer.from(member.address))
  writer.sized(Buffer.from(member.publicUrl))
}

/** Reads what writeMember has written. @throws CounterError with the reader's code */
export function readMember(reader: ByteReader): Member {
  const node = reader.varint()
  if (node > NODE_MAX) reader.fail(`node id ${node}`)
  const incarnation = reader.varint()
  if (incarnation >= LIST_INCARNATIONS) reader.fail(`incarnation ${incarnation}`)
  const edition = reader.varint()
  if (edition > EDITION_MAX) reader.fail(`edition ${edition}`)
  const code = reader.uint8()
  const state = STATES[code] ?? reader.fail(`state ${code}`)
  return { node, incarnation, edition, state, address: readAddress(reader), publicUrl: readAddress(reader) }
}

/** Reads an address, which may be empty. @throws CounterError with the reader's code */
export function readAddress(reader: ByteReader): string {
  const length = reader.varint()
  if (length > ADDRESS_BYTES_MAX) reader.fail(`address of ${length} bytes, at most ${ADDRESS_BYTES_MAX}`)
  const bytes = reader.raw(length)
  if (!isUtf8(bytes)) reader.fail('address is not UTF-8')
  const address = Buffer.from(bytes).toString()
  if (CONTROL_CHARACTERS.test(address)) reader.fail('address has control characters')
  return address
}
