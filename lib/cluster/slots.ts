// The slot of a name, exactly as Redis Cluster has it: CRC-16/XMODEM of the name modulo 16384; of a name with a tag in braces, of the tag alone,
// so that names which belong together are kept together: {user7}:views and {user7}:clicks.
// https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/#key-distribution-model

import crc16xmodem from 'crc/calculators/crc16xmodem'

/** The counter of the one total. It belongs to no slot: every shard has a part of it. */
export const TOTAL_NAME = 'the total'

/** How many slots there are. */
export const SLOTS = 16_384

const OPEN = 0x7b
const CLOSE = 0x7d

/** The slot of the name in `bytes[start, end)`, from 0. */
export function slotOf(bytes: Uint8Array, start: number, end: number): number {
  const open = bytes.indexOf(OPEN, start)
  if (open >= 0 && open < end) {
    const close = bytes.indexOf(CLOSE, open + 1)
    // An empty tag is none.
    if (close > open + 1 && close < end) return crc16(bytes, open + 1, close) % SLOTS
  }
  return crc16(bytes, start, end) % SLOTS
}

const crc16 = (bytes: Uint8Array, start: number, end: number): number => crc16xmodem(bytes.subarray(start, end))
