// Names that anybody can make to have one CRC-64, to show that nothing takes it for an identity and nothing slows down.

import { crc64 } from '../../lib/base/crc64.ts'

/** 65,536 texts of 24 letters with one CRC-64: it is linear, so flips that leave it alone are found by elimination. */
export function collidingNames(): string[] {
  const base = Buffer.from('p'.repeat(24))
  const baseCrc = crc64(base)
  // Each flip of one of the four low bits of a letter, as (what it does to the CRC, which flips it stands for).
  const pivots = new Map<number, { crc: bigint; flips: bigint }>()
  const kernel: bigint[] = []
  for (let bit = 0; bit < 96; bit++) {
    const flipped = Buffer.from(base)
    flipped[bit >> 2]! ^= 1 << (bit & 3)
    let crc = crc64(flipped) ^ baseCrc
    let flips = 1n << BigInt(bit)
    while (crc !== 0n) {
      const top = crc.toString(2).length
      const pivot = pivots.get(top)
      if (pivot === undefined) {
        pivots.set(top, { crc, flips })
        break
      }
      crc ^= pivot.crc
      flips ^= pivot.flips
    }
    if (crc === 0n) kernel.push(flips)
  }
  return Array.from({ length: 65_536 }, (_, choice) => {
    let flips = 0n
    for (let at = 0; at < 16; at++) if ((choice >> at) & 1) flips ^= kernel[at]!
    const name = Buffer.from(base)
    for (let bit = 0; bit < 96; bit++) if ((flips >> BigInt(bit)) & 1n) name[bit >> 2]! ^= 1 << (bit & 3)
    return name.toString('latin1')
  })
}
