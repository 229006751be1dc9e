// Who waits for what: writes until enough members hold them (write levels), reads until this node knows what a session has seen. Members count
// by what each of them has said itself, which was durable there. Nothing here fails for time: it is told.

import type { ReplicaId, VersionVector, WriteAt } from '../storage/index.ts'
import type { Site } from './site.ts'

export type { WriteAt }

/** How many members must hold a write: this one, more than half of them, or all. */
export type Level = 1 | 'majority' | 'all'

export interface Reached {
  /** Members that are known to hold it, this one included. */
  readonly reached: number
  readonly members: number
  readonly met: boolean
}

interface Waiter {
  /** Looks again; true when it has resolved. */
  readonly look: () => boolean
  readonly giveUp: () => void
}

export class Levels {
  readonly #site: Site
  /** Who waits for what others know, and who waits for what this node knows. */
  readonly #abroad = new Set<Waiter>()
  readonly #here = new Set<Waiter>()

  constructor(site: Site) {
    this.#site = site
    site.onHeard(() => this.look())
    site.stop.on(() => {
      for (const waiter of [...this.#abroad, ...this.#here]) waiter.giveUp()
    })
  }

  /** Resolves when the level is reached or time is up; never rejects. */
  waitFor(at: WriteAt, level: Level, timeoutMs: number): Promise<Reached> {
    return this.#wait(
      this.#abroad,
      timeoutMs,
      () => this.#reached(at, level),
      ({ met }) => met,
    )
  }

  /** Whether this node knows the entries, durably, in time. @param ask called when it does not yet, to ask the others */
  async waitUntilKnown(entries: readonly WriteAt[], timeoutMs: number, ask: () => void): Promise<boolean> {
    const { store } = this.#site.options
    const isKnown = (): boolean => knowsAll(store.vector(), entries)
    if (!isKnown()) ask()
    const known = await this.#wait(this.#here, timeoutMs, isKnown, Boolean)
    if (known) await store.settled()
    return known
  }

  /** Resolves with the members not taken for dead that do not hold all of `vector`, as soon as there is none or when time is up. */
  async waitUntilHeld(vector: VersionVector, timeoutMs: number): Promise<number[]> {
    const lacking = (): number[] =>
      this.#site.roster
        .others()
        .filter(({ node, state }) => state !== 'dead' && !this.#site.peers.find(node)?.vector.covers(vector))
        .map(({ node }) => node)
    return this.#wait(this.#abroad, timeoutMs, lacking, (nodes) => nodes.length === 0)
  }

  /** What others know has grown, or who they are has changed. */
  look(): void {
    for (const waiter of [...this.#abroad]) waiter.look()
  }

  /** What this node knows has grown. */
  lookHere(): void {
    for (const waiter of [...this.#here]) waiter.look()
  }

  #reached(at: WriteAt, level: Level): Reached {
    const { roster, peers } = this.#site
    const others = roster.others()
    const holders = others.filter(({ node }) => {
      const peer = peers.find(node)
      // Who has folded beyond a life that goes on has not seen it: its writes are to come to the member under another incarnation.
      return peer !== undefined && !peer.vector.isFolded(at.replica) && knowsAll(peer.vector, [at])
    })
    const members = others.length + 1
    const reached = holders.length + 1
    const needed = level === 1 ? 1 : level === 'all' ? members : Math.floor(members / 2) + 1
    return { reached, members, met: reached >= needed }
  }

  #wait<T>(waiters: Set<Waiter>, timeoutMs: number, read: () => T, isEnough: (value: T) => boolean): Promise<T> {
    const value = read()
    if (isEnough(value) || this.#site.stop.happened) return Promise.resolve(value)
    return new Promise((resolve) => {
      const end = (last: T): void => {
        cancel()
        waiters.delete(waiter)
        resolve(last)
      }
      const waiter: Waiter = {
        look: () => {
          const now = read()
          if (isEnough(now)) end(now)
          return isEnough(now)
        },
        giveUp: () => end(read()),
      }
      const cancel = this.#site.options.clock.after(timeoutMs, waiter.giveUp)
      waiters.add(waiter)
    })
  }
}

function knowsAll(vector: { get(replica: ReplicaId): number }, entries: readonly WriteAt[]): boolean {
  return entries.every(({ replica, seq }) => vector.get(replica) >= seq)
}
