import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { begin, decodeProgress, encodeProgress, goOn } from '../../lib/loading/index.ts'

const test = suite('loading/progress')

const PLAN = { load: 'l', format: 'csv', batch: 1000, nodes: ['http://a', 'http://b'] } as const
const PROGRESS = {
  ...begin(PLAN),
  offset: 90,
  line: 7,
  items: 5,
  skipped: 1,
  columns: { id: 1, tenant: 0, count: 3 },
  mark: { start: 80, line: 6, sha256: 'x' },
}

const codeOf = (task: () => unknown): string => {
  try {
    task()
  } catch (error) {
    if (error instanceof CounterError) return error.code
    throw error
  }
  return 'none'
}

test('what was written is read', () => {
  for (const progress of [begin(PLAN), PROGRESS]) {
    const { version, ...read } = decodeProgress(encodeProgress(progress), 'f') as typeof progress & { version: number }
    assert.is(version, 1)
    assert.equal(read, JSON.parse(JSON.stringify(progress)))
  }
})

test('whatever is no progress is refused', () => {
  const changed: object[] = [
    { version: 2 },
    { load: '' },
    { format: 'xml' },
    { batch: 0 },
    { nodes: [] },
    { nodes: [1] },
    { offset: -1 },
    { offset: 1.5 },
    { line: '7' },
    { items: null },
    { skipped: undefined },
    { columns: { id: 3, tenant: 0, count: 3 } },
    { columns: { id: 0, tenant: 0, count: 3 } },
    { columns: null },
    { mark: undefined },
    { mark: { start: 90, line: 6, sha256: 'x' } },
    { mark: { start: 80, sha256: 'x' } },
  ]
  for (const change of changed) {
    const text = JSON.stringify({ version: 1, ...PROGRESS, ...change })
    assert.is(
      codeOf(() => decodeProgress(text, 'f')),
      'RESUME_INVALID',
      text,
    )
  }
  for (const text of ['', 'x', 'null', '[]', '1', encodeProgress(PROGRESS).slice(0, -5)]) {
    assert.is(
      codeOf(() => decodeProgress(text, 'f')),
      'RESUME_INVALID',
      text,
    )
  }
})

test('a load goes on with what it was begun with, and the message says with what', () => {
  assert.is(goOn(PROGRESS, PLAN, 'f'), PROGRESS)
  const cases: Array<[change: object, told: string]> = [
    [{ format: 'ndjson' }, 'begun with --format csv'],
    [{ batch: 10 }, 'begun with --batch 1000'],
    [{ nodes: ['http://b', 'http://a'] }, 'begun with --url http://a,http://b'],
  ]
  for (const [change, told] of cases) {
    try {
      goOn(PROGRESS, { ...PLAN, ...change }, 'f')
      assert.unreachable()
    } catch (error) {
      assert.is((error as CounterError).code, 'RESUME_INVALID')
      assert.match((error as CounterError).message, told)
    }
  }
})

test('a load of which nothing was taken is begun anew with another plan', () => {
  const other = { ...PLAN, load: 'm', nodes: ['http://c'] }
  assert.equal(goOn(begin(PLAN), other, 'f'), begin(other))
  const begun = begin(PLAN)
  assert.is(goOn(begun, { ...PLAN, load: 'm' }, 'f'), begun, 'what may be under way is repeated under its keys')
})

test.run()
