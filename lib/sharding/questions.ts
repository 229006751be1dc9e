// What a mover asks of a replica over HTTP, as JSON: read here with suspicion, and passed on. Keeping a map has a route of its own, that of
// aggregators.

import { CounterError } from '../base/errors.ts'
import type { Contents, Counted, Digest, Known, Page, ShardPort } from './port.ts'

/** What the questions are answered by. */
export interface Answering extends Pick<ShardPort, 'know' | 'take' | 'find' | 'put' | 'digest'> {
  counted(question: { key: string }): Promise<Counted>
}

/** More would be more than a page. */
const LIST_MAX = 20_000
const TEXT_LENGTH_MAX = 70_000

/** Answers one question. @throws CounterError SLOTS_INVALID when it is none; what the answering replica throws */
export async function answerQuestion(replica: Answering, question: unknown): Promise<object> {
  const { ask, ...given } = (question ?? {}) as Record<string, unknown>
  switch (ask) {
    case 'know':
      return { known: await replica.know(list(given.known, readKnown)) }
    case 'take':
      return replica.take({ tag: text(given.tag), from: natural(given.from) })
    case 'find':
      return replica.find({ tag: text(given.tag), names: list(given.names, text), ids: list(given.ids, text) })
    case 'put':
      await replica.put({ tag: text(given.tag), ...readContents(given) })
      return {}
    case 'digest':
      return replica.digest({ tag: text(given.tag) })
    case 'counted':
      return replica.counted({ key: text(given.key) })
    default:
      throw invalid('/ask', 'know, take, find, put, digest or counted')
  }
}

/** The answers, read by who has asked. @throws CounterError SLOTS_INVALID */
export const readAnswer = {
  know: (answer: unknown): boolean => (answer as { known?: unknown } | null)?.known === true,

  page(answer: unknown): Page {
    const { next } = (answer ?? {}) as Record<string, unknown>
    return { ...readContents(answer), next: next === null ? null : natural(next) }
  },

  contents: readContents,

  digest(answer: unknown): Digest {
    const { counters, items, sum } = (answer ?? {}) as Record<string, unknown>
    return { counters: natural(counters), items: natural(items), sum: text(sum) }
  },
}

function readContents(plain: unknown): Contents {
  const { counters, items } = (plain ?? {}) as Record<string, unknown>
  return {
    counters: list(counters, (pair) => {
      const [name, digits] = pairOf(pair)
      return [text(name), text(digits)] as const
    }),
    items: list(items, (pair) => {
      const [id, tenant] = pairOf(pair)
      return [text(id), tenant === null ? null : text(tenant)] as const
    }),
  }
}

export function readKnown(plain: unknown): Known {
  const [node, incarnation, seq] = Array.isArray(plain) && plain.length === 3 ? (plain as unknown[]) : []
  return [natural(node), natural(incarnation), natural(seq)]
}

function pairOf(plain: unknown): readonly unknown[] {
  if (Array.isArray(plain) && plain.length === 2) return plain
  throw invalid('', 'pairs')
}

function list<T>(plain: unknown, read: (entry: unknown) => T): T[] {
  if (Array.isArray(plain) && plain.length <= LIST_MAX) return plain.map(read)
  throw invalid('', `lists of at most ${LIST_MAX}`)
}

function text(plain: unknown): string {
  if (typeof plain === 'string' && plain.length >= 1 && plain.length <= TEXT_LENGTH_MAX) return plain
  throw invalid('', 'texts that are not empty')
}

export function natural(plain: unknown): number {
  if (Number.isSafeInteger(plain) && (plain as number) >= 0) return plain as number
  throw invalid('', 'whole numbers from 0')
}

const invalid = (path: string, expected: string): CounterError =>
  new CounterError('SLOTS_INVALID', `${path === '' ? 'the question' : path}: expected ${expected}`)
