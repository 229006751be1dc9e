// The slot of a name, exactly as Redis Cluster has it: CRC-16/XMODEM of the name modulo 16384; of a name with a tag in braces, of the tag alone,
// so that names which belong together are kept together: {user7}:views and {user7}:clicks.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model

import crc16xmodem from 'crc/calculators/crc16xmodem'

/** How many slots there are. */
export const SLOTS = 16_384

/** Names as a batch has them: one directly after the other, each up to its end. */
export interface Names {
  readonly count: number
  readonly names: Uint8Array
  readonly ends: Uint32Array
}

const OPEN = 0x7b
const CLOSE = 0x7d

/** The slot of the name in `bytes[start, end)`, from 0. Cost: that of the name, however much lies behind it. */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const open = find(bytes, OPEN, start, end)
  const close = find(bytes, CLOSE, open + 1, end)
  // An empty tag is none.
  const isTagged = close < end && close > open + 1
  return crc16xmodem(isTagged ? bytes.subarray(open + 1, close) : bytes.subarray(start, end)) % SLOTS
}

/** Where the byte is in the range; its end when it is not. Not indexOf, which would search all that lies behind. */
function find(bytes: Uint8Array, byte: number, start: number, end: number): number {
  let at = start
  while (at < end && bytes[at] !== byte) at++
  return Math.min(at, end)
}
