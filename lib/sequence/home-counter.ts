// What is done at the home itself, for its own callers and for those of other nodes: each operation, with what it needs to hold meanwhile.

import { CounterError } from '../base/errors.ts'
import type { Keeper } from './home-keeper.ts'
import type { Operation, Result } from './home-messages.ts'
import { PAGE_MAX } from './home-parts.ts'
import type { Teller } from './home-teller.ts'
import type { Migrated } from './migrate.ts'
import type { Sequencer } from './sequencer.ts'

export interface CounterOptions {
  readonly local: Sequencer
  readonly keeper: Keeper
  readonly teller: Teller
  readonly migrate: () => Promise<Migrated>
}

export class HomeCounter {
  readonly #options: CounterOptions

  constructor(options: CounterOptions) {
    this.#options = options
  }

  /** @throws CounterError what keeps this node from it, or from what the local engine does */
  async carryOut(operation: Operation, signal?: AbortSignal): Promise<Result> {
    const { keeper } = this.#options
    if (operation.kind === 'recover') {
      await keeper.recover(operation.ahead, operation.force)
      return { kind: 'done' }
    }
    if (operation.kind === 'look') {
      if (!keeper.serves) await keeper.confirm()
      const { frozen } = await this.#options.local.status()
      return { kind: 'seen', frozen, trouble: keeper.trouble && said(keeper.trouble) }
    }
    if (operation.kind === 'set' && operation.force) return keeper.runAlone(() => this.#force(operation.name, operation.value))
    if (operation.kind === 'thaw') return keeper.runAlone(() => this.#thaw())
    return keeper.run(() => this.#change(operation, signal))
  }

  /** What is given from now on was never moved: a new tenure says so, see succession.ts. */
  async #thaw(): Promise<Result> {
    const { local } = this.#options
    if ((await local.status()).frozen) await this.#options.keeper.refound()
    await local.thaw()
    return { kind: 'done' }
  }

  async #force(name: string, value: number): Promise<Result> {
    const { local } = this.#options
    // What the others have heard would speak against this home for ever.
    if (value < (await local.get(name))) await this.#options.keeper.refound()
    await local.set(name, value, { force: true })
    this.#options.teller.given(name, value)
    return { kind: 'done' }
  }

  async #change(operation: Exclude<Operation, { kind: 'look' | 'recover' | 'thaw' }>, signal?: AbortSignal): Promise<Result> {
    const { local } = this.#options
    switch (operation.kind) {
      case 'next': {
        const { name, count, key } = operation
        const numbers = await local.next(name, { count, key, signal })
        if (!numbers.replayed) this.#options.teller.given(name, numbers.last)
        return { kind: 'numbers', ...numbers }
      }
      case 'get':
        return { kind: 'value', value: await local.get(operation.name) }
      case 'list':
        return { kind: 'page', ...(await local.list(operation)) }
      case 'set': {
        const { name, value } = operation
        await local.set(name, value, { force: false })
        this.#options.teller.given(name, value)
        return { kind: 'done' }
      }
      case 'freeze':
        await local.freeze()
        return { kind: 'done' }
      case 'migrate': {
        const { sequences, keys, ahead } = await this.#options.migrate()
        return { kind: 'moved', sequences, keys, ahead: ahead.slice(0, PAGE_MAX) }
      }
    }
  }
}

/** An error as sentences. */
export function said(error: unknown): string {
  if (!(error instanceof CounterError)) return String(error)
  const sentence = `${error.message.slice(0, 1).toUpperCase()}${error.message.slice(1)}.`
  return error.fix === undefined ? sentence : `${sentence} ${error.fix}`
}
