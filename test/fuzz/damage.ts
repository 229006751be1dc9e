// Ways to damage bytes that know a little of their structure: lengths become extreme, pieces move, bits turn over.

import type { Random } from '../../lib/base/random.ts'

const EXTREMES = [0, 1, 0x7f, 0x80, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]

/** A damaged copy, of at least one byte. */
export function damaged(source: Uint8Array, random: Random): Uint8Array {
  let bytes = source.slice()
  const below = (limit: number) => random.uint32() % Math.max(1, limit)
  for (let times = 1 + below(3); times > 0; times--) {
    const at = below(bytes.length)
    const count = below(Math.min(64, bytes.length - at)) + 1
    switch (below(6)) {
      case 0:
        bytes[at]! ^= 1 << below(8)
        break
      case 1:
        bytes.fill(below(2) === 0 ? 0 : below(256), at, at + count)
        break
      case 2:
        for (let index = at; index < Math.min(at + count, bytes.length); index++) bytes[index] = below(256)
        break
      case 3: {
        const value = EXTREMES[below(EXTREMES.length)]!
        for (let index = 0; index < 4 && at + index < bytes.length; index++) bytes[at + index] = value >>> (8 * index)
        break
      }
      case 4:
        bytes = bytes.slice(0, Math.max(1, at))
        break
      default: {
        // A piece is repeated, or left out.
        const from = below(bytes.length)
        bytes = new Uint8Array(
          Buffer.concat([bytes.subarray(0, at), bytes.subarray(from, from + count), bytes.subarray(at + below(2) * count)]),
        )
      }
    }
    if (bytes.length === 0) bytes = new Uint8Array(1)
  }
  return bytes
}
