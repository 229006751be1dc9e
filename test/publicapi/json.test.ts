import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { readJson, writeInteger } from '../../lib/publicapi/json.ts'

const test = suite('publicapi/json')
const runs = { numRuns: Number(process.env.RUNS ?? 500), seed: Number(process.env.SEED ?? 1) }

/** A value, and a text of it with white space wherever JSON has it. */
interface Written {
  readonly value: unknown
  readonly text: string
}

const space = fc.constantFrom('', '', ' ', '\n', '\t ', '\r\n')
const leaf = fc.oneof(
  fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map((value) => ({ value: exact(value), text: String(value) })),
  fc.bigInt({ min: 2n ** 53n - 5n, max: 2n ** 53n + 5n }).map((value) => ({ value: exact(value), text: String(value) })),
  fc.integer().map((value) => ({ value, text: writeInteger(value) })),
  fc.constantFrom('1e3', '1E+3', '10.0', '0.5', '-1.5e300', '1e400').map((text) => ({ value: fraction(text), text })),
  fc.constantFrom('8d3e4f00', '1234567890123456789', ':1.5', ',"1e9', '[ 12345678901234567', '').map((value) => ({
    value,
    text: JSON.stringify(value),
  })),
  fc.constantFrom(true, false, null).map((value) => ({ value, text: JSON.stringify(value) })),
)
const { written } = fc.letrec<{ written: Written }>((tie) => ({
  written: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    fc.tuple(space, leaf, space).map(([before, { value, text }, after]) => ({ value, text: before + text + after })),
    fc
      .array(tie('written'), { maxLength: 4 })
      .map((parts) => ({ value: parts.map(({ value }) => value), text: `[${parts.map(({ text }) => text).join(',')}]` })),
    fc.array(fc.tuple(fc.constantFrom('a', 'b', '1e5'), space, tie('written')), { maxLength: 3 }).map((fields) => ({
      value: Object.fromEntries(fields.map(([key, , { value }]) => [key, value])),
      text: `{${fields.map(([key, space, { text }]) => `${JSON.stringify(key)}${space}:${text}`).join(',')}}`,
    })),
  ),
}))

function exact(value: bigint): number | bigint {
  return Number.isSafeInteger(Number(value)) ? Number(value) : value
}

/** Only what is a whole number beyond doubt is one. */
function fraction(text: string): number {
  return text === '1e3' || text === '1E+3' || text === '10.0' ? Number(text) : Number.NaN
}

test('whole numbers are exact wherever they stand, and others are no numbers', () => {
  fc.assert(
    fc.property(written, ({ value, text }) => {
      const read = readJson(Buffer.from(text))
      assert.equal(shown(read), shown(value), text)
    }),
    runs,
  )
})

/** NaN is not equal to itself, and objects of both readers differ in what they inherit. */
const shown = (value: unknown): string =>
  JSON.stringify(value, (_, part: unknown) =>
    typeof part === 'bigint' ? `bigint ${part}` : Number.isNaN(part) ? 'NaN' : part === 0 ? 0 : part,
  )

test.run()
