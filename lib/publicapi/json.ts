// JSON in which no integer is ever rounded: digits beyond 2^53 are read as a bigint, and written as digits.
// JSON.parse reads whatever cannot hold such a number; only a text that might goes through the reader below, which also says
// where a malformed text stops being JSON. A number that is not exact as a double (0.1, 1e400) is read as NaN:
// no operation takes fractions, and NaN fits no schema.

import { Problem } from './problem.ts'

/**
 * A number, where one may stand, of sixteen digits or with a fraction or an exponent. In a string it costs only the slower reader; what is long
 * or looks like an exponent in ids is not found, as there is no colon, comma or bracket before it.
 */
const MIGHT_ROUND = /(?:^|[:,[])\s*-?\d(?:\d{15}|\d*[.eE])/
const NUMBER = /-?(?:0|[1-9]\d*)(\.\d+)?([eE][-+]?\d+)?/y
const WHOLE_FRACTION = /^\.0+$/
const DEPTH_MAX = 64

const decoder = new TextDecoder('utf-8', { fatal: true })

/** Reads a JSON body. @throws Problem json-invalid, with line and column */
export function readJson(bytes: Uint8Array): unknown {
  let text: string
  try {
    text = decoder.decode(bytes)
  } catch {
    throw new Problem('json-invalid', 'The body is not UTF-8.', { fix: 'Encode the body as UTF-8.' })
  }
  if (text === '') throw new Problem('json-invalid', 'The body is empty; expected JSON.')
  if (!MIGHT_ROUND.test(text)) {
    try {
      return JSON.parse(text)
    } catch {
      // Read again, to say where it stops being JSON.
    }
  }
  return new Reader(text).read()
}

/** The digits of an exact integer, as JSON writes them. */
export const writeInteger = (value: number | bigint): string => String(value)

class Reader {
  readonly #text: string
  #at = 0
  #depth = 0

  constructor(text: string) {
    this.#text = text
  }

  read(): unknown {
    const value = this.#value()
    this.#space()
    if (this.#at < this.#text.length) this.#fail('the end of the body')
    return value
  }

  #value(): unknown {
    this.#space()
    switch (this.#text[this.#at]) {
      case '{':
        return this.#nested(() => this.#object())
      case '[':
        return this.#nested(() => this.#array())
      case '"':
        return this.#string()
      case 't':
        return this.#word('true', true)
      case 'f':
        return this.#word('false', false)
      case 'n':
        return this.#word('null', null)
      default:
        return this.#number()
    }
  }

  #nested<Value>(read: () => Value): Value {
    if (++this.#depth > DEPTH_MAX) this.#fail(`at most ${DEPTH_MAX} levels of nesting`)
    this.#at++
    const value = read()
    this.#at++
    this.#depth--
    return value
  }

  #object(): Record<string, unknown> {
    const object: Record<string, unknown> = {}
    if (this.#peek() === '}') return object
    for (;;) {
      if (this.#peek() !== '"') this.#fail('a string for a key')
      const key = this.#string()
      if (this.#peek() !== ':') this.#fail('a colon')
      this.#at++
      // Defined, not assigned: a key of `__proto__` is a key like any other.
      Object.defineProperty(object, key, { value: this.#value(), enumerable: true, configurable: true, writable: true })
      if (this.#peek() === '}') return object
      if (this.#peek() !== ',') this.#fail('a comma or }')
      this.#at++
    }
  }

  #array(): unknown[] {
    const array: unknown[] = []
    if (this.#peek() === ']') return array
    for (;;) {
      array.push(this.#value())
      if (this.#peek() === ']') return array
      if (this.#peek() !== ',') this.#fail('a comma or ]')
      this.#at++
    }
  }

  #string(): string {
    const start = this.#at
    let end = start + 1
    for (; this.#text[end] !== '"'; end++) {
      if (end >= this.#text.length) this.#fail('the closing quote of this string')
      if (this.#text[end] === '\\') end++
    }
    try {
      const value: string = JSON.parse(this.#text.slice(start, end + 1))
      this.#at = end + 1
      return value
    } catch {
      return this.#fail('a string without control characters and with valid escapes')
    }
  }

  #word<Value>(word: string, value: Value): Value {
    if (!this.#text.startsWith(word, this.#at)) this.#fail('a value')
    this.#at += word.length
    return value
  }

  #number(): number | bigint {
    NUMBER.lastIndex = this.#at
    const match = NUMBER.exec(this.#text)
    if (match === null) return this.#fail('a value')
    this.#at = NUMBER.lastIndex
    const [literal, fraction, exponent] = match
    const number = Number(literal)
    if (exponent === undefined && (fraction === undefined || WHOLE_FRACTION.test(fraction))) {
      return Number.isSafeInteger(number) ? number : BigInt(literal.slice(0, literal.length - (fraction?.length ?? 0)))
    }
    // Up to 15 significant digits a double tells a whole number from its neighbours.
    return Number.isSafeInteger(number) && literal.length <= 15 ? number : Number.NaN
  }

  #peek(): string | undefined {
    this.#space()
    return this.#text[this.#at]
  }

  #space(): void {
    for (;;) {
      const code = this.#text.charCodeAt(this.#at)
      if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return
      this.#at++
    }
  }

  #fail(expected: string): never {
    const before = this.#text.slice(0, this.#at)
    const line = before.split('\n').length
    const column = this.#at - before.lastIndexOf('\n')
    const got = this.#at < this.#text.length ? JSON.stringify(String.fromCodePoint(this.#text.codePointAt(this.#at)!)) : 'the end'
    throw new Problem('json-invalid', `At line ${line}, column ${column}: expected ${expected}, got ${got}.`)
  }
}
