// How far a load is, as a line: a bar for a terminal, and words for a log.

/** What is known of a load. */
export interface Meter {
  /** Of the file; undefined when it has no end yet, as standard input. */
  readonly bytesMax: number | undefined
  readonly bytes: number
  /** Where this run has begun. */
  readonly bytesBefore: number
  readonly items: number
  /** Of this run. */
  readonly itemsSince: number
  readonly elapsedMs: number
  readonly skipped: number
}

const BAR_MAX = 30

/** A line for a terminal, at most as long as it is wide. */
export function barOf(meter: Meter, columns: number): string {
  const words = wordsOf(meter)
  const share = shareOf(meter)
  const width = Math.min(BAR_MAX, columns - words.length - 4)
  if (share === undefined || width < 5) return words.slice(0, Math.max(0, columns - 1))
  const full = Math.floor(share * width)
  return `[${'#'.repeat(full)}${'.'.repeat(width - full)}] ${words}`
}

/** 42%, 1230000 items, 310000 items/s, 4 s left, 2 lines left out */
export function wordsOf(meter: Meter): string {
  const { items, itemsSince, elapsedMs, skipped } = meter
  const share = shareOf(meter)
  const parts = share === undefined ? [] : [`${Math.floor(share * 100)}%`]
  parts.push(`${items} items`)
  if (elapsedMs > 0 && itemsSince > 0) parts.push(`${Math.round(itemsSince / (elapsedMs / 1000))} items/s`)
  const left = secondsLeft(meter)
  if (left !== undefined) parts.push(`${left} s left`)
  if (skipped > 0) parts.push(`${skipped} ${skipped === 1 ? 'line' : 'lines'} left out`)
  return parts.join(', ')
}

function shareOf({ bytes, bytesMax }: Meter): number | undefined {
  if (bytesMax === undefined) return undefined
  return bytesMax === 0 ? 1 : Math.min(1, bytes / bytesMax)
}

function secondsLeft({ bytes, bytesBefore, bytesMax, elapsedMs }: Meter): number | undefined {
  if (bytesMax === undefined || bytes <= bytesBefore || bytes >= bytesMax) return undefined
  return Math.ceil((((bytesMax - bytes) / (bytes - bytesBefore)) * elapsedMs) / 1000)
}
