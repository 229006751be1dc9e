// Batches of items that this node has promised other nodes to keep, and what becomes of each: a commit writes it as the very cells that the
// coordinator wrote, an abort drops it, and so does its expiry, which is counted from when it was heard, or from the start of this process.
// A promise is a note, so that it outlives a crash. It decides nothing: a batch counts from when its coordinator has it on disk, exchanges
// bring it to whoever has missed the commit, and without one nobody writes it. What a promise holds is room. See docs/decisions/0011.

import { CounterError } from '../base/errors.ts'
import { encodeKnown, type ItemChange } from '../storage/index.ts'
import { type Commit, decodePrepare, type Prepare, type Transaction, textOf } from './acceptance-codec.ts'
import { type Site, stopped } from './site.ts'

/** Notes of prepared batches have keys that start so. */
export const PREPARE_NOTES = 'prepare/'
/** Bytes of batches that are promised at a time, at most. */
const PROMISED_BYTES_MAX = 64 * 1024 * 1024

/** A batch that this node will write: of another node, or one that it coordinates itself. */
interface Promised {
  readonly changes: readonly ItemChange[]
  readonly bytes: number
  /** Ids that were new when it was promised. */
  readonly newItems: number
}

interface Kept extends Promised {
  /** Resolves when the note is durable. */
  readonly kept: Promise<void>
  /** Keeps it from expiring. */
  cancel: () => void
}

export class Prepared {
  readonly #site: Site
  readonly #pull: (node: number) => void
  readonly #promised = new Set<Promised>()
  readonly #kept = new Map<string, Kept>()
  readonly #running = new Set<Promise<void>>()
  #ending = false

  /** @param pull asks a member for news */
  constructor(site: Site, pull: (node: number) => void) {
    this.#site = site
    this.#pull = pull
    for (const [key, value] of site.options.store.notesUnder(PREPARE_NOTES)) this.#restore(key, value)
  }

  /** Batches of other nodes that are promised. */
  get size(): number {
    return this.#kept.size
  }

  /** From now on no batch is promised to other nodes: this one is about to end. */
  end(): void {
    this.#ending = true
  }

