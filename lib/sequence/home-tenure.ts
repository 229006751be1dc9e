// Who may give numbers out, where several nodes share one home. A tenure is one stretch in which one home does: each further one has a greater
// term. A node that begins one has asked every member before, and a home that is followed by another has laid down its own durably before it said
// so. So no two tenures give numbers at once, and the values at which one ended are known to the next.
// Tenures are never fought over: the home is a setting. What cannot be proven (a wiped or rolled back directory, a home that is gone with its
// disk) is refused, and an operator decides. Pure: what all members say goes in, a verdict comes out.

import { ByteReader, ByteWriter } from '../base/bytes.ts'

export interface Tenure {
  /** Counts tenures, from 1. */
  readonly term: number
  /** Random, as 16 hex digits: tells tenures of one term apart, which a wiped home may have begun. */
  readonly life: string
  /** The node whose tenure it is. */
  readonly home: number
}

/**
 * What a node has of the last tenure it knows of. `holds`: it is its own, and it may give numbers out. `ceded`: it was its own, its values are
 * final, and it gives out none. `none`: it is another's, or its own directory has lost it.
 */
export type Holding = 'none' | 'holds' | 'ceded'

export interface Standing {
  readonly tenure: Tenure | undefined
  readonly holding: Holding
}

/** The greatest number that a node has heard of, and in which term. Within a term numbers only grow. */
export interface Mark {
  readonly term: number
  readonly value: number
}

export type Marks = ReadonlyMap<string, Mark>

/** What a member says when it is asked. */
export interface Opinion extends Standing {
  readonly node: number
  /** The node that its own settings name as the home. */
  readonly home: number
  /** All members it knows of, itself too. */
  readonly members: readonly number[]
  /** Of a node that has ceded: the final values. */
  readonly marks: Marks
}

export interface Evidence {
  readonly self: number
  readonly own: Standing
  readonly opinions: readonly Opinion[]
  /** Members that have not answered. */
  readonly missing: readonly number[]
  /** There are others to be found, and none is known yet. */
  readonly lonely: boolean
  /** The directory may be a copy, or may have lost what was acknowledged, so that the own values prove nothing. */
  readonly doubtful: boolean
  /** Own values. */
  readonly givenHere: (name: string) => number
}

export type Verdict =
  /** The last tenure is the own one, and nobody has heard of more than it has given. */
  | { readonly kind: 'serve' }
  /** Nobody gives numbers out; `from` is where those given so far are to be taken from, undefined: they are here. */
  | { readonly kind: 'begin'; readonly term: number; readonly from: Opinion | undefined }
  /** Not yet known. */
  | { readonly kind: 'wait'; readonly why: string }
  /** The settings of the nodes name several homes. */
  | { readonly kind: 'conflict'; readonly why: string }
  /** What was given out is not known for sure any more. Only an operator can say where to go on. */
  | { readonly kind: 'lost'; readonly why: string }

/** What a node that its settings make the home may do. */
export function judge(evidence: Evidence): Verdict {
  const verdict = judgeAlone(evidence)
  // Another node whose settings differ begins nothing, because this one does not agree; so who gives numbers goes on.
  const other = evidence.opinions.find(({ home }) => home !== evidence.self)
  if (other === undefined || verdict.kind === 'serve') return verdict
  return { kind: 'conflict', why: `the settings of node ${other.node} name node ${other.home}` }
}

/** As if all settings named this node. */
function judgeAlone(evidence: Evidence): Verdict {
  const { self, own, opinions, missing } = evidence
  const waits = waitsFor(evidence)
  const last = lastOf(evidence)
  if (last === undefined) return waits ?? { kind: 'begin', term: 1, from: undefined }
  if ('why' in last) return { kind: 'lost', why: last.why }

  if (last.home === self) {
    if (own.tenure?.life !== last.life || own.holding === 'none') {
      return { kind: 'lost', why: 'its data directory was wiped or put back: the other nodes know of sequences that it has lost' }
    }
    const why = moreThan(last.term, opinions, evidence.givenHere)
    if (why !== undefined) return { kind: 'lost', why: `its data directory was put back to an earlier state: ${why}` }
    if (own.holding === 'holds') return evidence.doubtful && waits ? waits : { kind: 'serve' }
    return waits ?? { kind: 'begin', term: last.term + 1, from: undefined }
  }

  const from = opinions.find(({ node }) => node === last.home)
  if (from === undefined) {
    if (missing.includes(last.home)) {
      return { kind: 'wait', why: `node ${last.home}, which has held the sequences so far, has not answered yet` }
    }
    return { kind: 'lost', why: `node ${last.home}, which has held the sequences so far, is no member any more` }
  }
  if (from.tenure?.life !== last.life || from.holding !== 'ceded') {
    return { kind: 'lost', why: `node ${last.home}, which has held the sequences so far, has lost them` }
  }
  const why = moreThan(last.term, opinions, (name) => from.marks.get(name)?.value ?? 0)
  if (why !== undefined) return { kind: 'lost', why: `node ${last.home} was put back to an earlier state: ${why}` }
  return waits ?? { kind: 'begin', term: last.term + 1, from }
}

