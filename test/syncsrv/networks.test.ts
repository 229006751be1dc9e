// Which addresses may be contacted, as a grid: what an address looks like, and who has to know it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { hostOf, Networks, plainAddress } from '../../lib/syncsrv/networks.ts'

const test = suite('syncsrv/networks')

const NOBODY = { knows: () => false }
const seeds = { knows: (host: string) => ['seed.example', '10.1.1.1', 'fd00::1'].includes(host) }

test('an address is allowed by a seed or by a network, and refused otherwise', () => {
  const networks = new Networks(['192.168.0.0/16', '172.16.5.4', 'fd12::/16', '::ffff:100.64.0.0/106'], seeds)
  const cases: [string, boolean][] = [
    ['http://seed.example:3001', true],
    ['https://SEED.example.:9', true],
    ['http://10.1.1.1:5', true],
    ['http://[fd00:0::1]:5', true],
    ['http://192.168.255.1:1', true],
    ['http://[::ffff:192.168.0.9]:1', true],
    ['http://[::ffff:c0a8:9]:1', true],
    ['http://172.16.5.4', true],
    ['http://[fd12:3::4]:1', true],
    ['http://100.100.0.1:1', true],
    // Other hosts.
    ['http://other.example:3001', false],
    ['http://seed.example.evil.example', false],
    ['http://10.1.1.2:5', false],
    ['http://172.16.5.5', false],
    ['http://[fd13::4]:1', false],
    ['http://100.128.0.1', false],
    ['http://127.0.0.1', false],
    ['http://169.254.169.254', false],
    ['http://[::1]', false],
    // Other ways to write 127.0.0.1.
    ['http://0x7f.1', false],
    ['http://2130706433', false],
    ['http://localhost', false],
    // More than a base URL, or none.
    ['http://user@seed.example', false],
    ['http://user:word@192.168.0.1', false],
    ['http://192.168.0.1/path', false],
    ['http://192.168.0.1/?', false],
    ['http://192.168.0.1/#', false],
    ['http://192.168.0.1:0', false],
    ['ftp://192.168.0.1', false],
    ['file:///etc/passwd', false],
    ['192.168.0.1:3001', false],
    [':3001', false],
    ['', false],
  ]
  for (const [address, allowed] of cases) assert.is(networks.allows(address), allowed, address)
})

test('a member may be asked back at the address its own request came from', () => {
  const networks = new Networks([], NOBODY)
  assert.ok(networks.allows('http://10.9.9.9:3001', '10.9.9.9'))
  assert.ok(networks.allows('http://[::ffff:10.9.9.9]:3001', '10.9.9.9'))
  assert.not.ok(networks.allows('http://10.9.9.8:3001', '10.9.9.9'))
  assert.not.ok(networks.allows('http://10.9.9.9:3001'))
  assert.not.ok(networks.allows('http://name.example', 'name.example'), 'a name is no address that a request comes from')
})

test('a whole family may be allowed', () => {
  const networks = new Networks(['0.0.0.0/0'], NOBODY)
  assert.ok(networks.allows('http://8.8.8.8'))
  assert.not.ok(networks.allows('http://[2001:db8::1]'))
  assert.ok(new Networks(['::/0'], NOBODY).allows('http://[2001:db8::1]'))
})

test('what is no network is refused with the way to write one', () => {
  for (const text of [
    '',
    'example.com',
    '10.0.0.0/33',
    'fd00::/129',
    '10.0.0.0/',
    '10.0.0.0/8/8',
    '10.0.0.0/-1',
    '10.0.0/8',
    '::ffff:10.0.0.0/95',
    '10.0.0.0/a',
  ]) {
    assert.throws(
      () => new Networks([text], NOBODY),
      (error: { code?: string }) => error.code === 'CONFIG_INVALID',
      text,
    )
  }
})

test('an address has one form', () => {
  const cases = [
    ['::ffff:1.2.3.4', '1.2.3.4'],
    ['::FFFF:102:304', '1.2.3.4'],
    ['0:0:0:0:0:ffff:1.2.3.4', '1.2.3.4'],
    ['FD00:0:0::1', 'fd00::1'],
    ['1.2.3.4', '1.2.3.4'],
    ['fe80::1%eth0', 'fe80::1%eth0'],
    ['', ''],
  ]
  for (const [text, plain] of cases) assert.is(plainAddress(text!), plain)
  assert.is(hostOf('http://[::FFFF:1.2.3.4]:80'), '1.2.3.4')
})

test.run()
