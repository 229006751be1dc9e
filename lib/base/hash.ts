// The hash by which names find their place in a hash table: FNV-1a, byte by byte, with a secret start and a secret
// odd multiplier, finished by MurmurHash3's fmix32 (Austin Appleby, public domain).
// It never leaves the process. Its only job is to be fast on short words and unknown to whoever chooses the words: the
// CRC-64 of a name, which the files and the wire of the original speak, is linear, so anybody can make 65,536
// names that share it (docs/decisions/0002). Input enters at the low eight bits only and spreads by a multiplier
// nobody outside knows, so a collision found for one process is worth nothing in another.

import type { Random } from './random.ts'

export interface NameHash {
  readonly start: number
  readonly multiplier: number
}

export function createNameHash(random: Random): NameHash {
  return { start: random.uint32() | 0, multiplier: random.uint32() | 1 }
}

/** The hash of `bytes[from, to)` as an unsigned 32-bit number. One multiplication a byte. */
export function hashName(hash: NameHash, bytes: Uint8Array, from: number, to: number): number {
  let state = hash.start
  for (let at = from; at < to; at++) state = Math.imul(state ^ bytes[at]!, hash.multiplier)
  return finishHash(state)
}

/** Spreads the state reached after the last byte over all 32 bits. */
export function finishHash(state: number): number {
  state = Math.imul(state ^ (state >>> 16), 0x85ebca6b)
  state = Math.imul(state ^ (state >>> 13), 0xc2b2ae35)
  return (state ^ (state >>> 16)) >>> 0
}
