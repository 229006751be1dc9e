// Folding: old incarnations of a node become one column, (node, 1), so that many restarts do not cost memory a name without bound.
// A cell of the folded column with sequence number s includes the row's cells of all incarnations in [2, s]: whoever
// reads a row that is folded skips them, row by row, so a half-folded table, a fuzzy snapshot and a mixture of
// frames all read right. Safe because it waits until every member knows all of those incarnations: docs/decisions/0007.

import { CounterError } from '../base/errors.ts'
import { CELL_WORDS, type Column } from './column.ts'
import { CHUNK_MASK, CHUNK_ROWS, CHUNK_SHIFT, type Table } from './table.ts'

const WORD = 0x1_0000_0000
/** Rows of a step, less than a chunk, so that one stays within a few milliseconds. */
const STEP_ROWS = 4096

/**
 * Adds the cells of `sources` to `target`, row by row; a row that is folded already is passed over. Each step is a few milliseconds.
 * @param sources the incarnations to be folded, ascending
 * @param table whose rows they are; it may grow meanwhile
 * @throws CounterError COUNT_OVERFLOW when a sum would pass 2^64 - 1, before anything is folded: half of it would be sent to whoever asks
 */
export function* foldRows(target: Column, sources: readonly Column[], table: Table): Generator<void, void> {
  yield* eachStep(sources, table, (there, first, end) => {
    if (mayOverflow(target, there, first, end)) for (let row = first; row < end; row++) sumRow(target, there, row)
  })
  yield* eachStep(sources, table, (there, first, end) => {
    for (let row = first; row < end; row++) {
      const last = sumRow(target, there, row)
      if (last !== 0) target.join(row, SUM.low, SUM.high, SUM.minusLow, SUM.minusHigh, last)
    }
  })
}

/** Gives the rows [first, end), all in one chunk, and those of the sources that have cells there. */
function* eachStep(
  sources: readonly Column[],
  table: Table,
  take: (there: readonly Column[], first: number, end: number) => void,
): Generator<void, void> {
  for (let first = 0; first < table.rowCount; first += STEP_ROWS) {
    const chunk = first >>> CHUNK_SHIFT
    const there = sources.filter((source) => source.cells[chunk] !== undefined)
    if (there.length === 0) {
      // The next step begins at the next chunk.
      first = Math.floor(first / CHUNK_ROWS + 1) * CHUNK_ROWS - STEP_ROWS
      continue
    }
    take(there, first, Math.min(first + STEP_ROWS, table.rowCount))
    yield
  }
}

/** Whether the high words of any rows could come to 2^32 together: nearly never, at a fraction of the sums themselves. */
function mayOverflow(target: Column, sources: readonly Column[], first: number, end: number): boolean {
  const chunk = first >>> CHUNK_SHIFT
  let plus = 0
  let minus = 0
  for (const column of [target, ...sources]) {
    plus += 1 + highestWord(column.cells[chunk], CELL_WORDS, first, end)
    minus += 1 + highestWord(column.minus[chunk], 2, first, end)
  }
  return Math.max(plus, minus) >= WORD
}

/** The highest of the words that come second in the entries of the rows. */
function highestWord(words: Uint32Array | undefined, stride: number, first: number, end: number): number {
  let highest = 0
  if (words === undefined) return 0
  const to = ((end - 1) & CHUNK_MASK) * stride + 1
  for (let at = (first & CHUNK_MASK) * stride + 1; at <= to; at += stride) if (words[at]! > highest) highest = words[at]!
  return highest
}

/** Leaves in SUM what the row's folded cell is to hold, and returns its sequence number; 0 when there is nothing to be folded. */
function sumRow(target: Column, sources: readonly Column[], row: number): number {
  const before = target.seqOf(row)
  let last = 0
  SUM.low = SUM.high = SUM.minusLow = SUM.minusHigh = 0
  for (const source of sources) {
    const { incarnation } = source.replica
    if (incarnation <= before || source.seqOf(row) === 0) continue
    add(SUM, source, row)
    last = incarnation
  }
  if (last !== 0) add(SUM, target, row)
  return last
}

interface Sum {
  low: number
  high: number
  minusLow: number
  minusHigh: number
}

/** Scratch. */
const SUM: Sum = { low: 0, high: 0, minusLow: 0, minusHigh: 0 }

function add(sum: Sum, column: Column, row: number): void {
  const chunk = row >>> CHUNK_SHIFT
  const cells = column.cells[chunk]
  if (cells === undefined) return
  const at = (row & CHUNK_MASK) * CELL_WORDS
  sum.low += cells[at]!
  sum.high += cells[at + 1]! + (sum.low >= WORD ? 1 : 0)
  sum.low >>>= 0
  const minus = column.minus[chunk]
  if (minus !== undefined) {
    const minusAt = (row & CHUNK_MASK) * 2
    sum.minusLow += minus[minusAt]!
    sum.minusHigh += minus[minusAt + 1]! + (sum.minusLow >= WORD ? 1 : 0)
    sum.minusLow >>>= 0
  }
  if (sum.high < WORD && sum.minusHigh < WORD) return
  throw new CounterError(
    'COUNT_OVERFLOW',
    `the incarnations of node ${column.replica.node} come to more than 2^64 - 1 in one name`,
    {
      fix: 'nothing is lost: they are kept apart, at more memory',
    },
  )
}
