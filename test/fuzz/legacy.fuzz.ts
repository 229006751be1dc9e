// Feeds the reader of the original's pushes with bodies that are nearly right: made by the grammar with a strange value here and
// there, then cut, flipped, spliced or left alone. Each is either refused with SYNC_INVALID, or is JSON and holds what JSON.parse
// finds in it, with every number in quotes so that it stays exact.
//
//   node --import tsx test/fuzz/legacy.fuzz.ts --runs 1000000 --seed 1

import { strict as assert } from 'node:assert'
import { pathToFileURL } from 'node:url'
import { parseArgs } from 'node:util'
import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { LegacyReader } from '../../lib/syncsrv/legacy-codec.ts'

export interface Outcome {
  refused: number
  accepted: number
  totals: number
}

/** Throws with the seed and the body when the reader breaks a promise. */
export function fuzzLegacy(runs: number, seed: number): Outcome {
  const random = seededRandom(seed)
  const outcome: Outcome = { refused: 0, accepted: 0, totals: 0 }
  let previous: Uint8Array = new Uint8Array(0)
  for (let run = 0; run < runs; run++) {
    const whole = Buffer.from(bodyOf(random))
    const body = damage(random, whole, previous)
    previous = whole
    try {
      const totals = read(body)
      if (totals === undefined) outcome.refused++
      else {
        outcome.totals += totals.length
        assert.deepEqual(totals, naive(body.toString()))
      }
    } catch (error) {
      throw new Error(`seed ${seed}, run ${run}, body ${body.toString('latin1')}`, { cause: error })
    }
  }
  outcome.accepted = runs - outcome.refused
  return outcome
}

type Total = readonly [key: bigint, slot: number, total: bigint]

const join = (low: number, high: number): bigint => (BigInt(high) << 32n) | BigInt(low)

/** undefined: refused. */
function read(body: Uint8Array): Total[] | undefined {
  const totals: Total[] = []
  const reader = new LegacyReader(body)
  try {
    while (reader.next()) {
      for (let at = 0; at < reader.count; at++) {
        const { keys, slots, words } = reader
        totals.push([join(keys[at * 2]!, keys[at * 2 + 1]!), slots[at]!, join(words[at * 2]!, words[at * 2 + 1]!)])
      }
    }
  } catch (error) {
    assert(error instanceof CounterError && error.code === 'SYNC_INVALID', `threw ${error}`)
    return undefined
  }
  return totals
}

function naive(body: string): Total[] {
  const quoted = body.replace(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*/g, (found) => (/^\d+$/.test(found) ? `"${found}"` : found))
  const entries: { hash_keyword: string; totals?: string[] | null }[] | null = JSON.parse(quoted)
  return (entries ?? []).flatMap(({ hash_keyword, totals }) =>
    (totals ?? []).flatMap((total, slot): Total[] => (BigInt(total) > 0n ? [[BigInt(hash_keyword), slot, BigInt(total)]] : [])),
  )
}

const NUMBERS = ['0', '1', '7', '42', '4294967295', '4294967296', '9007199254740993', '18446744073709551615', '1000000000']
const BAD_NUMBERS = ['-1', '1.5', '2e3', '01', '18446744073709551616', '999999999999999999999', 'null', '"1"', '', '[', '--']
const OTHERS = ['null', 'true', '"x"', '"\\u00e9\\""', '{}', '[]', '{"a":[null,{"b":"c"}]}', '[[[]]]', '-1.5e3']

function bodyOf(random: Random): string {
  const below = (limit: number): number => random.uint32() % limit
  const rarity = [0, 0, 10, 40][below(4)]!
  const number = (): string => (rarity > 0 && below(rarity) === 0 ? one(BAD_NUMBERS) : one(NUMBERS))
  const one = (from: readonly string[]): string => from[below(from.length)]!
  const space = (): string => (below(12) === 0 ? one([' ', '\n', '\t ', '\r\n']) : '')
  const entry = (): string => {
    const fields = [`"hash_keyword"${space()}:${space()}${number()}`]
    const totals = Array.from({ length: below(5) }, () => `${space()}${number()}${space()}`).join(',')
    if (below(8) > 0) fields.push(`"totals":${space()}${below(10) === 0 ? 'null' : `[${totals}]`}`)
    if (below(4) === 0) fields.push(`"${one(['more', 'x', 'Totals', 'hash_keywords'])}":${one(OTHERS)}`)
    return `{${(below(2) === 0 ? fields : fields.reverse()).join(`${space()},${space()}`)}${space()}}`
  }
  if (below(20) === 0) return `${space()}null${space()}`
  return `${space()}[${Array.from({ length: below(4) }, entry).join(`${space()},`)}${space()}]${space()}`
}

/** Leaves every other body as it is, and cuts, flips, fills or splices the rest. */
function damage(random: Random, whole: Uint8Array, previous: Uint8Array): Buffer {
  const bytes = Buffer.from(whole)
  const at = random.uint32() % (bytes.length + 1)
  switch (random.uint32() % 8) {
    case 0:
      return bytes.subarray(0, at)
    case 1:
      if (at < bytes.length) bytes[at]! ^= 1 << (random.uint32() % 7)
      return bytes
    case 2:
      return bytes.fill('0,]}["\\ '.charCodeAt(random.uint32() % 8), at, Math.min(bytes.length, at + 1 + (random.uint32() % 4)))
    case 3:
      return Buffer.concat([bytes.subarray(0, at), previous.subarray(random.uint32() % (previous.length + 1))])
    default:
      return bytes
  }
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { values } = parseArgs({
    options: { runs: { type: 'string', default: '1000000' }, seed: { type: 'string', default: '1' } },
  })
  const outcome = fuzzLegacy(Number(values.runs), Number(values.seed))
  console.log(`seed ${values.seed}, ${values.runs} runs:`, JSON.stringify(outcome))
}
