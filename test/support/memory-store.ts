// A store in memory for tests of what stands before a store: exact, with the faults of a real one on demand.

import { CounterError, type ErrorCode } from '../../lib/base/errors.ts'
import type { ApiStore, Incremented, Once, StoredReply, TenantsFound, TenantsPage, WriteAt } from '../../lib/publicapi/index.ts'
import type { Batch, Item, ItemChange } from '../../lib/storage/index.ts'

const LIMIT = 2n ** 64n

interface Column {
  plus: bigint
  minus: bigint
}

interface Kept {
  readonly fingerprint: string
  reply: StoredReply | undefined
}

export class MemoryStore implements ApiStore {
  readonly columns = new Map<string, Column>()
  readonly items = new Map<string, Item>()
  /** How many batches were counted. */
  writes = 0
  /** The keys of requests that may have been counted elsewhere, as they came. */
  readonly failovers: string[] = []
  /** What the next admissions throw; the store is well again when the list is empty. */
  readonly refusals: ErrorCode[] = []
  /** What the next increments reject with, after the change. */
  readonly failures: ErrorCode[] = []
  /** Who writes, and what else is known of replicas. */
  replica = { node: 1, incarnation: 40 }
  readonly others: WriteAt[] = []
  readonly #kept = new Map<string, Kept>()
  #held: Array<() => void> | undefined
  #admission: Promise<void> | undefined

  /** From now on nothing becomes durable, until the returned function is called. */
  hold(): () => void {
    this.#held = []
    return () => {
      const held = this.#held ?? []
      this.#held = undefined
      for (const release of held) release()
    }
  }

  /** The next admission has to wait for `gate`. */
  delayAdmission(gate: Promise<void>): void {
    this.#admission = gate
  }

  admit(batch: Batch): Promise<void> | undefined {
    const code = this.refusals.shift()
    if (code !== undefined) throw new CounterError(code, `the test refuses with ${code}`)
    for (const [name, plus, minus] of entries(batch)) {
      const column = this.columns.get(name)
      if (column !== undefined && (column.plus + plus >= LIMIT || column.minus + minus >= LIMIT)) {
        throw new CounterError('COUNT_OVERFLOW', `${name} would pass 2^64 - 1`)
      }
    }
    const gate = this.#admission
    this.#admission = undefined
    return gate
  }

  increment(batch: Batch, reply: () => StoredReply, once?: Once): Promise<Incremented> {
    return this.#write(reply, once, () => {
      for (const [name, plus, minus] of entries(batch)) {
        const column = this.columns.get(name) ?? { plus: 0n, minus: 0n }
        this.columns.set(name, { plus: column.plus + plus, minus: column.minus + minus })
      }
    })
  }

  async changeItems(changes: readonly ItemChange[], reply: () => StoredReply, once?: Once): Promise<Incremented> {
    const code = this.refusals.shift()
    if (code !== undefined) throw new CounterError(code, `the test refuses with ${code}`)
    return this.#write(reply, once, () => {
      for (const { id, tenant } of changes) {
        if (tenant === undefined) this.items.delete(id)
        else this.items.set(id, { id, tenant, stamp: 1_000_000 + this.writes })
      }
    })
  }

  item(id: string): Item | undefined {
    return this.items.get(id)
  }

  tenantCount(tenant: string): number {
    return [...this.items.values()].filter((item) => item.tenant === tenant).length
  }

  async tenants({ prefix, after, limit }: TenantsPage): Promise<TenantsFound> {
    const names = [...new Set(Array.from(this.items.values(), ({ tenant }) => tenant))].filter((name) => name.startsWith(prefix))
    const found = names
      .sort((left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)))
      .filter((name) => after === undefined || Buffer.compare(Buffer.from(name), Buffer.from(after)) > 0)
    await this.settled()
    const tenants = found.slice(0, limit).map((tenant) => ({ tenant, count: this.tenantCount(tenant) }))
    return { tenants, more: found.length > limit }
  }

  async #write(reply: () => StoredReply, once: Once | undefined, change: () => void): Promise<Incremented> {
    const seen = once === undefined ? undefined : this.replay(once)
    if (seen !== undefined) return seen
    const kept: Kept | undefined = once && { fingerprint: hex(once), reply: undefined }
    if (once !== undefined && kept !== undefined) this.#kept.set(once.key, kept)
    change()
    this.writes++
    const at = this.#at
    const made = reply()
    const code = this.failures.shift()
    if (code !== undefined) throw new CounterError(code, `the test fails with ${code}`)
    await this.settled()
    if (kept !== undefined) kept.reply = made
    return { ...made, replayed: false, at }
  }

  replay(once: Once): Promise<Incremented> | undefined {
    if (once.failover) this.failovers.push(once.key)
    const kept = this.#kept.get(once.key)
    if (kept === undefined) return undefined
    if (kept.fingerprint !== hex(once)) throw new CounterError('KEY_REUSED', `the key ${once.key} was used for another request`)
    if (kept.reply === undefined) throw new CounterError('KEY_IN_FLIGHT', `the request with the key ${once.key} is under way`)
    return Promise.resolve({ ...kept.reply, replayed: true, at: this.#at })
  }

  vector(): WriteAt[] {
    return [this.#at, ...this.others]
  }

  get #at(): WriteAt {
    return { replica: this.replica, seq: this.writes }
  }

  value(name: Uint8Array): number | bigint {
    const column = this.columns.get(Buffer.from(name).toString())
    const value = column === undefined ? 0n : column.plus - column.minus
    return value >= BigInt(Number.MIN_SAFE_INTEGER) && value <= BigInt(Number.MAX_SAFE_INTEGER) ? Number(value) : value
  }

  settled(): Promise<void> | undefined {
    const held = this.#held
    return held && new Promise((resolve) => held.push(resolve))
  }
}

const hex = ({ fingerprint }: Once): string => Buffer.from(fingerprint).toString('hex')

function* entries(batch: Batch): Generator<[name: string, plus: bigint, minus: bigint]> {
  const { names, ends, amounts } = batch
  const word = (at: number): bigint => BigInt(amounts[at]!) | (BigInt(amounts[at + 1]!) << 32n)
  for (let index = 0; index < batch.count; index++) {
    const start = index === 0 ? 0 : ends[index - 1]!
    yield [Buffer.from(names.subarray(start, ends[index])).toString(), word(index * 4), word(index * 4 + 2)]
  }
}
