import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import {
  BATCH_BYTES_MAX,
  BATCH_ITEMS_MAX,
  type BadLine,
  begin,
  decodeProgress,
  encodeProgress,
  type LoadEnd,
  load,
  type Progress,
  startOf,
  type Window,
} from '../../lib/loading/index.ts'
import { ITEMS_MAX, JSON_BYTES_MAX } from '../../lib/publicapi/contract/values.ts'
import { csv, ndjson, piecesOf } from './files.ts'

const test = suite('loading/load')
const runs = { seed: Number(process.env.SEED ?? 1) }
const NODES = ['http://a', 'http://b']

interface Run {
  readonly text: string
  readonly format?: 'ndjson' | 'csv'
  readonly batch?: number
  readonly concurrency?: number
  readonly skipBad?: boolean
  readonly pieceBytes?: number
  readonly progress?: Progress
  readonly stop?: AbortSignal
  /** Stands in the place of a cluster that takes everything. */
  readonly send?: (window: Window) => Promise<void>
  readonly save?: (progress: Progress) => Promise<void>
}

interface Ran extends LoadEnd {
  /** What was saved, in order, as the file has it. */
  readonly saved: string[]
  readonly sent: Window[]
  readonly bad: BadLine[]
}

async function run(given: Run): Promise<Ran> {
  const { text, format = 'ndjson', batch = 2, concurrency = 2, skipBad = false, pieceBytes = 10 } = given
  const progress = given.progress ?? begin({ load: 'load-1', format, batch, nodes: NODES })
  const saved: string[] = []
  const sent: Window[] = []
  const bad: BadLine[] = []
  const end = await load({
    name: 'items',
    progress,
    source: piecesOf(text, pieceBytes, startOf(progress)),
    nameBytesMax: 64,
    concurrency,
    skipBad,
    saveIntervalMs: 0,
    clock: { monotonicMs: () => 0 },
    async send(window) {
      sent.push(window)
      await given.send?.(window)
    },
    async save(progress) {
      saved.push(encodeProgress(progress))
      await given.save?.(progress)
    },
    onProgress: (_, left) => void bad.push(...left),
    stop: given.stop ?? new AbortController().signal,
  })
  const { isWhole, failure } = end
  return { progress: end.progress, isWhole, failure, saved, sent, bad }
}

const items = (count: number, tenant = 't') => Array.from({ length: count }, (_, index) => ({ id: `i${index}`, tenant }))
const idsOf = (windows: readonly Window[]): string[][] => windows.map((window) => window.items.map(({ id }) => id))

test('a file goes out in windows of a batch for each node, and the last holds the rest', async () => {
  for (const [format, write] of [
    ['ndjson', ndjson],
    ['csv', csv],
  ] as const) {
    const { isWhole, failure, sent, progress } = await run({ text: write(items(11)), format })
    assert.is(failure, undefined)
    assert.ok(isWhole)
    assert.equal(idsOf(sent), [
      ['i0', 'i1', 'i2', 'i3'],
      ['i4', 'i5', 'i6', 'i7'],
      ['i8', 'i9', 'i10'],
    ])
    assert.equal([progress.items, progress.offset], [11, write(items(11)).length])
  }
})

test('a file without items is loaded at once, and nothing is sent', async () => {
  for (const text of ['', '\n\n', '\n', ' \n']) {
    const { isWhole, sent, progress } = await run({ text })
    assert.equal([isWhole, sent.length, progress.items, progress.skipped], [true, 0, 0, 0], JSON.stringify(text))
  }
})

test('the keys are of this load, this place and this content', async () => {
  const keys = async (text: string, load = 'load-1') => {
    const progress = begin({ load, format: 'ndjson', batch: 1, nodes: ['http://a'] })
    return (await run({ text, progress })).sent.map(({ key }) => key)
  }
  const text = ndjson([...items(2), ...items(2)])
  const first = await keys(text)
  assert.is(new Set(first).size, 4)
  assert.equal(await keys(text), first)
  for (const key of first) assert.match(key, /^[\x21-\x7e]{10,200}$/)
  const other = await keys(text, 'load-2')
  assert.not(other.some((key) => first.includes(key)))
  assert.not((await keys(ndjson(items(2, 'u')))).some((key) => first.includes(key)))
})

