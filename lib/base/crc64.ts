// CRC-64/ISO (polynomial 0xD800000000000000 reflected, all bits inverted before and after), as Go's `crc64.ISO`.
// It is the key by which the original system's files and its sync speak of a name. It is not an identity: `gallabieh`
// and `wallabies` share one. Check value: "123456789" is b90956c775a41001.
//
// The polynomial is sparse (x^64 + x^4 + x^3 + x + 1): what a byte leaves behind reaches only the top 12 bits, so the
// table holds one word an entry, and the low word of every entry would be zero.

const TABLE = makeTable()

function makeTable(): Uint32Array {
  const table = new Uint32Array(256)
  for (let byte = 0; byte < 256; byte++) {
    let low = byte
    let high = 0
    for (let bit = 0; bit < 8; bit++) {
      const out = low & 1
      low = ((low >>> 1) | (high << 31)) >>> 0
      high = (high >>> 1) ^ (out ? 0xd8000000 : 0)
    }
    table[byte] = high
  }
  return table
}

/** The key of `bytes[from, to)`, written to `out[at]` (low word) and `out[at + 1]` (high word). */
export function crc64Into(out: Uint32Array, at: number, bytes: Uint8Array, from: number, to: number): void {
  let low = ~0
  let high = ~0
  for (let index = from; index < to; index++) {
    const fallen = (low ^ bytes[index]!) & 0xff
    low = (low >>> 8) | (high << 24)
    high = (high >>> 8) ^ TABLE[fallen]!
  }
  out[at] = ~low
  out[at + 1] = ~high
}

/** The key of `bytes` as a uint64. For the edges; hot code uses crc64Into. */
export function crc64(bytes: Uint8Array): bigint {
  const words = new Uint32Array(2)
  crc64Into(words, 0, bytes, 0, bytes.length)
  return (BigInt(words[1]!) << 32n) | BigInt(words[0]!)
}
