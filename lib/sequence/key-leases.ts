// Leases under which idempotency keys are kept in etcd. Many keys share one: a lease for each would double the writes. Each lease leaves a
// mark under itself, so that all nodes together see how many there are, and the oldest can be given up when there are too many.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { ConsensusKv } from './kv.ts'
import type { KeyLimits } from './local-book.ts'
import type { KeyNames } from './record.ts'

export interface KeyLeasesOptions extends KeyLimits {
  readonly kv: ConsensusKv
  readonly names: KeyNames
  readonly clock: Clock
}

/** Keys of a lease. When it ends etcd deletes them in one go, so not too many. */
export const LEASE_KEYS = 2000
/** A lease takes keys for this part of the time that keys are kept, and lasts so much longer. */
const SHARE = 24

export class KeyLeases {
  readonly #options: KeyLeasesOptions
  #lease: { readonly id: string; readonly untilMs: number; left: number } | undefined
  #granting: Promise<void> | undefined

  constructor(options: KeyLeasesOptions) {
    this.#options = options
  }

  /** A lease for so many keys, that goes on for as long as keys are kept. @throws CounterError SEQUENCE_UNAVAILABLE */
  async take(keys: number): Promise<string> {
    for (;;) {
      const lease = this.#lease
      if (lease !== undefined && lease.left > 0 && this.#options.clock.monotonicMs() < lease.untilMs) {
        lease.left -= keys
        return lease.id
      }
      this.#granting ??= this.#grant().finally(() => {
        this.#granting = undefined
      })
      await this.#granting.catch(nothingTaken)
    }
  }

  /** The lease is gone: somebody gave it up. */
  forget(id: string): void {
    if (this.#lease?.id === id) this.#lease = undefined
  }

  async #grant(): Promise<void> {
    const { kv, names, clock, keyTtlMs } = this.#options
    const startMs = clock.monotonicMs()
    const id = await kv.grantLease(Math.ceil((keyTtlMs * (1 + 1 / SHARE)) / 1000) + 1)
    await kv.txn({ compare: [], success: [{ key: names.leases + id, value: '', lease: id }], failure: [] })
    this.#lease = { id, untilMs: startMs + keyTtlMs / SHARE, left: LEASE_KEYS }
    await this.#giveUpOldest()
  }

  /** Keeps to the number of keys that may be kept, counted in whole leases. */
  async #giveUpOldest(): Promise<void> {
    const { kv, names, keysMax } = this.#options
    const max = Math.max(Math.ceil(keysMax / LEASE_KEYS), 1)
    const { entries } = await kv.range({ prefix: names.leases, limit: 2 * max + 100 })
    const oldest = [...entries].sort((a, b) => a.createRevision - b.createRevision)
    for (const { key } of oldest.slice(0, Math.max(entries.length - max, 0))) await kv.revokeLease(key.slice(names.leases.length))
  }
}

/** Whatever has become of the lease: it ends unused, and no number was taken. */
function nothingTaken(error: unknown): never {
  if (!(error instanceof CounterError)) throw error
  const { message, fix } = error
  throw new CounterError('SEQUENCE_UNAVAILABLE', `no lease for idempotency keys: ${message}`, {
    cause: error,
    ...(fix !== undefined && { fix }),
  })
}
