// Seeds: what they may say, what they stand for now, and what stands when they cannot be looked up.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Lookup, parseSeed, Seeds, systemLookup } from '../../lib/syncsrv/seeds.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const test = suite('syncsrv/seeds')

/** Names that a test changes; a name without an entry cannot be looked up. */
class Names {
  readonly addresses = new Map<string, string[]>()
  readonly asked: string[] = []
  readonly lookup: Lookup = async (host) => {
    this.asked.push(host)
    const found = this.addresses.get(host)
    if (found === undefined) throw new Error(`ENOTFOUND ${host}`)
    return found
  }
}

function open(seeds: readonly string[], names: { lookup: Lookup } = new Names()) {
  const clock = new VirtualClock()
  const said: string[] = []
  const say = (_fields: object, message: string) => void said.push(message)
  const logger = { debug: say, info: say, warn: say, error: say }
  return { clock, said, seeds: new Seeds({ seeds, lookup: names.lookup, lookupTimeoutMs: 2000, clock, logger }) }
}

test('a plain seed is itself, whether its name can be looked up or not', async () => {
  const { seeds } = open(['http://b.example:3001/', 'https://10.0.0.3:3001', 'http://b.example:3001'])
  assert.equal(await seeds.resolve(), ['http://b.example:3001', 'https://10.0.0.3:3001'])
})

test('a dns seed is all addresses of its name, each once and in order', async () => {
  const names = new Names()
  names.addresses.set('counter.internal', ['10.0.0.9', '10.0.0.10', '10.0.0.9', '::ffff:10.0.0.10', 'fd00::5', 'fe80::1%eth0'])
  const { seeds } = open(['dns+http://counter.internal:3001', 'DNS+https://10.0.0.4:1'], names)
  assert.equal(await seeds.resolve(), [
    'http://10.0.0.10:3001',
    'http://10.0.0.9:3001',
    'http://[fd00::5]:3001',
    'https://10.0.0.4:1',
  ])
})

test('a name is looked up each time, and the last good answer stands while that fails', async () => {
  const names = new Names()
  const { seeds, said } = open(['dns+http://counter.internal:3001'], names)
  assert.equal(await seeds.resolve(), [])
  names.addresses.set('counter.internal', ['10.0.0.1'])
  assert.equal(await seeds.resolve(), ['http://10.0.0.1:3001'])
  names.addresses.set('counter.internal', ['10.0.0.2'])
  assert.equal(await seeds.resolve(), ['http://10.0.0.2:3001'])
  names.addresses.delete('counter.internal')
  assert.equal(await seeds.resolve(), ['http://10.0.0.2:3001'])
  names.addresses.set('counter.internal', [])
  assert.equal(await seeds.resolve(), ['http://10.0.0.2:3001'], 'no address is a failure too')
  assert.is(names.asked.length, 5)
  assert.equal(said, ['a seed could not be looked up', 'a seed has addresses again', 'a seed could not be looked up'])
})

test('a look-up that hangs is given up, is not begun twice, and counts when it comes after all', async () => {
  let [begun, answer] = [0, (_addresses: readonly string[]): void => {}]
  const lookup: Lookup = () => {
    begun++
    return new Promise((resolve) => (answer = resolve))
  }
  const { seeds, clock } = open(['dns+http://counter.internal:3001'], { lookup })
  for (let time = 0; time < 3; time++) {
    const resolving = seeds.resolve()
    assert.ok(clock.advance(2000))
    assert.equal(await resolving, [])
  }
  assert.is(begun, 1)
  const resolving = seeds.resolve()
  answer(['10.0.0.1'])
  assert.equal(await resolving, ['http://10.0.0.1:3001'])
  assert.not.ok(clock.advance(), 'no timer is left')
})

test('hosts and addresses of seeds are known, those of originals are not', async () => {
  const names = new Names()
  names.addresses.set('b.example', ['10.0.0.1'])
  names.addresses.set('c.example', ['::ffff:10.0.0.2'])
  const { seeds } = open(['http://B.example:3001', 'dns+http://c.example:3001', 'legacy+http://old.example:3001'], names)
  assert.ok(seeds.knows('b.example') && seeds.knows('c.example'), 'before anything was looked up')
  await seeds.resolve()
  for (const host of ['b.example', 'c.example', '10.0.0.1', '10.0.0.2']) assert.ok(seeds.knows(host), host)
  for (const host of ['old.example', '10.0.0.3', '']) assert.not.ok(seeds.knows(host), host)
})

test('originals are told apart', async () => {
  const { seeds } = open(['http://b.example:3001', 'legacy+http://old.example:3001/'])
  assert.equal(seeds.legacy, ['http://old.example:3001'])
  assert.equal(await seeds.resolve(), ['http://b.example:3001'])
})

test('what is no seed is refused', () => {
  assert.equal(parseSeed(' DNS+http://B.example:80 '), { kind: 'dns', url: 'http://b.example', host: 'b.example' })
  for (const text of [
    '',
    'b.example:3001',
    'dns+b.example',
    'ftp://b',
    'udp+http://b',
    'dns+legacy+http://b',
    'http://b/path',
    'http://a@b',
    'http://b:0',
  ]) {
    assert.throws(
      () => parseSeed(text),
      (error: { code?: string }) => error.code === 'CONFIG_INVALID',
      text,
    )
  }
})

test('the system knows this machine', async () => {
  const addresses = await systemLookup('localhost')
  assert.ok(addresses.includes('127.0.0.1') || addresses.includes('::1'))
})

test.run()
