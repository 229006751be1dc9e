// What members say to each other, as bytes: the requests and the payloads of answers of docs/PROTOCOL.md, section 1.
// Encoding and decoding lie side by side, message by message. Decoding is total: what is not a message throws SYNC_INVALID, before
// memory is taken for it, and nothing is acted on before the whole request is read.

import { isUtf8 } from 'node:buffer'
import { ByteReader, ByteWriter, readUint32, writeUint32 } from '../base/bytes.ts'
import { type Fold, type Member, readAddress, readMembers, writeMembers } from '../cluster/index.ts'
import { decodeVector, encodeVector, NODE_MAX, type ReplicaId, SEQ_MAX, type VersionVector } from '../storage/index.ts'

export const PROTOCOL_VERSION = 1
/** Words of the digests of a node: a pair for each of 4,096 buckets. */
export const DIGEST_WORDS = 2 * 4096
/** Folds that one message tells of, at most. */
export const FOLDS_MAX = 1024
/** Bytes of the code and of the reason of a refusal, at most. */
const TEXT_BYTES_MAX = 1024
/** Bytes that an encoded fold, and each of its finals, takes at least. */
const FOLD_BYTES_MIN = 3
const FINAL_BYTES_MIN = 2
const LIFE_BYTES = 8

/** Which process speaks. */
export interface Sender {
  readonly node: number
  readonly incarnation: number
  /** Sixteen hexadecimal digits drawn at the start of the process. */
  readonly life: string
  /** Base URL of its sync port; ":PORT" when it does not know the host that others reach it by. */
  readonly address: string
  readonly publicUrl: string
}

/** What one member tells another of all. */
export interface News {
  readonly members: readonly Member[]
  readonly folds: readonly Fold[]
}

/** Of an answer that was cut off: where it goes on. */
export interface Resume {
  /** The process that gave it. */
  readonly life: string
  readonly chunk: number
  /** The vector of the welcome that the answer began with. */
  readonly vector: VersionVector
}

export interface ProbeRequest {
  readonly sender: Sender
}

/** A nudge is one without `resume`. */
export interface ExchangeRequest extends ProbeRequest {
  readonly vector: VersionVector
  readonly news: News
  readonly resume: Resume | undefined
}

export interface DrainRequest extends ProbeRequest {
  /** Who is to drain itself: nobody else obeys. */
  readonly target: ReplicaId
}

/** A question to another part of the program on another node; what the payload means is that part's business. */
export interface CallRequest extends ProbeRequest {
  readonly service: string
  /** A view of the request. */
  readonly payload: Uint8Array
}

export interface DigestRequest extends ProbeRequest {
  readonly vector: VersionVector
  readonly digests: Uint32Array
}

/** The first message of every answer but that of a probe. */
export interface Welcome {
  readonly kind: 'welcome'
  readonly sender: Sender
  readonly vector: VersionVector
  readonly news: News
  /** Whether the answer goes on where `resume` said. */
  readonly resumed: boolean
}

export interface Cells {
  readonly kind: 'cells'
  readonly nextChunk: number
  /** A view of the message. */
  readonly delta: Uint8Array
}

/** The answer is complete. */
export interface Done {
  readonly kind: 'done'
}

export interface Refusal {
  readonly kind: 'refusal'
  /** REMOVED: this incarnation has left, take a new one. NODE_ID_TAKEN: the asker has the node id of the answerer. And others. */
  readonly code: string
  readonly reason: string
  /** REMOVED: the greatest incarnation of the asker's node id that has left; a new one has to be greater. Else 0. */
  readonly incarnation: number
}

/** The answer to a probe. */
export interface Probed {
  readonly kind: 'probed'
  readonly sender: Sender
  /** Whether the node id is the answerer's: another process that starts with it yields. */
  readonly holdsId: boolean
  /** All it knows of columns of the asker's node id, and of slots that the asker's incarnation has heard. */
  readonly vector: VersionVector
  /** Another process that has spoken with the asker's node id. */
  readonly holder: Sender | undefined
}

/** The answer to a call. */
export interface Returned {
  readonly kind: 'returned'
  /** A view of the message. */
  readonly payload: Uint8Array
}

export type Message = Welcome | Cells | Done | Refusal | Probed | Returned

const WELCOME = 1
const CELLS = 2
const DONE = 3
const REFUSAL = 4
const PROBED = 5
const RETURNED = 6

const RESUMED = 1
const HOLDS_ID = 1

export function encodeProbe({ sender }: ProbeRequest): Uint8Array {
  return request((writer) => writeSender(writer, sender))
}

export function decodeProbe(body: Uint8Array): ProbeRequest {
  return whole(requestReader(body), (reader) => ({ sender: readSender(reader) }))
}

