// Bytes to text with nothing dropped: a TextDecoder that is not told so takes a U+FEFF at the beginning for a mark, and a name that starts
// with one would become another name.

/** What is not UTF-8 becomes U+FFFD. */
export const utf8 = new TextDecoder('utf-8', { ignoreBOM: true })
/** What is not UTF-8 throws a TypeError. */
export const strictUtf8 = new TextDecoder('utf-8', { ignoreBOM: true, fatal: true })
