// All agree: once everything is healed all nodes read the same of every name, know the same, and have the same digests.

/** What a node shows when nothing is under way. */
export interface View {
  readonly machine: number
  readonly readings: ReadonlyMap<string, number>
  /** Its vector as a text, entries in order. */
  readonly vector: string
  readonly digests: Uint32Array
}

export function checkAgreement(views: readonly View[]): string[] {
  const found: string[] = []
  const [first, ...others] = views
  for (const other of others) {
    const pair = `machines ${first!.machine} and ${other.machine}`
    for (const [name, value] of first!.readings) {
      const theirs = other.readings.get(name)
      if (theirs !== value) found.push(`${pair} read ${name} as ${value} and ${theirs}`)
    }
    if (other.vector !== first!.vector) found.push(`${pair} know ${first!.vector} and ${other.vector}`)
  }
  return [...found, ...checkDigests(views)]
}

/** Who knows the same has the same. */
export function checkDigests(views: readonly View[]): string[] {
  const found: string[] = []
  for (const [index, one] of views.entries()) {
    for (const other of views.slice(index + 1)) {
      if (one.vector !== other.vector || sameWords(one.digests, other.digests)) continue
      found.push(`machines ${one.machine} and ${other.machine} know the same, ${one.vector}, and their digests differ`)
    }
  }
  return found
}

/** Bytes are compared much faster than words. */
const sameWords = (a: Uint32Array, b: Uint32Array): boolean => Buffer.compare(bytesOf(a), bytesOf(b)) === 0

const bytesOf = (words: Uint32Array): Uint8Array => new Uint8Array(words.buffer, words.byteOffset, words.byteLength)
