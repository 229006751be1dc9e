// What is known of each write with an Idempotency-Key in a history of a cluster: every attempt of it, on whatever node, and what came of it.
// However often it was tried, it counts once when all have heard of each other, unless an attempt has counted that nobody could take back: it was
// not tentative, or the node went on under another incarnation, or others had let go of theirs and the node that counted it had not heard of them.

import { replicaKey } from '../../lib/storage/index.ts'
import type { ClusterOp, Place } from './cluster-ledger.ts'
import type { OpState } from './ledger.ts'

export interface Attempt {
  readonly machine: number
  /** Where it has counted; undefined while it has not. */
  place: Place | undefined
  state: OpState
  /** Whether it could be taken back, once it has counted. */
  tentative: boolean
  /** Whether it, or what it met, may stay although another one has counted. */
  firm: boolean
}

export class KeyedOp implements ClusterOp {
  readonly name: string
  readonly level = 1
  /** Of the first attempt. */
  readonly machine: number
  readonly amounts: Readonly<Record<string, number>>
  readonly attempts: Attempt[] = []
  readonly holders = new Set<number>()
  readonly everHeld = new Set<number>()
  /** Machines that may have lost what they knew of it. */
  readonly forgottenBy = new Set<number>()
  excused = false

  constructor(name: string, machine: number, amounts: Readonly<Record<string, number>>) {
    this.name = name
    this.machine = machine
    this.amounts = amounts
  }

  /** Acknowledged when any attempt was; refused when none has done anything. */
  get state(): OpState {
    for (const state of ['acknowledged', 'pending', 'unknown'] as const) {
      if (this.attempts.some((attempt) => attempt.state === state)) return state
    }
    return 'refused'
  }

  /** Those that have counted, as far as they came to the disk. */
  get made(): readonly Attempt[] {
    return this.attempts.filter(({ place }) => place !== undefined)
  }

  begin(machine: number): Attempt {
    const attempt: Attempt = { machine, place: undefined, state: 'pending', tentative: false, firm: false }
    this.attempts.push(attempt)
    return attempt
  }

  /** The attempt has counted. Who has forgotten the key counts it anew, and others may have let go of theirs. */
  counted(attempt: Attempt, place: Place): void {
    attempt.place = place
    if (!this.forgottenBy.has(attempt.machine)) return
    for (const other of this.made) if (other.machine !== attempt.machine) other.firm = true
  }

  lostTouch(machine: number): void {
    for (const attempt of this.attempts) {
      if (attempt.machine === machine && attempt.state === 'pending') attempt.state = attempt.place ? 'unknown' : 'refused'
    }
  }
}

/** What a history with keys is like. */
export interface KeyedWorld {
  readonly ops: readonly KeyedOp[]
  /** Machines that were no members for a time, or ran twice: others did not wait for them, or were told by another one. */
  readonly unsure: ReadonlySet<number>
  /** Whether nodes forget keys of which the clients still think. */
  readonly forgetful: boolean
}

/**
 * In the end each counts once, or as often as it may.
 * @param isPresent whether the life of a node goes on
 */
export function checkKeyed(
  world: KeyedWorld,
  readings: ReadonlyMap<string, number>,
  isPresent: (place: Place) => boolean,
): string[] {
  const found: string[] = []
  let sum = 0
  for (const op of world.ops) {
    const value = readings.get(op.name)!
    const least = op.state === 'acknowledged' && !op.excused ? 1 : 0
    const most = mostOf(op, world, isPresent)
    sum += value
    if (value < least || value > most) found.push(`${op.name} reads ${value}, and should ${least} to ${most}: ${lineOf(op)}`)
    for (const [name, amount] of Object.entries(op.amounts)) {
      const part = readings.get(name) ?? amount * value
      if (name !== KEYED && part !== amount * value) found.push(`${op.name} counts ${value} times, and ${name} reads ${part}`)
    }
  }
  if (readings.get(KEYED) !== sum) found.push(`${KEYED} reads ${readings.get(KEYED)}, and ${sum} writes with keys counted`)
  return found
}

/** What all of them add one to. */
export const KEYED = 'keyed'

/** How often it may count at most. */
export function mostOf(op: KeyedOp, { unsure, forgetful }: KeyedWorld, isPresent: (place: Place) => boolean): number {
  const { made } = op
  if (made.length === 0) return 0
  if (forgetful || made.some(({ machine }) => unsure.has(machine))) return made.length
  const stay = made.filter(({ firm, tentative, place }) => firm || !tentative || !isPresent(place!)).length
  return stay + (stay < made.length ? 1 : 0)
}

export const lineOf = ({ attempts }: KeyedOp): string =>
  attempts
    .map(({ machine, place, state, tentative, firm }) => {
      const where = place ? ` counted as ${replicaKey(place.replica)}:${place.seq}${tentative ? '' : ' for good'}` : ''
      return `machine ${machine}${where} ${state}${firm ? ' firm' : ''}`
    })
    .join(', ')

export class KeyedLedger implements KeyedWorld {
  readonly ops: KeyedOp[] = []
  readonly unsure = new Set<number>()
  readonly forgetful: boolean
  /** Whether few writes can be taken back. */
  readonly tight: boolean

  constructor({ forgetful, tight }: { readonly forgetful: boolean; readonly tight: boolean }) {
    this.forgetful = forgetful
    this.tight = tight
  }

  /** The disk of the machine, or what it knew of others, went back. */
  forgot(machine: number): void {
    for (const op of this.ops) if (op.made.length > 0) op.forgottenBy.add(machine)
  }
}