  /**
   * Checks that a batch could be written now, and keeps the room for it until the returned function is called.
   * @throws (as a rejection) CounterError ITEMS_MAX, LOG_BUSY, DISK_FULL, LOG_FAILED, DRAINING, STARTING, CLOSED
   */
  async promise(changes: readonly ItemChange[], bytes: number): Promise<() => void> {
    await this.#checkWritable(changes)
    const promised = { changes, bytes, newItems: this.#checkRoom(changes, bytes) }
    this.#promised.add(promised)
    return () => this.#promised.delete(promised)
  }

  /**
   * Promises another node to write a batch. Resolves when the promise is durable.
   * @param value the prepare as it came, to be kept
   * @throws (as a rejection) as `promise`, and CLOCK_AHEAD: nothing is promised
   */
  async prepare({ transaction, expiryMs, stamp, changes }: Prepare, value: Uint8Array): Promise<void> {
    const { store } = this.#site.options
    const key = PREPARE_NOTES + textOf(transaction)
    await this.#checkWritable(changes)
    if (this.#ending) throw new CounterError('CLOSED', 'the node is about to end', { fix: 'try again in a moment' })
    store.checkStamp(stamp)
    // Asked twice it has one answer.
    const same = this.#kept.get(key)
    if (same !== undefined) return same.kept
    const newItems = this.#checkRoom(changes, value.length)
    const kept = store.keepNotes([[key, value]])
    const prepared = this.#add(key, { changes, bytes: value.length, newItems, kept, cancel: () => {} }, expiryMs)
    try {
      await kept
    } catch (error) {
      this.#remove(key, prepared)
      throw error
    }
    if (this.#kept.get(key) !== prepared) throw new CounterError('LOG_BUSY', 'the disk took longer than the promise holds')
  }

  /**
   * Writes a batch that was promised, exactly as its coordinator has. Resolves when it is durable here; with false when there is no such
   * promise any more, and the coordinator is asked for news instead.
   * @throws (as a rejection) CounterError CLOCK_AHEAD, DISK_FULL, LOG_BUSY, STARTING, CLOSED: an exchange will bring it; LOG_FAILED
   */
  async commit({ transaction, at, stamp }: Commit): Promise<boolean> {
    const { store } = this.#site.options
    const key = PREPARE_NOTES + textOf(transaction)
    this.#checkStarted()
    const prepared = this.#kept.get(key)
    await prepared?.kept.catch(() => {})
    if (prepared === undefined || this.#kept.get(key) !== prepared) {
      this.#pull(transaction.node)
      return false
    }
    this.#remove(key, prepared)
    // In one turn, and so in one frame: after a crash there is the batch or the promise.
    const merged = store.merge(store.itemsDelta(prepared.changes, at, stamp))
    this.#run(this.#forget(key))
    await merged
    // Who knows all that was written before knows this write too, and can tell others of it even if its writer never comes back.
    const known = store.vector()
    if (!known.isFolded(at.replica) && known.get(at.replica) === at.seq - 1) {
      this.#run(store.merge(encodeKnown(at.replica, at.seq)).then(() => {}))
    }
    return true
  }

  /** Nothing comes of a batch. Resolves when that is durable here. */
  async abort(transaction: Transaction): Promise<void> {
    this.#checkStarted()
    await this.#drop(PREPARE_NOTES + textOf(transaction))
  }

  /** Resolves when nothing is under way any more. The site has been stopped. */
  async settled(): Promise<void> {
    for (const { cancel } of this.#kept.values()) cancel()
    await Promise.allSettled(this.#running)
  }

  #restore(key: string, value: Uint8Array): void {
    const { logger } = this.#site.options
    try {
      const { changes, expiryMs } = decodePrepare(value)
      this.#add(
        key,
        { changes, bytes: value.length, newItems: changes.length, kept: Promise.resolve(), cancel: () => {} },
        expiryMs,
      )
    } catch (error) {
      logger.warn(
        { err: error, key },
        'a promise to another node cannot be read, and is dropped; exchanges bring what was decided',
      )
      this.#run(this.#forget(key))
    }
  }

  #checkStarted(): void {
    if (this.#site.stop.happened) throw stopped()
    if (this.#site.started) return
    throw new CounterError('STARTING', 'the node asks the others what they know of it before it takes writes')
  }

  async #checkWritable(changes: readonly ItemChange[]): Promise<void> {
    this.#checkStarted()
    const { store } = this.#site.options
    for (let wait = store.admitItems(changes); wait !== undefined; wait = store.admitItems(changes)) await wait
  }

  /** How many ids are new. @throws CounterError ITEMS_MAX, LOG_BUSY: there is no room beside what is promised already */
  #checkRoom(changes: readonly ItemChange[], bytes: number): number {
    const { store } = this.#site.options
    let promisedBytes = bytes
    const newItems = store.newItems(changes)
    let promisedItems = newItems
    for (const promised of this.#promised) {
      promisedBytes += promised.bytes
      promisedItems += promised.newItems
    }
    if (promisedBytes > PROMISED_BYTES_MAX) {
      throw new CounterError(
        'LOG_BUSY',
        `${promisedBytes} bytes of items are promised to other nodes, at most ${PROMISED_BYTES_MAX}`,
        {
          fix: 'try again in a second',
        },
      )
    }
    // An id may be promised twice, or be there meanwhile: that is looked at only when it matters.
    if (fits(() => store.checkItemsMax(promisedItems))) return newItems
    store.checkItemsMax(store.newItems([...this.#promised].flatMap((promised) => promised.changes).concat(changes)))
    return newItems
  }

  #add(key: string, prepared: Kept, expiryMs: number): Kept {
    this.#kept.set(key, prepared)
    this.#promised.add(prepared)
    prepared.cancel = this.#site.options.clock.after(expiryMs, () => {
      this.#site.counters.preparesExpired++
      this.#run(this.#drop(key))
    })
    return prepared
  }

  #remove(key: string, prepared: Kept): void {
    prepared.cancel()
    this.#promised.delete(prepared)
    if (this.#kept.get(key) === prepared) this.#kept.delete(key)
  }

  async #drop(key: string): Promise<void> {
    const prepared = this.#kept.get(key)
    if (prepared === undefined) return
    this.#remove(key, prepared)
    // Or the note could come after it was taken away.
    await prepared.kept.catch(() => {})
    await this.#forget(key)
  }

  /** Takes the note away, in this turn if there is room, and tries again while the disk is full. */
  async #forget(key: string): Promise<void> {
    const { store, intervalMs } = this.#site.options
    while (!this.#site.stop.happened) {
      try {
        return await store.keepNotes([[key, undefined]])
      } catch (error) {
        if (!(error instanceof CounterError) || !/^(DISK_FULL|LOG_BUSY)$/.test(error.code)) throw error
      }
      await this.#site.pause(intervalMs)
    }
  }

  #run(task: Promise<void>): void {
    this.#running.add(task)
    task
      .catch((error) => {
        // A node that ends, or whose log failed, finds its notes at the next start.
        if (!(error instanceof CounterError)) this.#site.options.logger.error({ err: error }, 'a promise could not be seen to')
      })
      .finally(() => this.#running.delete(task))
  }
}

function fits(check: () => void): boolean {
  try {
    check()
    return true
  } catch {
    return false
  }
}
