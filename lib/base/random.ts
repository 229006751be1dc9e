// Randomness as a parameter, so that the simulator can own it. The only file that touches the real source.

import { randomBytes } from 'node:crypto'

export interface Random {
  /** A uniformly random integer in [0, 2^32). */
  uint32(): number
}

export const systemRandom: Random = { uint32: () => randomBytes(4).readUInt32LE(0) }

/** A small seeded generator (mulberry32, Tommy Ettinger, public domain) for tests, benches and the simulator. */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0
  return {
    uint32() {
      state = (state + 0x6d2b79f5) >>> 0
      let mixed = Math.imul(state ^ (state >>> 15), state | 1)
      mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)) ^ mixed
      return (mixed ^ (mixed >>> 14)) >>> 0
    },
  }
}