test('a bad line ends the load: nothing of its batch is sent, all in front of it is', async () => {
  const text = `${ndjson(items(5))}{"id":"x"}\n${ndjson(items(9))}`
  const { isWhole, failure, sent, progress, saved } = await run({ text })
  assert.not(isWhole)
  assert.instance(failure, CounterError)
  const { code, message, fix } = failure as CounterError
  assert.is(code, 'LOAD_INVALID')
  assert.match(message, 'items, line 6: expected a string or an integer as tenant. Nothing of its batch was sent')
  assert.match(fix!, '--skip-bad')
  assert.equal(idsOf(sent), [['i0', 'i1', 'i2', 'i3']])
  assert.equal([progress.items, progress.line], [4, 5])
  assert.is(encodeProgress(decodeProgress(saved.at(-1)!, 'f')), encodeProgress(progress))
})

test('with skipBad bad lines are left out, told and counted', async () => {
  const text = `${ndjson(items(1))}x\n\n${ndjson(items(6)).replace('"i3"', '""')}y\n`
  const { isWhole, sent, bad, progress } = await run({ text, skipBad: true })
  assert.ok(isWhole)
  assert.equal(idsOf(sent), [
    ['i0', 'i0', 'i1', 'i2'],
    ['i4', 'i5'],
  ])
  assert.equal(
    bad.map(({ line }) => line),
    [2, 7, 10],
  )
  assert.equal([progress.items, progress.skipped], [6, 3])
  const nothing = await run({ text: 'x\ny\n', skipBad: true })
  assert.equal([nothing.sent.length, nothing.progress.skipped, nothing.isWhole], [0, 2, true])
})

test('so many windows are under way at once, and no more', async () => {
  for (const concurrency of [1, 3]) {
    let [underWay, most] = [0, 0]
    const send = async () => {
      most = Math.max(most, ++underWay)
      await new Promise((done) => setImmediate(done))
      underWay--
    }
    const { isWhole } = await run({ text: ndjson(items(40)), concurrency, send })
    assert.ok(isWhole)
    assert.is(most, concurrency)
    assert.is(underWay, 0)
  }
})

test('the progress never passes a window that is not taken', async () => {
  let release = (): void => {}
  let isHeld = true
  let taken = 0
  const held = new Promise<void>((done) => {
    release = done
  })
  const running = run({
    text: ndjson(items(20)),
    concurrency: 3,
    async send({ start }) {
      if (start === 0) await held
      else taken++
    },
    async save(progress) {
      if (isHeld) assert.equal([progress.items, progress.offset], [0, 0])
    },
  })
  while (taken < 4) await new Promise((done) => setImmediate(done))
  for (let turn = 0; turn < 10; turn++) await new Promise((done) => setImmediate(done))
  isHeld = false
  release()
  const { progress, failure } = await running
  assert.is(failure, undefined)
  assert.is(progress.items, 20)
})

test('what fails ends the load when all that is under way has ended, and is told', async () => {
  let ended = 0
  const { failure, isWhole, sent, progress } = await run({
    text: ndjson(items(40)),
    concurrency: 3,
    async send({ start }) {
      for (let turn = 0; turn < 3; turn++) await new Promise((done) => setImmediate(done))
      ended++
      if (start > 0) throw new Error('the node is gone')
    },
  })
  assert.not(isWhole)
  assert.match(String(failure), 'the node is gone')
  assert.is(ended, sent.length)
  assert.is(progress.items, 4)
})

test('a progress that cannot be saved ends the load before anything is sent', async () => {
  const save = () => Promise.reject(new Error('ENOSPC'))
  const { failure, sent } = await run({ text: ndjson(items(9)), save })
  assert.match(String(failure), 'ENOSPC')
  assert.is(sent.length, 0)
})

test('when it is stopped nothing more is begun, even while it waits for more of the file', async () => {
  const stop = new AbortController()
  const stopped = await run({ text: ndjson(items(40)), concurrency: 1, stop: stop.signal, send: async () => stop.abort() })
  assert.equal([stopped.isWhole, stopped.failure, stopped.sent.length, stopped.progress.items], [false, undefined, 1, 4])
})

test('what it waits for from a source that gives no more is let go of, when it is stopped and when it fails', async () => {
  const stop = new AbortController()
  async function* endless(): AsyncGenerator<Uint8Array, void> {
    yield Buffer.from(ndjson(items(4)))
    setImmediate(() => stop.abort())
    await new Promise(() => {})
  }
  const common = {
    name: '-',
    progress: begin({ load: 'l', format: 'ndjson', batch: 2, nodes: NODES }),
    nameBytesMax: 64,
    concurrency: 1,
    skipBad: false,
    saveIntervalMs: 0,
    clock: { monotonicMs: () => 0 },
    save: async () => {},
    onProgress: () => {},
  } as const
  const stopped = await load({ ...common, source: endless(), send: async () => {}, stop: stop.signal })
  assert.equal([stopped.isWhole, stopped.failure, stopped.progress.items], [false, undefined, 4])
  const send = () => Promise.reject(new Error('refused'))
  const failed = await load({ ...common, source: endless(), send, stop: new AbortController().signal })
  assert.equal([failed.isWhole, String(failed.failure), failed.progress.items], [false, 'Error: refused', 0])
})

