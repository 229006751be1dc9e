// The membership as replication uses it: what is heard is completed, joined, logged and written to the members file. Before anything is
// sent to a new member the file names it (`saved`): a start asks those who may know of the own column (docs/PROTOCOL.md, section 4).
// The file follows all other changes too, but nobody waits for them.

import type { Clock } from '../base/clock.ts'
import type { Logger } from '../base/log.ts'
import { MEMBERS_MAX, type Member, type Membership } from '../cluster/index.ts'
import type { Sender } from './messages.ts'
import type { SyncStore } from './store.ts'

export interface RosterOptions {
  readonly membership: Membership
  readonly store: SyncStore
  readonly clock: Clock
  readonly logger: Logger
  readonly life: string
  readonly mayContact: (address: string, from?: string) => boolean
  /** Whether there is a members file already. */
  readonly hasFile: boolean
}

export class Roster {
  readonly #options: RosterOptions
  readonly #membership: Membership
  /** State and incarnation of each member, as last logged. */
  readonly #logged = new Map<number, string>()
  /** The IP address from which a member's own request came last. */
  readonly #from = new Map<number, string>()
  readonly #refused = new Set<string>()
  #hasFile: boolean
  /** Counts changes; which of them the file holds, and which it must hold before anything is sent. */
  #version = 0
  #savedVersion = 0
  #neededVersion = 0
  #needed = ''
  #saving: Promise<void> | undefined

  constructor(options: RosterOptions) {
    this.#options = options
    this.#membership = options.membership
    this.#hasFile = options.hasFile
    for (const member of this.others()) this.#logged.set(member.node, markOf(member))
    this.#needed = this.#signature()
  }

  get self(): Member {
    this.#follow()
    return this.#membership.self
  }

  get hasLeft(): boolean {
    return this.#membership.self.state === 'left'
  }

  /** The store may have gone on under a new incarnation by itself, when it merged what only another life can have written. */
  #follow(): void {
    const { incarnation } = this.#options.store.self
    if (incarnation <= this.#membership.self.incarnation || this.hasLeft) return
    this.#membership.rename(incarnation)
    this.#changed()
  }

