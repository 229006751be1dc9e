import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { barOf, type Meter, wordsOf } from '../../lib/loading/index.ts'

const test = suite('loading/meter')

const HALF: Meter = { bytesMax: 1000, bytes: 500, bytesBefore: 0, items: 50, itemsSince: 50, elapsedMs: 2000, skipped: 0 }

test('a line says how far it is, how fast, and how long it will take', () => {
  assert.is(wordsOf(HALF), '50%, 50 items, 25 items/s, 2 s left')
  assert.is(wordsOf({ ...HALF, bytesMax: undefined, skipped: 1 }), '50 items, 25 items/s, 1 line left out')
  assert.is(wordsOf({ ...HALF, bytes: 0, items: 0, itemsSince: 0, elapsedMs: 0 }), '0%, 0 items')
  assert.is(wordsOf({ ...HALF, bytesBefore: 400, items: 50, itemsSince: 10 }), '50%, 50 items, 5 items/s, 10 s left')
  assert.is(wordsOf({ ...HALF, bytesMax: 0, bytes: 0, items: 0, itemsSince: 0, skipped: 2 }), '100%, 0 items, 2 lines left out')
})

test('the bar fills with the file, and no line is wider than the terminal', () => {
  assert.is(barOf(HALF, 80), `[${'#'.repeat(15)}${'.'.repeat(15)}] ${wordsOf(HALF)}`)
  assert.is(barOf({ ...HALF, bytes: 1000 }, 80).indexOf('.'), -1)
  for (let columns = 0; columns < 100; columns++) assert.ok(barOf(HALF, columns).length <= columns)
})

test.run()
