// The first screen of a node, and its log lines for people.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type BannerFacts, banner } from '../../cmd/banner.ts'
import { asText } from '../../cmd/log.ts'

const test = suite('cmd/banner')

const FACTS: BannerFacts = {
  version: '1.2.3',
  nodeId: 0,
  dataDir: './data',
  names: 0,
  items: 0,
  recoveredMs: 2,
  url: 'http://127.0.0.1:3000',
  hasToken: false,
  syncUrl: 'http://127.0.0.1:3001',
  fsync: 'always',
  seeds: [],
}

test('a new node says what it is, where it answers and what to try', () => {
  const expected = `counter 1.2.3  node 0  data ./data (empty)
  API        http://127.0.0.1:3000/v1
  Swagger    http://127.0.0.1:3000/swagger
  Metrics    http://127.0.0.1:3000/metrics
  Sync       http://127.0.0.1:3001  (no seeds: others may join)
  Try        curl -d 'to be or not to be' http://127.0.0.1:3000/keywords
`
  assert.is(banner(FACTS), expected)
})

test('a node that was there before says what it recovered', () => {
  assert.match(banner({ ...FACTS, names: 12345, recoveredMs: 840 }), '(12,345 names, read in 0.8 s)')
  assert.match(banner({ ...FACTS, items: 1000, recoveredMs: 840 }), '(0 names, 1,000 items, read in 0.8 s)')
})

test('with a token the line to try brings it, by its variable', () => {
  assert.match(banner({ ...FACTS, hasToken: true }), 'curl -H "Authorization: Bearer $COUNTER_TOKEN" -d')
})

test('the sync port with its seeds and a relaxed fsync are spoken of plainly', () => {
  assert.match(banner({ ...FACTS, seeds: ['http://b.example'] }), 'seeds: http://b.example')
  assert.match(banner({ ...FACTS, fsync: 'never' }), 'a power cut may lose')
})

test('a log line for people has time, level, message and fields', () => {
  const line = JSON.stringify({
    level: 'info',
    time: '2026-01-02T03:04:05.678Z',
    node: 0,
    url: 'http://x',
    count: 2,
    msg: 'listens',
  })
  assert.is(asText(line), '03:04:05 info  listens  url=http://x  count=2\n')
  const failed = JSON.stringify({
    level: 'error',
    time: '2026-01-02T03:04:05.678Z',
    msg: 'failed',
    err: { stack: 'Error: x\n    at y' },
  })
  assert.match(asText(failed), 'failed\nError: x\n    at y')
  const err = { type: 'CounterError', message: 'the disk is full', code: 'DISK_FULL', fix: 'free some space', stack: 'x\n at y' }
  const operating = JSON.stringify({ level: 'warn', time: '2026-01-02T03:04:05.678Z', msg: 'is refused', err })
  assert.is(asText(operating), '03:04:05 warn  is refused\n  because: the disk is full [DISK_FULL]\n  free some space\n')
})

test.run()
