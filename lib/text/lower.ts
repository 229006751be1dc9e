// Lower case and white space exactly as the original has them: Go's strings.ToLower and unicode.IsSpace, code point by
// code point. So a final sigma stays σ, U+0130 becomes a plain i, ﬁ and ß stay, and U+FEFF is not white space.
// FOLD answers for a byte, lowerCodePoint for any other code point; lowerWord does the same to a whole string.

/** In FOLD: the byte is ASCII white space. */
export const SPACE = -1
/** In FOLD: the byte is part of a longer UTF-8 sequence, or of none. */
export const FOREIGN = -2
/** What lowerCodePoint answers for white space beyond ASCII, so that one lookup tells both. No word holds a space. */
export const WHITE = 0x20
/** Stands for each byte that is not UTF-8. */
export const REPLACEMENT = 0xfffd

/** For each byte its lower-case form, or SPACE or FOREIGN, which are below zero. */
export const FOLD: Int8Array = new Int8Array(256).map((_, byte) => {
  if (byte >= 0x80) return FOREIGN
  if (byte === 0x20 || (byte >= 0x09 && byte <= 0x0d)) return SPACE
  return byte >= 0x41 && byte <= 0x5a ? byte + 0x20 : byte
})

const CACHED = 0x20000
/** lowerCodePoint of planes 0 and 1; 0 where nobody asked yet. Only touched pages take memory. */
const cache = new Uint32Array(CACHED)

/** The simple lower-case mapping of a code point above 0x7f that is not a surrogate; WHITE for white space. */
export function lowerCodePoint(codePoint: number): number {
  // Beyond plane 1 are ideographs, tags and private use: nothing has case there.
  if (codePoint >= CACHED) return codePoint
  const known = cache[codePoint]!
  return known !== 0 ? known : (cache[codePoint] = isWhite(codePoint) ? WHITE : lowerUncached(codePoint))
}

function lowerUncached(codePoint: number): number {
  // The only code point whose full mapping is longer than one is U+0130: i and a dot. Its first one is the simple mapping.
  return String.fromCodePoint(codePoint).toLowerCase().codePointAt(0)!
}

function isWhite(codePoint: number): boolean {
  if (codePoint >= 0x2000) {
    return (
      codePoint <= 0x200a ||
      codePoint === 0x2028 ||
      codePoint === 0x2029 ||
      codePoint === 0x202f ||
      codePoint === 0x205f ||
      codePoint === 0x3000
    )
  }
  return codePoint === 0x85 || codePoint === 0xa0 || codePoint === 0x1680
}

/** A word in lower case, exactly as Tally.feed does it. */
export function lowerWord(word: string): string {
  // String.toLowerCase looks at what surrounds a code point only for these two.
  return word.replace(/[\u0130\u03a3]/g, (letter) => (letter === '\u0130' ? 'i' : '\u03c3')).toLowerCase()
}

const encoder = new TextEncoder()

/** The UTF-8 bytes of a name; a lone surrogate becomes U+FFFD. */
export function nameBytes(name: string): Uint8Array {
  return encoder.encode(name)
}
