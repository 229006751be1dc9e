// Who belongs to the cluster, and who of them answers. Pure: no clock, no I/O; time comes in, what changed goes out.
//
// Each node keeps one record of each member and joins what others tell it (precedence.ts). Failed contact makes suspect, suspicion
// that lasts makes dead, and only the member itself takes that back: it hears the accusation in the next message to it,
// raises its edition, and the answer to the same message carries the refutation. Contact that succeeds changes no record, it
// only stops the clock of the suspicion here: so nobody flaps between its own view and what it is told, and two nodes that heard the
// same believe the same. docs/decisions/0009.
// Invariant: a record is only replaced by one that holds against it; the own edition never falls within an incarnation.

import { assert } from '../base/assert.ts'
import { CounterError } from '../base/errors.ts'
import type { Member } from './member.ts'
import { decodeMembers, EDITION_MAX, encodeMembers, MEMBERS_MAX } from './members.ts'
import { compareMembers } from './precedence.ts'

export interface MembershipOptions {
  /** This node. Its address may be ":PORT" when it does not know the host that others reach it by. */
  readonly self: Member
  /** How long a member stays suspect before it is dead, in milliseconds. Longer than a few intervals of contact. */
  readonly suspectMs: number
}

/**
 * Failed contacts in a row that make a member suspect. One is too few: a connection that breaks, or a node that is being restarted,
 * costs one, and each suspicion goes around the whole cluster and has to be refuted. Each further one is an interval of waiting.
 */
const MISSES_MAX = 2

/** What is known of another member here alone. */
interface Contact {
  member: Member
  /** Failed contacts since the last that succeeded. */
  misses: number
  /** When the suspicion began that nothing has stopped since. */
  suspectSinceMs: number | undefined
  reachedMs: number | undefined
}

export class Membership {
  readonly #suspectMs: number
  readonly #contacts = new Map<number, Contact>()
  #self: Member
  /** The greatest own incarnation that is said to have left though this node did not leave; -1 for none. */
  #removed = -1
  #floor: number
  #conflict: Member | undefined
  #list: readonly Member[] | undefined

  constructor(options: MembershipOptions) {
    this.#self = options.self
    this.#floor = options.self.incarnation
    this.#suspectMs = options.suspectMs
  }

  get self(): Member {
    return this.#self
  }

  /** All members, this node first and then by node id; those that left included. */
  list(): readonly Member[] {
    this.#list ??= [this.#self, ...[...this.#contacts.values()].map(({ member }) => member).sort((a, b) => a.node - b.node)]
    return this.#list
  }

  find(node: number): Member | undefined {
    return node === this.#self.node ? this.#self : this.#contacts.get(node)?.member
  }

