// A machine in memory for tests of persistence: a virtual disk and clock, locks, and the store on top of them.
// Nothing moves by itself: `settle` carries out what is under way until a promise has its answer, and says when it never will.

import { CounterError } from '../../lib/base/errors.ts'
import { createNameHash, hashName } from '../../lib/base/hash.ts'
import type { Logger } from '../../lib/base/log.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { type Lock, Store, type StoreOptions } from '../../lib/persistence/index.ts'
import type { Batch, Once, StoredReply } from '../../lib/storage/index.ts'
import { drained, VirtualClock } from '../support/virtual-clock.ts'
import { VirtualDisk } from '../support/virtual-disk.ts'

export const DIRECTORY = '/data'
export const hash = createNameHash(seededRandom(1))

/** Names and what to add to each. */
export function batchOf(amounts: Record<string, number | bigint>): Batch {
  const names = Object.keys(amounts).map((name) => new TextEncoder().encode(name))
  const values = Object.values(amounts)
  const batch = {
    count: names.length,
    names: new Uint8Array(names.reduce((sum, name) => sum + name.length, 0)),
    ends: new Uint32Array(names.length),
    hashes: new Uint32Array(names.length),
    amounts: new Uint32Array(names.length * 4),
    subtracts: false,
  }
  let end = 0
  for (const [index, name] of names.entries()) {
    batch.names.set(name, end)
    end += name.length
    batch.ends[index] = end
    batch.hashes[index] = hashName(hash, name, 0, name.length)
    const amount = BigInt(values[index]!)
    const words = amount < 0n ? -amount : amount
    if (amount < 0n) batch.subtracts = true
    const at = index * 4 + (amount < 0n ? 2 : 0)
    batch.amounts[at] = Number(words & 0xffff_ffffn)
    batch.amounts[at + 1] = Number(words >> 32n)
  }
  return batch
}

export const nameBytes = (name: string): Uint8Array => new TextEncoder().encode(name)

export const valueOf = (store: Store, name: string): number => Number(store.value(nameBytes(name)))

export const plainReply = (body = '{}'): StoredReply => ({ status: 200, contentType: 'application/json', body })

export function once(key: string, content = key): Once {
  const fingerprint = new Uint8Array(32)
  fingerprint.set(nameBytes(content).subarray(0, 32))
  return { key, fingerprint }
}

/** A log that keeps what was said, for tests that ask. */
export class SaidLogger implements Logger {
  readonly lines: string[] = []
  debug(_fields: object, message: string): void {
    this.lines.push(message)
  }
  info(_fields: object, message: string): void {
    this.lines.push(message)
  }
  warn(_fields: object, message: string): void {
    this.lines.push(message)
  }
  error(_fields: object, message: string): void {
    this.lines.push(message)
  }
}

export class Machine {
  readonly clock = new VirtualClock()
  readonly disk = new VirtualDisk({ automatic: false })
  readonly logger = new SaidLogger()
  readonly random: Random
  /** Chooses among what is under way; undefined: in the order of the calls. */
  readonly choose: Random | undefined
  #locked = new Set<string>()

  constructor(seed = 1, choose?: Random) {
    this.random = seededRandom(seed)
    this.choose = choose
  }

  options(overrides: Partial<StoreOptions> = {}): StoreOptions {
    return {
      directory: DIRECTORY,
      nodeId: 1,
      hash,
      clock: this.clock,
      random: this.random,
      disk: this.disk.mount(),
      lock: (directory) => this.#lock(directory),
      logger: this.logger,
      namesMax: 0,
      itemsMax: 0,
      itemsAheadMsMax: 60_000,
      fsync: 'always',
      fsyncIntervalMs: 50,
      segmentBytes: 64 * 1024,
      queueBytesMax: 1 << 20,
      snapshotIntervalMs: 0,
      snapshotLogBytes: 0,
      replyTtlMs: 3_600_000,
      repliesMax: 1000,
      tentativeBytesMax: 1 << 20,
      ...overrides,
    }
  }

  open(overrides: Partial<StoreOptions> = {}): Promise<Store> {
    return this.settle(Store.open(this.options(overrides)))
  }

  /** One increment, as the API does it: admitted, then added, then waited for. */
  async write(store: Store, amounts: Record<string, number | bigint>, key?: Once, body?: string) {
    const batch = batchOf(amounts)
    for (let wait = store.admit(batch, key); wait !== undefined; wait = store.admit(batch, key)) await wait
    return store.increment(batch, () => plainReply(body), key)
  }

  /** Carries out one step of what is at hand; false when nothing is, and time would have to go on. */
  async step(): Promise<boolean> {
    await drained()
    const { clock, disk, choose } = this
    if (choose && clock.waiting > 0 && disk.pendingCount > 0 && choose.uint32() % 2 === 0) return disk.step(choose)
    return clock.step() || disk.step(choose)
  }

  /** Carries on until the promise has its answer. Time goes on when nothing else is left. @throws when it never will have one */
  async settle<T>(promise: Promise<T>, limitMs = 600_000): Promise<T> {
    let settled = false
    const watched = promise.finally(() => {
      settled = true
    })
    watched.catch(() => {})
    const endMs = this.clock.monotonicMs() + limitMs
    for (;;) {
      const moved = await this.step()
      await drained()
      if (settled) return watched
      if (!moved && (this.clock.monotonicMs() >= endMs || !this.clock.advance(limitMs))) throw new Error('waits for ever')
    }
  }

  /** Carries on with what is under way, without time going on. */
  async rest(): Promise<void> {
    while (await this.step());
    await drained()
  }

  /** Time goes on by this much. */
  async pass(ms: number): Promise<void> {
    const endMs = this.clock.monotonicMs() + ms
    await this.rest()
    while (this.clock.advance(endMs - this.clock.monotonicMs())) await this.rest()
  }

  async kill(): Promise<void> {
    this.disk.kill(this.random)
    await this.#die()
  }

  async powerCut(keep = 0.5): Promise<void> {
    this.disk.powerCut(this.random, keep)
    await this.#die()
  }

  async #die(): Promise<void> {
    this.clock.clear()
    await drained()
    this.clock.clear()
    this.#locked.clear()
  }

  async #lock(directory: string): Promise<Lock> {
    if (this.#locked.has(directory)) throw new CounterError('DIRECTORY_LOCKED', `${directory} is in use`)
    this.#locked.add(directory)
    return {
      release: async () => {
        this.#locked.delete(directory)
      },
    }
  }

  /** Paths of the log's segments, or of the snapshots, in order. */
  files(kind: 'log' | 'snapshot', directory = DIRECTORY): string[] {
    return this.disk.paths(directory).filter((path) => new RegExp(`/${kind}-\\d{16}$`).test(path))
  }
}

/** What `action` rejects with. */
export async function rejection(action: Promise<unknown>): Promise<CounterError> {
  try {
    await action
  } catch (error) {
    return error as CounterError
  }
  throw new Error('expected a rejection')
}
