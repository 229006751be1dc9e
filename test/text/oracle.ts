// What a tally must be, written the slow and plain way: decode as Go does, lower each code point, split, count in a Map.

const WHITE = new Set([9, 10, 11, 12, 13, 32, 0x85, 0xa0, 0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000])
for (let codePoint = 0x2000; codePoint <= 0x200a; codePoint++) WHITE.add(codePoint)

/** The code points of `bytes`; a byte that starts no shortest-form sequence of a code point is one U+FFFD. */
export function decode(bytes: Uint8Array): number[] {
  const codePoints: number[] = []
  for (let at = 0; at < bytes.length; ) {
    const lead = bytes[at]!
    const length = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4
    const sequence = bytes.subarray(at, at + length)
    // Well-formed is what comes out as it went in.
    const decoded = Buffer.from(sequence).toString()
    const wellFormed = [...decoded].length === 1 && Buffer.from(decoded).equals(sequence)
    codePoints.push(wellFormed ? decoded.codePointAt(0)! : 0xfffd)
    at += wellFormed ? length : 1
  }
  return codePoints
}

/** Simple lower-case mapping of one code point. */
export function lower(codePoint: number): string {
  return codePoint === 0x130 ? 'i' : String.fromCodePoint(codePoint).toLowerCase()
}

export function tallyOf(bytes: Uint8Array): Map<string, number> {
  const counts = new Map<string, number>()
  let word = ''
  for (const codePoint of [...decode(bytes), 32]) {
    if (!WHITE.has(codePoint)) {
      word += lower(codePoint)
    } else if (word !== '') {
      counts.set(word, (counts.get(word) ?? 0) + 1)
      word = ''
    }
  }
  return counts
}