export function encodeCall({ sender, service, payload }: CallRequest): Uint8Array {
  return request((writer) => {
    writeSender(writer, sender)
    writer.sized(Buffer.from(service))
    writer.raw(payload)
  })
}

export function decodeCall(body: Uint8Array): CallRequest {
  return whole(requestReader(body), (reader) => ({
    sender: readSender(reader),
    service: readText(reader),
    payload: reader.raw(reader.left),
  }))
}

export function encodeReturned(payload: Uint8Array): Uint8Array {
  const writer = new ByteWriter(1 + payload.length)
  writer.uint8(RETURNED)
  writer.raw(payload)
  return writer.written()
}

export function encodeDrain({ sender, target }: DrainRequest): Uint8Array {
  return request((writer) => {
    writeSender(writer, sender)
    writer.varint(target.node)
    writer.varint(target.incarnation)
  })
}

export function decodeDrain(body: Uint8Array): DrainRequest {
  return whole(requestReader(body), (reader) => ({
    sender: readSender(reader),
    target: { node: reader.varint(), incarnation: reader.varint() },
  }))
}

export function encodeExchange({ sender, vector, news, resume }: ExchangeRequest): Uint8Array {
  return request((writer) => {
    writeSender(writer, sender)
    encodeVector(writer, vector)
    writeNews(writer, news)
    if (resume === undefined) return
    writer.raw(Buffer.from(resume.life, 'hex'))
    writer.varint(resume.chunk)
    encodeVector(writer, resume.vector)
  })
}

/** @throws CounterError SYNC_INVALID; also when the news does not hold the sender's own record */
export function decodeExchange(body: Uint8Array): ExchangeRequest {
  return whole(requestReader(body), (reader) => {
    const sender = readSender(reader)
    const vector = decodeVector(reader)
    const news = readNews(reader)
    const own = news.members.find(({ node }) => node === sender.node)
    if (own?.incarnation !== sender.incarnation) reader.fail(`node ${sender.node} tells nothing of itself`)
    return { sender, vector, news, resume: reader.left === 0 ? undefined : readResume(reader) }
  })
}

function readResume(reader: ByteReader): Resume {
  return { life: readLife(reader), chunk: reader.varint(), vector: decodeVector(reader) }
}

export function encodeDigest({ sender, vector, digests }: DigestRequest): Uint8Array {
  return request((writer) => {
    writeSender(writer, sender)
    encodeVector(writer, vector)
    writer.reserve(digests.length * 4)
    for (const word of digests) writer.length = writeUint32(writer.bytes, writer.length, word)
  })
}

export function decodeDigest(body: Uint8Array): DigestRequest {
  return whole(requestReader(body), (reader) => {
    const sender = readSender(reader)
    const vector = decodeVector(reader)
    const bytes = reader.raw(DIGEST_WORDS * 4)
    return { sender, vector, digests: Uint32Array.from({ length: DIGEST_WORDS }, (_, at) => readUint32(bytes, at * 4)) }
  })
}

export function encodeWelcome({ sender, vector, news, resumed }: Omit<Welcome, 'kind'>): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(WELCOME)
  writeSender(writer, sender)
  encodeVector(writer, vector)
  writeNews(writer, news)
  writer.uint8(resumed ? RESUMED : 0)
  return writer.written()
}

/** Puts a message of cells in the place of what `writer` holds. */
export function encodeCellsInto(writer: ByteWriter, nextChunk: number, delta: Uint8Array): Uint8Array {
  writer.length = 0
  writer.uint8(CELLS)
  writer.varint(nextChunk)
  writer.raw(delta)
  return writer.written()
}

export const encodeDone = (): Uint8Array => Uint8Array.of(DONE)

export function encodeRefusal({ code, reason, incarnation }: Omit<Refusal, 'kind'>): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(REFUSAL)
  writer.sized(Buffer.from(code))
  writer.sized(Buffer.from(reason))
  writer.varint(incarnation)
  return writer.written()
}

export function encodeProbed({ sender, holdsId, vector, holder }: Omit<Probed, 'kind'>): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(PROBED)
  writeSender(writer, sender)
  writer.uint8(holdsId ? HOLDS_ID : 0)
  encodeVector(writer, vector)
  writer.uint8(holder === undefined ? 0 : 1)
  if (holder !== undefined) writeSender(writer, holder)
  return writer.written()
}