test('another file, or one that has become shorter, is not gone on with', async () => {
  const stop = new AbortController()
  const { progress } = await run({ text: ndjson(items(40)), stop: stop.signal, concurrency: 1, send: async () => stop.abort() })
  for (const text of [ndjson(items(40, 'u')), ndjson(items(2)), '', ndjson(items(40)).replaceAll('\n', '\r\n')]) {
    const { failure, sent } = await run({ text, progress })
    assert.is((failure as CounterError | undefined)?.code, 'RESUME_INVALID', text.slice(0, 40))
    assert.is(sent.length, 0)
  }
  const { isWhole, sent } = await run({ text: ndjson(items(42)), progress })
  assert.ok(isWhole, 'a file that has grown is gone on with')
  assert.is(sent.flatMap(({ items }) => items).length, 38)
})

test('stopped, killed and failed at any time, and taken up again each time, every batch is taken once', async () => {
  const names = fc.constantFrom('a', 'b,c', 'd\ne', '"', 'ä')
  const scenario = fc.record({
    items: fc.array(fc.record({ id: names, tenant: names }), { minLength: 1, maxLength: 40 }),
    format: fc.constantFrom('ndjson' as const, 'csv' as const),
    batch: fc.integer({ min: 1, max: 4 }),
    concurrency: fc.integer({ min: 1, max: 4 }),
    pieceBytes: fc.integer({ min: 1, max: 60 }),
    /** What comes of a request: it is taken, taken and its answer lost, or refused. */
    fates: fc.array(fc.constantFrom('taken', 'lost', 'refused', 'killed'), { maxLength: 30 }),
  })
  await fc.assert(
    fc.asyncProperty(scenario, async ({ items, format, batch, concurrency, pieceBytes, fates }) => {
      const text = (format === 'csv' ? csv : ndjson)(items)
      const taken = new Map<string, Window>()
      let progress = begin({ load: 'l', format, batch, nodes: NODES })
      const left = [...fates]
      for (let life = 0; ; life++) {
        assert.ok(life <= fates.length)
        let kept: string | undefined
        let wasKilled = false
        const end = await run({
          text,
          progress,
          concurrency,
          pieceBytes,
          async send(window) {
            await new Promise((done) => setImmediate(done))
            const fate = left.shift() ?? 'taken'
            if (fate !== 'refused') taken.set(window.key, window)
            if (fate === 'killed') wasKilled = true
            if (fate !== 'taken') throw new Error(fate)
          },
          async save(progress) {
            // A process that was killed has saved no more.
            if (!wasKilled) kept = encodeProgress(progress)
          },
        })
        if (end.isWhole) break
        if (kept !== undefined) progress = decodeProgress(kept, 'items.progress')
      }
      const all = [...taken.values()].sort((a, b) => a.start - b.start).flatMap((window) => window.items)
      assert.equal(
        all.map(({ id, tenant }) => [id, tenant]),
        items.map(({ id, tenant }) => [id, tenant]),
      )
    }),
    runs,
  )
})

test('even a window that goes to one node is a request that the API takes', async () => {
  assert.is(BATCH_ITEMS_MAX, ITEMS_MAX)
  assert.is(BATCH_BYTES_MAX, JSON_BYTES_MAX)
  const wide = Array.from({ length: 6000 }, (_, index) => ({ id: `${'\u0001'.repeat(50)}${index}`, tenant: 'ä'.repeat(20) }))
  const { sent, isWhole } = await run({ text: ndjson(wide), batch: 10_000, pieceBytes: 1 << 16 })
  assert.ok(isWhole)
  assert.ok(sent.length > 1)
  for (const { items } of sent) {
    const body = JSON.stringify({ items: items.map(({ id, tenant }) => ({ id, tenant })) })
    assert.ok(Buffer.byteLength(body) <= JSON_BYTES_MAX)
  }
  assert.is(sent.flatMap(({ items }) => items).length, 6000)
})

test.run()