/** The last tenure that anybody knows of, or why there is no one last. */
export function lastOf({ own, opinions }: Pick<Evidence, 'own' | 'opinions'>): Tenure | { readonly why: string } | undefined {
  const tenures = [own.tenure, ...opinions.map(({ tenure }) => tenure)].filter((tenure) => tenure !== undefined)
  const last = tenures.reduce<Tenure | undefined>((last, tenure) => (last && last.term >= tenure.term ? last : tenure), undefined)
  const rival = tenures.find((tenure) => tenure.term === last?.term && tenure.life !== last.life)
  if (rival === undefined) return last
  return { why: `numbers were given out from two beginnings, by node ${last!.home} and by node ${rival.home}` }
}

function waitsFor({ missing, lonely }: Evidence): Verdict | undefined {
  if (lonely) return { kind: 'wait', why: 'no other node has answered yet' }
  if (missing.length === 0) return undefined
  const nodes = [...missing].sort((a, b) => a - b).join(', ')
  return { kind: 'wait', why: `it must hear from every member first, and node ${nodes} has not answered yet` }
}

/** A clause about somebody who has heard of a greater number than those that are known to be given. */
function moreThan(term: number, opinions: readonly Opinion[], valueOf: (name: string) => number): string | undefined {
  for (const { node, marks } of opinions) {
    for (const [name, mark] of marks) {
      const value = valueOf(name)
      if (mark.term === term && mark.value > value) {
        return `node ${node} has heard of number ${mark.value} of the sequence "${name}", and it is at ${value}`
      }
    }
  }
  return undefined
}

/** Whether `tenure` and what is known cannot both be true, or `tenure` is over: whoever claims it has to ask all members. */
export function contradicts(known: Tenure | undefined, tenure: Tenure | undefined): boolean {
  if (known === undefined) return false
  if (tenure === undefined || tenure.term < known.term) return true
  return tenure.term === known.term && tenure.life !== known.life
}

// Bytes: in a note of the node, and between nodes.

const HOLDINGS: readonly Holding[] = ['none', 'holds', 'ceded']
/** What stands for no tenure where a term is expected. */
const NO_TERM = 0

export function writeTenure(writer: ByteWriter, tenure: Tenure | undefined): void {
  writer.varint(tenure?.term ?? NO_TERM)
  if (tenure === undefined) return
  writer.raw(Buffer.from(tenure.life, 'hex'))
  writer.varint(tenure.home)
}

export function readTenure(reader: ByteReader): Tenure | undefined {
  const term = reader.varint()
  if (term === NO_TERM) return undefined
  const life = Buffer.from(reader.raw(8)).toString('hex')
  return { term, life, home: reader.varint() }
}

export function writeStanding(writer: ByteWriter, { tenure, holding }: Standing): void {
  writeTenure(writer, tenure)
  writer.uint8(HOLDINGS.indexOf(holding))
}

export function readStanding(reader: ByteReader): Standing {
  const tenure = readTenure(reader)
  const holding = HOLDINGS[reader.uint8()]
  if (holding === undefined) reader.fail('an unknown holding')
  return { tenure, holding }
}

export function encodeStanding(standing: Standing): Uint8Array {
  const writer = new ByteWriter(32)
  writeStanding(writer, standing)
  return writer.written().slice()
}

/** @throws CounterError LOG_CORRUPT */
export function decodeStanding(bytes: Uint8Array): Standing {
  return readStanding(new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'the note of the home of the sequences'))
}