  /**
   * Joins what a member, or the members file, says. What is said of this node itself is refuted, not believed; see `conflict`
   * and `removed`. A node that would be one too many (MEMBERS_MAX) is passed over, and `find` does not find it.
   * @param nowMs monotonic milliseconds, as everywhere here
   * @param from the node that said it just now, which is a sign of life as good as contact that succeeds
   * @returns whether anything changed
   */
  heard(nowMs: number, members: readonly Member[], from?: number): boolean {
    let changed = false
    if (from !== undefined) this.reached(nowMs, from)
    for (const member of members) {
      if (member.node === this.#self.node ? this.#heardOfSelf(member) : this.#heardOf(nowMs, member)) changed = true
    }
    if (changed) this.#list = undefined
    return changed
  }

  #heardOf(nowMs: number, member: Member): boolean {
    const contact = this.#contacts.get(member.node)
    if (contact === undefined) {
      if (this.#contacts.size + 1 >= MEMBERS_MAX) return false
      const suspectSinceMs = member.state === 'suspect' ? nowMs : undefined
      this.#contacts.set(member.node, { member, misses: 0, suspectSinceMs, reachedMs: undefined })
      return true
    }
    if (compareMembers(member, contact.member) <= 0) return false
    const { incarnation, edition } = contact.member
    if (member.incarnation > incarnation || member.edition > edition) contact.misses = 0
    contact.member = member
    contact.suspectSinceMs = member.state === 'suspect' ? nowMs : undefined
    return true
  }

  #heardOfSelf(member: Member): boolean {
    const self = this.#self
    if (member.incarnation < self.incarnation) return false
    this.#floor = Math.max(this.#floor, member.incarnation)
    if (member.state === 'left') {
      if (self.state === 'left' || member.incarnation <= this.#removed) return false
      this.#removed = member.incarnation
      return true
    }
    const elsewhere = !isAddressOf(self, member.address)
    if (member.incarnation > self.incarnation) {
      if (this.#conflict && compareMembers(member, this.#conflict) <= 0) return false
      this.#conflict = member
      return true
    }
    if (member.edition < self.edition || self.state === 'left') return false
    if (elsewhere) this.#conflict = member
    const agrees = member.state === 'alive' && !elsewhere && member.publicUrl === self.publicUrl
    const edition = agrees ? member.edition : Math.min(member.edition + 1, EDITION_MAX)
    if (edition === self.edition) return false
    this.#self = { ...self, edition }
    return true
  }

  /**
   * What others say of this node id that cannot be this process: it is at another address, or under a greater incarnation. Perhaps
   * another process has the id, perhaps this one has moved or its directory went back; ask the address, then
   * call conflictSettled(), or rename() above its incarnation.
   */
  get conflict(): Member | undefined {
    return this.#conflict
  }

  /** The conflict was looked into, and no other process with this node id was found. */
  conflictSettled(): void {
    this.#conflict = undefined
  }

  /** A new incarnation of this node must be greater than this, or what others have heard holds against it. */
  get incarnationFloor(): number {
    return this.#floor
  }

  /** Contact with the member succeeded. Its record stays: it takes back itself what is said of it. Always false. */
  reached(nowMs: number, node: number): boolean {
    const contact = this.#contacts.get(node)
    if (contact === undefined) return false
    contact.reachedMs = nowMs
    contact.misses = 0
    contact.suspectSinceMs = undefined
    return false
  }

  /** Contact with the member failed. @returns whether it is suspect now and was not before */
  missed(nowMs: number, node: number): boolean {
    const contact = this.#contacts.get(node)
    if (contact === undefined) return false
    contact.misses++
    if (contact.misses < MISSES_MAX) return false
    if (contact.member.state === 'suspect') contact.suspectSinceMs ??= nowMs
    if (contact.member.state !== 'alive') return false
    contact.member = { ...contact.member, state: 'suspect' }
    contact.suspectSinceMs = nowMs
    this.#list = undefined
    return true
  }

  /** Time went on. @returns whether a suspect member is dead now */
  tick(nowMs: number): boolean {
    let changed = false
    for (const contact of this.#contacts.values()) {
      if (contact.suspectSinceMs === undefined || nowMs - contact.suspectSinceMs < this.#suspectMs) continue
      assert(contact.member.state === 'suspect', 'only a suspect member becomes dead')
      contact.member = { ...contact.member, state: 'dead' }
      contact.suspectSinceMs = undefined
      changed = true
    }
    if (changed) this.#list = undefined
    return changed
  }

  /** This node goes on under a new incarnation, as a living member. */
  rename(incarnation: number): void {
    assert(incarnation > this.#self.incarnation, 'an own incarnation is greater than the one before')
    this.#self = { ...this.#self, incarnation, edition: 0, state: 'alive' }
    this.#floor = Math.max(this.#floor, incarnation)
    if (this.#conflict && this.#conflict.incarnation < incarnation) this.#conflict = undefined
    this.#list = undefined
  }

  /** This node has handed over what it had. Its incarnation ends; only rename() makes it a member again. */
  leave(): void {
    this.#self = { ...this.#self, state: 'left' }
    this.#list = undefined
  }

  /**
   * An operator takes out a member that is dead for good. What only it had is lost; one that comes back has to take a new incarnation.
   * @throws CounterError MEMBER_UNKNOWN; MEMBER_ALIVE: it answers, or it is not certain yet that it does not
   */
  remove(nowMs: number, node: number): void {
    const contact = this.#contacts.get(node)
    if (node === this.#self.node) {
      throw new CounterError('MEMBER_ALIVE', `node ${node} is this node`, { fix: 'drain it instead' })
    }
    if (contact === undefined) {
      throw new CounterError('MEMBER_UNKNOWN', `node ${node} is no member`, { fix: 'list the members, and name one of them' })
    }
    const { member, misses, reachedMs } = contact
    if (member.state === 'left') return
    if (member.state !== 'dead' || (misses === 0 && reachedMs !== undefined)) {
      const answered = reachedMs === undefined ? '' : ` and answered ${Math.round((nowMs - reachedMs) / 1000)} s ago`
      throw new CounterError('MEMBER_ALIVE', `node ${node} is ${member.state}${answered}; only a dead member can be removed`, {
        fix: 'drain it, or stop it and wait until it is listed as dead',
      })
    }
    contact.member = { ...member, state: 'left' }
    this.#list = undefined
  }

  /**
   * Whether that incarnation of the node, or a later one, has left. Asked of this node itself: others say that it was removed; it
   * has to take a new incarnation, above incarnationFloor.
   */
  removed(node: number, incarnation: number): boolean {
    if (node === this.#self.node)
      return this.#removed >= incarnation || (this.#self.state === 'left' && this.#self.incarnation >= incarnation)
    const member = this.#contacts.get(node)?.member
    return member?.state === 'left' && member.incarnation >= incarnation
  }

  /** For the members file. */
  encode(): Uint8Array {
    return encodeMembers(this.list())
  }

  /** What encode() has made. @throws CounterError SYNC_INVALID */
  static decode(bytes: Uint8Array): readonly Member[] {
    return decodeMembers(bytes)
  }
}

/** Whether `address` may be that of `self`, of which perhaps only the port is known. */
const isAddressOf = (self: Member, address: string): boolean =>
  address === self.address || (self.address.startsWith(':') && address.endsWith(self.address))