  /** This process, as it introduces itself. */
  sender(): Sender {
    const { node, incarnation, address, publicUrl } = this.self
    return { node, incarnation, life: this.#options.life, address, publicUrl }
  }

  /** All records, those that left included, this node first. */
  list(): readonly Member[] {
    this.#follow()
    return this.#membership.list()
  }

  /** The other members: those that have not left. */
  others(): Member[] {
    return this.#membership.list().filter(({ node, state }) => node !== this.#membership.self.node && state !== 'left')
  }

  find(node: number): Member | undefined {
    return this.#membership.find(node)
  }

  /** How many members there are, this node included. */
  get size(): number {
    return this.others().length + (this.hasLeft ? 0 : 1)
  }

  removed(node: number, incarnation: number): boolean {
    return this.#membership.removed(node, incarnation)
  }

  /** Others say that incarnations of this node up to this one have left. */
  removedUpTo(incarnation: number): void {
    const { clock } = this.#options
    const left = { ...this.#membership.self, incarnation, state: 'left' } as const
    if (this.#membership.heard(clock.monotonicMs(), [left])) this.#changed()
  }

  /** Others say of this node, as it is now, that it was removed. */
  get isRemoved(): boolean {
    const { node, incarnation } = this.self
    return !this.hasLeft && this.#membership.removed(node, incarnation)
  }

  get conflict(): Member | undefined {
    return this.#membership.conflict
  }

  conflictSettled(): void {
    this.#membership.conflictSettled()
  }

  get incarnationFloor(): number {
    return this.#membership.incarnationFloor
  }

  /** Whether an address may be asked. What may not be is logged once. */
  mayContact({ node, address }: Pick<Member, 'node' | 'address'>): boolean {
    const { mayContact, logger } = this.#options
    if (!address.startsWith(':') && mayContact(address, this.#from.get(node))) return true
    if (!this.#refused.has(address)) {
      // Members that move about are told of again now and then.
      if (this.#refused.size === MEMBERS_MAX) this.#refused.clear()
      this.#refused.add(address)
      const fix = 'add its network to COUNTER_CLUSTER_NETWORKS or its host to COUNTER_SEEDS when it belongs to the cluster'
      logger.warn({ member: node, address, fix }, 'a member is not contacted, because its address is not allowed')
    }
    return false
  }

  /**
   * Joins what `sender` tells of the members, itself included. It was in contact.
   * @param host that it was reached by or came from; '' when unknown
   * @param from the IP address that its request came from
   */
  heard(sender: Sender, members: readonly Member[], host: string, from?: string): void {
    const nowMs = this.#options.clock.monotonicMs()
    const complete = members.map((member) =>
      member.node === sender.node ? { ...member, address: completeAddress(member.address, host) } : member,
    )
    const changed = this.#membership.heard(nowMs, complete)
    // Not of one that is a member too many.
    if (from && this.find(sender.node)) this.#from.set(sender.node, from)
    if (this.#membership.reached(nowMs, sender.node) || changed) this.#changed()
  }

  missed(node: number): void {
    if (this.#membership.missed(this.#options.clock.monotonicMs(), node)) this.#changed()
  }

  tick(): void {
    if (this.#membership.tick(this.#options.clock.monotonicMs())) this.#changed()
  }

  leave(): void {
    this.#membership.leave()
    this.#changed()
  }

  /** @throws CounterError MEMBER_UNKNOWN, MEMBER_ALIVE */
  remove(node: number): void {
    this.#membership.remove(this.#options.clock.monotonicMs(), node)
    this.#changed()
  }

  /** undefined: the members file names all members. A promise: wait for it. Rejects when the file cannot be written. */
  saved(): Promise<void> | undefined {
    return this.#savedVersion >= this.#neededVersion ? undefined : this.#save()
  }

  #changed(): void {
    this.#log()
    this.#version++
    // Who never had a peer has no file: it needs nobody's answer to resume.
    if (!this.#hasFile && this.#membership.list().length === 1) {
      this.#savedVersion = this.#version
      return
    }
    const needed = this.#signature()
    if (needed !== this.#needed) this.#neededVersion = this.#version
    this.#needed = needed
    this.#save().catch((error) => {
      this.#options.logger.warn({ err: error }, 'the members file could not be written; new members wait until it can')
    })
  }

  #save(): Promise<void> {
    this.#saving ??= this.#saveAll().finally(() => {
      this.#saving = undefined
    })
    return this.#saving
  }

  async #saveAll(): Promise<void> {
    while (this.#savedVersion < this.#version) {
      const version = this.#version
      await this.#options.store.saveMembers(this.#membership.encode())
      this.#hasFile = true
      this.#savedVersion = version
    }
  }

  /** What the file must not lack: who is a member, under which incarnation. */
  #signature(): string {
    const own = this.#membership.self
    return [own, ...this.others()].map(({ node, incarnation }) => `${node}.${incarnation}`).join() + own.state
  }

  #log(): void {
    const { logger } = this.#options
    for (const member of this.#membership.list().slice(1)) {
      const { node, state, address, incarnation } = member
      const before = this.#logged.get(node)
      const mark = markOf(member)
      if (before === mark) continue
      this.#logged.set(node, mark)
      const fields = { member: node, address, incarnation }
      const isNew = before === undefined || !before.endsWith(`.${incarnation}`)
      if (state === 'left') logger.info(fields, 'a member has left')
      else if (state === 'suspect') logger.info(fields, 'a member does not answer and is suspect')
      else if (state === 'dead') {
        const fix = 'start it again; when it is gone for good, remove it, so that write levels and folding do not wait for it'
        logger.warn({ ...fields, fix }, 'a member has not answered for long and counts as dead')
      } else logger.info(fields, isNew ? 'a member has joined' : 'a member answers again')
    }
  }
}

const markOf = ({ state, incarnation }: Member): string => `${state}.${incarnation}`

/** An address without a host gets that which the node was reached by. */
export function completeAddress(address: string, host: string): string {
  if (!address.startsWith(':') || host === '') return address
  return `http://${host.includes(':') ? `[${host}]` : host}${address}`
}

/** The host of a base URL, '' when it is none. */
export function hostOfAddress(address: string): string {
  return URL.canParse(address) ? new URL(address).hostname.replace(/^\[(.*)\]$/, '$1') : ''
}
