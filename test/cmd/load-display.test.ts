import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LoadDisplay, type Screen } from '../../cmd/load-display.ts'
import { begin } from '../../lib/loading/index.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const test = suite('cmd/load-display')

/** To the start of the line, and nothing behind it. */
const CLEAR = '\r\x1b[K'
const BEFORE = begin({ load: 'l', format: 'csv', batch: 10, nodes: ['http://a'] })

function displayOn(screen: Omit<Screen, 'write'>) {
  const written: string[] = []
  const clock = new VirtualClock()
  const display = new LoadDisplay('a.csv', BEFORE, 1000, { ...screen, write: (text: string) => written.push(text) }, clock)
  return { display, clock, written }
}

test('on a terminal a bar is drawn over itself ten times a second, and taken away at the end', () => {
  for (const columns of [80, 0]) {
    const { display, clock, written } = displayOn({ isTTY: true, columns })
    assert.not(clock.advance(99))
    display.show({ ...BEFORE, offset: 500, items: 50 }, [])
    assert.ok(clock.advance(100))
    assert.equal(written, [`${CLEAR}[${'#'.repeat(15)}${'.'.repeat(15)}] 50%, 50 items, 500 items/s, 1 s left`])
    assert.ok(clock.advance(100))
    assert.is(written.length, 2)
    display.end()
    assert.not(clock.advance())
    assert.equal(written.slice(2), [CLEAR])
  }
})

test('elsewhere there is a line now and then', () => {
  const { display, clock, written } = displayOn({})
  display.show({ ...BEFORE, offset: 100, items: 10 }, [])
  assert.not(clock.advance(4999))
  assert.ok(clock.advance(5000))
  assert.equal(written, ['a.csv: 10%, 10 items, 2 items/s, 45 s left\n'])
  display.end()
  assert.not(clock.advance())
  assert.is(written.length, 1)
})

test('lines that are left out stand above the bar, twenty of them', () => {
  const { display, written } = displayOn({ isTTY: true, columns: 80 })
  const bad = Array.from({ length: 25 }, (_, index) => ({ line: index + 2, reason: 'the id is empty' }))
  display.show({ ...BEFORE, skipped: 10 }, bad.slice(0, 10))
  display.show({ ...BEFORE, skipped: 25 }, bad.slice(10))
  assert.is(written.length, 21)
  assert.is(written[0], `${CLEAR}a.csv, line 2, is left out: the id is empty\n`)
  assert.match(written[20]!, 'further lines that are left out are only counted')
})

test.run()
