// How a setting's text becomes a value: one kind for each type of setting, with its range.
// A kind is total: text gives a value or an Error that says what was expected, never what was given (it may be a secret).

import { isIP } from 'node:net'

/** Reads one type of setting. */
export interface Kind<T> {
  /** The type as the documentation shows it, with its range. */
  readonly text: string
  /** @throws Error with what was expected, written to follow the setting's name. */
  read(text: string): T
}

const MS: Record<string, number> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }
const BYTES: Record<string, number> = { B: 1, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 }

/** A whole number in [min, max]. */
export function wholeNumber(min: number, max: number): Kind<number> {
  const text = max === Number.MAX_SAFE_INTEGER ? `whole number from ${min}` : `whole number from ${min} to ${max}`
  return {
    text,
    read(value) {
      const number = /^\d{1,16}$/.test(value) ? Number(value) : Number.NaN
      if (number >= min && number <= max) return number
      throw new Error(`should be a ${text}`)
    },
  }
}

export const port = wholeNumber(0, 65_535)

/** A length of time in milliseconds, written `500ms`, `5s`, `10m`, `24h` or `7d`; min and max are written so too. */
export function duration(min: string, max: string): Kind<number> {
  return withUnit('duration such as 500ms, 5s, 10m or 24h', MS, min, max)
}

/** A size in bytes, written `512KiB`, `64MiB`, `1GiB` or as plain bytes; min and max are written so too. */
export function byteSize(min: string, max: string): Kind<number> {
  return withUnit('size such as 512KiB, 64MiB or 1GiB', { ...BYTES, '': 1 }, min, max)
}

function withUnit(what: string, units: Record<string, number>, min: string, max: string): Kind<number> {
  const parse = (text: string): number => {
    const match = /^(\d{1,15})([A-Za-z]*)$/.exec(text)
    if (match === null) return Number.NaN
    const unit = match[1] === '0' && match[2] === '' ? 1 : units[match[2]!]
    return unit === undefined ? Number.NaN : Number(match[1]) * unit
  }
  const [least, most] = [parse(min), parse(max)]
  return {
    text: `${what.split(' ')[0]} from ${min} to ${max}`,
    read(text) {
      const value = parse(text)
      if (value >= least && value <= most) return value
      throw new Error(`should be a ${what}, from ${min} to ${max}`)
    },
  }
}

/** One of a few words. */
export function oneOf<const T extends string>(...words: T[]): Kind<T> {
  return {
    text: words.map((word) => `\`${word}\``).join(', '),
    read(text) {
      const found = words.find((word) => word === text)
      if (found !== undefined) return found
      throw new Error(`should be one of ${words.join(', ')}`)
    },
  }
}

/** A path or the like: any text without control characters. */
export const text: Kind<string> = {
  text: 'text',
  read(value) {
    if (/^[^\p{Cc}]+$/u.test(value)) return value
    throw new Error('should be text without control characters')
  },
}

/** A name or address to listen on. */
export const host: Kind<string> = {
  text: 'host name or IP address',
  read(value) {
    if (isIP(value) !== 0 || /^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(value)) return value
    throw new Error('should be a host name or an IP address, without a port')
  },
}

/** A secret that is sent in a header: visible ASCII, long enough not to be guessed. */
export const token: Kind<string> = {
  text: 'text of 16 to 512 visible ASCII characters',
  read(value) {
    if (/^[!-~]{16,512}$/.test(value)) return value
    throw new Error('should be 16 to 512 visible ASCII characters without spaces')
  },
}

/** A seed: one address, a name that resolves to several (`dns+`), or a node of the original system (`legacy+`). */
const SEED = /^(dns\+|legacy\+)?(https?:\/\/.*)$/

/** Seeds with commas between; each is kept without a slash at its end. */
export const seedList: Kind<readonly string[]> = {
  text: 'base URLs with commas between, each `http(s)://`, `dns+http(s)://` or `legacy+http://`',
  read(value) {
    return list(
      value,
      (part) => {
        const [, prefix = '', url] = SEED.exec(part) ?? []
        const base = url === undefined ? undefined : baseUrlOf(url)
        if (base !== undefined && !(prefix === 'legacy+' && base.startsWith('https:'))) return prefix + base
        return undefined
      },
      'should be base URLs such as http://b.example:3001 or dns+http://counter:3001 with commas between',
    )
  },
}

/** Shards with commas between; the replicas of one with bars between. No address comes twice. */
export const shardList: Kind<readonly (readonly string[])[]> = {
  text: 'base URLs with commas between the shards and `|` between the replicas of one',
  read(value) {
    const seen = new Set<string>()
    const shards = list(
      value,
      (part) => {
        const replicas = part.split('|').map((url) => baseUrlOf(url.trim()))
        const isNew = (url: string | undefined): url is string =>
          url !== undefined && !seen.has(url) && seen.add(url) !== undefined
        return replicas.every(isNew) ? part : undefined
      },
      'should be base URLs of public ports such as http://a:3000,http://b1:3000|http://b2:3000, each once',
    )
    return Object.freeze(shards.map((part) => Object.freeze(part.split('|').map((url) => baseUrlOf(url.trim())!))))
  },
}

/** A base URL, kept without a slash at its end. */
export const baseUrl: Kind<string> = {
  text: 'base URL such as `http://b.example:3001`',
  read(value) {
    const base = baseUrlOf(value)
    if (base !== undefined) return base
    throw new Error('should be a http(s) base URL such as http://b.example:3001')
  },
}

/** Base URLs with commas between, each kept without a slash at its end. */
export const baseUrlList: Kind<readonly string[]> = {
  text: 'base URLs with commas between',
  read: (value) =>
    list(value, baseUrlOf, 'should be http(s) base URLs such as http://a.example:2379,http://b.example:2379 with commas between'),
}

/** Networks in CIDR form with commas between. */
export const networkList: Kind<readonly string[]> = {
  text: 'networks such as `10.0.0.0/8` with commas between',
  read: (value) =>
    list(
      value,
      (part) => (isNetwork(part) ? part : undefined),
      'should be networks such as 10.0.0.0/8 or fd00::/8 with commas between',
    ),
}

function list(value: string, read: (part: string) => string | undefined, expected: string): readonly string[] {
  const parts = value.split(',').map((part) => part.trim())
  const found = parts
    .filter((part) => part !== '')
    .map((part, index) => {
      const entry = read(part)
      if (entry === undefined) throw new Error(`${expected}; number ${index + 1} is not`)
      return entry
    })
  return Object.freeze(found)
}

function baseUrlOf(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined
  const fits =
    url && /^https?:$/.test(url.protocol) && url.pathname === '/' && !url.username && !url.password && !url.search && !url.hash
  return fits ? url.origin : undefined
}

function isNetwork(text: string): boolean {
  const [, address, bits] = /^(.+)\/(\d{1,3})$/.exec(text) ?? []
  const family = address === undefined ? 0 : isIP(address)
  return family !== 0 && Number(bits) <= (family === 4 ? 32 : 128)
}
