// Moving sequences to another engine. The old one is frozen first, durably, so what it says after that is final; the new one is raised to it,
// never lowered; keys go along, so a call that is repeated after the move still gets its numbers. Every step may be repeated: a move that
// was cut off is finished by doing it again.

import { CounterError } from '../base/errors.ts'
import type { KeptKey } from './local-book.ts'
import { type Sequencer, sequenceFrozen } from './sequencer.ts'

export interface MigrationSource extends Pick<Sequencer, 'freeze' | 'list'> {
  keptKeys(): Iterable<KeptKey>
}

export interface MigrationTarget extends Pick<Sequencer, 'set' | 'status'> {
  adoptKeys(keys: readonly KeptKey[]): Promise<void>
}

export interface Migrated {
  /** Sequences whose value is in the new engine now. */
  readonly sequences: number
  /** Of these, such that were there already and further: by a move before, after which they have gone on, or by another use of the name. */
  readonly ahead: readonly string[]
  readonly keys: number
}

const PAGE = 500

/**
 * Freezes `source` and brings all it has to `target`. Afterwards all nodes are to be started with the new engine.
 * @throws (as a rejection) CounterError: what an engine refuses with; `source` may be frozen then, and numbers have stopped. Repeat it, or thaw
 *   the source if nothing has used the target
 */
export async function migrate(source: MigrationSource, target: MigrationTarget): Promise<Migrated> {
  const { reachable, frozen, detail } = await target.status()
  // Before anything is stopped.
  if (!reachable)
    throw new CounterError('SEQUENCE_UNAVAILABLE', `the sequences cannot be moved, and go on where they are: ${detail}`)
  if (frozen) throw sequenceFrozen(`the sequences cannot be moved, and go on where they are: ${detail}`)
  await source.freeze()
  const ahead: string[] = []
  let sequences = 0
  for (let after: string | undefined, more = true; more; ) {
    const page = await source.list({ prefix: '', after, limit: PAGE })
    for (const { name, value } of page.sequences) {
      if (!(await raise(target, name, value))) ahead.push(name)
    }
    sequences += page.sequences.length
    after = page.sequences.at(-1)?.name
    more = page.more
  }
  const keys = [...source.keptKeys()]
  for (let from = 0; from < keys.length; from += PAGE) await target.adoptKeys(keys.slice(from, from + PAGE))
  return { sequences, ahead, keys: keys.length }
}

/** false: it is further already. */
async function raise(target: MigrationTarget, name: string, value: number): Promise<boolean> {
  try {
    await target.set(name, value, { force: false })
    return true
  } catch (error) {
    if (error instanceof CounterError && error.code === 'SEQUENCE_BACKWARDS') return false
    throw error
  }
}