/** Reads a payload of an answer. @throws CounterError SYNC_INVALID */
export function decodeMessage(payload: Uint8Array): Message {
  return whole(new ByteReader(payload, 0, payload.length, 'SYNC_INVALID', 'message'), (reader) => {
    const kind = reader.uint8()
    if (kind === WELCOME) return readWelcome(reader)
    if (kind === CELLS) return { kind: 'cells', nextChunk: reader.varint(), delta: reader.raw(reader.left) }
    if (kind === DONE) return { kind: 'done' }
    if (kind === REFUSAL)
      return { kind: 'refusal', code: readText(reader), reason: readText(reader), incarnation: reader.varint() }
    if (kind === PROBED) return readProbed(reader)
    if (kind === RETURNED) return { kind: 'returned', payload: reader.raw(reader.left) }
    return reader.fail(`unknown kind ${kind}`)
  })
}

function readWelcome(reader: ByteReader): Welcome {
  const [sender, vector, news] = [readSender(reader), decodeVector(reader), readNews(reader)]
  return { kind: 'welcome', sender, vector, news, resumed: readFlags(reader, RESUMED) === RESUMED }
}

function readProbed(reader: ByteReader): Probed {
  const sender = readSender(reader)
  const holdsId = readFlags(reader, HOLDS_ID) === HOLDS_ID
  const vector = decodeVector(reader)
  return { kind: 'probed', sender, holdsId, vector, holder: readFlags(reader, 1) === 1 ? readSender(reader) : undefined }
}

function request(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter()
  writer.uint8(PROTOCOL_VERSION)
  write(writer)
  return writer.written()
}

function requestReader(body: Uint8Array): ByteReader {
  const reader = new ByteReader(body, 0, body.length, 'SYNC_INVALID', 'request')
  const version = reader.uint8()
  if (version !== PROTOCOL_VERSION) reader.fail(`version ${version}, expected ${PROTOCOL_VERSION},`)
  return reader
}

/** Reads to the end, and no further. */
function whole<T>(reader: ByteReader, read: (reader: ByteReader) => T): T {
  const value = read(reader)
  if (reader.left > 0) reader.fail(`${reader.left} bytes are left over`)
  return value
}

function writeSender(writer: ByteWriter, { node, incarnation, life, address, publicUrl }: Sender): void {
  writer.varint(node)
  writer.varint(incarnation)
  writer.raw(Buffer.from(life, 'hex'))
  writer.sized(Buffer.from(address))
  writer.sized(Buffer.from(publicUrl))
}

function readSender(reader: ByteReader): Sender {
  const node = reader.varint()
  if (node > NODE_MAX) reader.fail(`node id ${node}`)
  return {
    node,
    incarnation: reader.varint(),
    life: readLife(reader),
    address: readAddress(reader),
    publicUrl: readAddress(reader),
  }
}

const readLife = (reader: ByteReader): string => Buffer.from(reader.raw(LIFE_BYTES)).toString('hex')

function readFlags(reader: ByteReader, greatest: number): number {
  const flags = reader.uint8()
  if (flags > greatest) reader.fail(`unknown flags ${flags}`)
  return flags
}

function writeNews(writer: ByteWriter, { members, folds }: News): void {
  writeMembers(writer, members)
  writer.varint(folds.length)
  for (const { node, mark, finals } of folds) {
    writer.varint(node)
    writer.varint(mark)
    writer.varint(finals.length)
    for (const { incarnation, seq } of finals) {
      writer.varint(incarnation)
      writer.varint(seq)
    }
  }
}

function readNews(reader: ByteReader): News {
  const members = readMembers(reader)
  const count = reader.varint()
  if (count > FOLDS_MAX) reader.fail(`${count} folds, at most ${FOLDS_MAX}`)
  if (count * FOLD_BYTES_MIN > reader.left) reader.fail(`${count} folds do not fit`)
  return { members, folds: Array.from({ length: count }, () => readFold(reader)) }
}

function readFold(reader: ByteReader): Fold {
  const node = reader.varint()
  if (node > NODE_MAX) reader.fail(`node id ${node}`)
  const mark = reader.varint()
  const count = reader.varint()
  if (count * FINAL_BYTES_MIN > reader.left) reader.fail(`${count} finals do not fit`)
  const finals = Array.from({ length: count }, () => {
    const incarnation = reader.varint()
    const seq = reader.varint()
    if (seq > SEQ_MAX) reader.fail(`sequence number ${seq}`)
    return { incarnation, seq }
  })
  return { node, mark, finals }
}

function readText(reader: ByteReader): string {
  const length = reader.varint()
  if (length > TEXT_BYTES_MAX) reader.fail(`text of ${length} bytes, at most ${TEXT_BYTES_MAX}`)
  const bytes = reader.raw(length)
  if (!isUtf8(bytes)) reader.fail('text is not UTF-8')
  return Buffer.from(bytes).toString()
}
