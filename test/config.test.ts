// Settings: precedence, ranges, all errors at once, secrets never shown, and the table in docs/OPERATING.md.

import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../lib/base/errors.ts'
import { seededRandom } from '../lib/base/random.ts'
import { type ConfigSources, flagOf, MASK, readSettings, SETTINGS, type SettingName } from '../lib/config.ts'
import { withConfigTable } from '../scripts/write-config-table.ts'

const test = suite('config')

interface Given {
  flags?: Record<string, string>
  env?: Record<string, string>
  files?: Record<string, string>
}

function read({ flags = {}, env = {}, files = {} }: Given) {
  const sources: ConfigSources = {
    env,
    random: seededRandom(1),
    readFile(path) {
      if (!(path in files)) throw new Error('ENOENT: no such file')
      return files[path]!
    },
  }
  return readSettings(flags, sources)
}

function problems(given: Given): string {
  try {
    read(given)
  } catch (error) {
    assert.instance(error, CounterError)
    assert.is((error as CounterError).code, 'CONFIG_INVALID')
    return (error as Error).message
  }
  return ''
}

test('nothing set gives a node on its own, on loopback, durable before each reply', () => {
  const { settings, origins } = read({})
  assert.is(settings.nodeId, 0)
  assert.equal(settings.seeds, [])
  assert.is(settings.publicPort, 3000)
  assert.is(settings.syncPort, 3001)
  assert.is(settings.host, '127.0.0.1')
  assert.is(settings.token, undefined)
  assert.is(settings.dataDir, './data')
  assert.is(settings.fsync, 'always')
  assert.is(settings.bodyBytesMax, 16 * 2 ** 20)
  assert.is(settings.idempotencyTtlMs, 86_400_000)
  assert.ok(Object.values(origins).every((origin) => origin === 'default'))
})

test('settings are frozen', () => {
  const { settings } = read({ env: { COUNTER_SEEDS: 'http://localhost:3001' } })
  assert.throws(() => Object.assign(settings, { nodeId: 9 }), TypeError)
  assert.throws(() => (settings.seeds as string[]).push('http://c.example'), TypeError)
})

test('a flag goes before the environment, that before the file, that before the default', () => {
  const files = { 'a.env': 'COUNTER_PUBLIC_PORT=1\nCOUNTER_SYNC_PORT=1\n# a comment\n\nexport COUNTER_NODE_ID="1"\n' }
  const env = { COUNTER_CONFIG: 'a.env', COUNTER_PUBLIC_PORT: '2', COUNTER_SYNC_PORT: '2' }
  const { settings, origins } = read({ files, env, flags: { 'public-port': '3' } })
  assert.equal([settings.publicPort, origins.publicPort], [3, 'flag'])
  assert.equal([settings.syncPort, origins.syncPort], [2, 'environment'])
  assert.equal([settings.nodeId, origins.nodeId], [1, 'file a.env'])
  assert.equal([settings.host, origins.host], ['127.0.0.1', 'default'])
})

test('--config goes before COUNTER_CONFIG', () => {
  const files = { 'a.env': 'COUNTER_NODE_ID=1', 'b.env': 'COUNTER_NODE_ID=2' }
  assert.is(read({ files, env: { COUNTER_CONFIG: 'a.env' }, flags: { config: 'b.env' } }).settings.nodeId, 2)
})

test('an empty value counts as not set', () => {
  const { settings, origins } = read({ env: { COUNTER_PUBLIC_PORT: '', COUNTER_TOKEN: '' } })
  assert.equal([settings.publicPort, settings.token, origins.publicPort], [3000, undefined, 'default'])
})

test('each type takes what it should and refuses the rest', () => {
  const cases: Array<[SettingName, string, unknown]> = [
    //  setting            text            value, or undefined when it is refused
    ['nodeId', '0', 0],
    ['nodeId', '2147483647', 2147483647],
    ['nodeId', '2147483648', undefined],
    ['nodeId', '-1', undefined],
    ['nodeId', '1.5', undefined],
    ['nodeId', '1e3', undefined],
    ['nodeId', ' 1', undefined],
    ['publicPort', '0', 0],
    ['publicPort', '65536', undefined],
    ['fsync', 'never', 'never'],
    ['fsync', 'Always', undefined],
    ['drainTimeoutMs', '500ms', 500],
    ['drainTimeoutMs', '5s', 5000],
    ['drainTimeoutMs', '10m', 600_000],
    ['drainTimeoutMs', '1h', 3_600_000],
    ['drainTimeoutMs', '0', 0],
    ['drainTimeoutMs', '61m', undefined],
    ['drainTimeoutMs', '5', undefined],
    ['drainTimeoutMs', '5 s', undefined],
    ['drainTimeoutMs', '5S', undefined],
    ['drainTimeoutMs', '5toString', undefined],
    ['idempotencyTtlMs', '7d', 604_800_000],
    ['bodyBytesMax', '64MiB', 64 * 2 ** 20],
    ['bodyBytesMax', '4096', 4096],
    ['bodyBytesMax', '512KiB', 2 ** 19],
    ['bodyBytesMax', '65MiB', undefined],
    ['bodyBytesMax', '1GB', undefined],
    ['bodyBytesMax', '0', undefined],
    ['snapshotLogBytes', '0', 0],
    ['snapshotLogBytes', '1GiB', 2 ** 30],
    ['nameBytesMax', '65536', undefined],
    ['keysMax', '9007199254740991', 9007199254740991],
    ['keysMax', '9007199254740992', undefined],
    ['seeds', 'http://127.0.0.1:3001/, https://[::1]:80', ['http://127.0.0.1:3001', 'https://[::1]:80']],
    ['seeds', 'dns+http://localhost:4001', ['dns+http://localhost:4001']],
    ['clusterNetworks', '10.0.0.0/8, fd00::/8', ['10.0.0.0/8', 'fd00::/8']],
    ['clusterNetworks', '10.0.0.0/33', undefined],
    ['clusterNetworks', 'example.com/8', undefined],
    ['syncAdvertise', 'http://b.example:3001/', 'http://b.example:3001'],
    ['syncAdvertise', 'b.example:3001', undefined],
    ['seeds', 'dns+http://counter:3001,legacy+http://old:3001/', undefined],
    ['seeds', 'legacy+https://old:3001', undefined],
    ['seeds', 'dns+ftp://counter', undefined],
    ['seeds', 'a.example:3001', undefined],
    ['seeds', 'ftp://a.example', undefined],
    ['seeds', 'http://a.example/path', undefined],
    ['seeds', 'http://user:pass@a.example', undefined],
    ['host', '::1', '::1'],
    ['host', 'localhost', 'localhost'],
    ['host', '127.0.0.1:3000', undefined],
    ['token', '0123456789abcdef', '0123456789abcdef'],
    ['token', 'short', undefined],
    ['token', '0123456789 abcdef', undefined],
    ['dataDir', '/var/lib/counter', '/var/lib/counter'],
    ['dataDir', 'a\nb', undefined],
  ]
  for (const [name, text, expected] of cases) {
    const env = { [SETTINGS[name].env]: text }
    if (expected === undefined) assert.match(problems({ env }), SETTINGS[name].env, `${name} ${text} is refused`)
    else assert.equal(read({ env }).settings[name], expected, `${name} ${text}`)
  }
})

test('nodes that differ in nothing but their id have directories of their own', () => {
  const dataDir = (env: Record<string, string>) => read({ env }).settings.dataDir
  assert.equal(
    [dataDir({}), dataDir({ COUNTER_NODE_ID: '0' }), dataDir({ COUNTER_NODE_ID: '2' })],
    ['./data', './data', './data-2'],
  )
  assert.is(dataDir({ COUNTER_NODE_ID: '2', COUNTER_DATA_DIR: './data' }), './data')
})

test('other nodes must be told from strangers before anything is opened to other machines', () => {
  const secret = { COUNTER_CLUSTER_SECRET: '0123456789abcdef' }
  const tls = { COUNTER_SYNC_TLS_CERT: 'c.pem', COUNTER_SYNC_TLS_KEY: 'k.pem' }
  const cases: Array<[env: Record<string, string>, found: string | undefined]> = [
    [{ COUNTER_SEEDS: 'http://b.example:3001' }, 'COUNTER_SEEDS names another machine, http://b.example:3001'],
    [{ COUNTER_SEEDS: 'dns+http://counter:3001' }, 'COUNTER_CLUSTER_SECRET'],
    [{ COUNTER_SYNC_HOST: '0.0.0.0' }, 'lets other machines set any count'],
    [{ COUNTER_SEEDS: 'http://b.example:3001', COUNTER_SYNC_HOST: '0.0.0.0', ...secret }, undefined],
    [{ COUNTER_SEEDS: 'https://b.example:3001', ...tls, COUNTER_SYNC_TLS_CA: 'ca.pem' }, undefined],
    [{ COUNTER_SEEDS: 'https://b.example:3001', ...tls }, 'COUNTER_CLUSTER_SECRET'],
    [{ COUNTER_SYNC_TLS_CERT: 'c.pem' }, 'belong together'],
    [{ ...tls, ...secret, COUNTER_SYNC_HOST: '::' }, 'COUNTER_SYNC_ADVERTISE'],
    [{ ...tls, ...secret, COUNTER_SYNC_HOST: '::', COUNTER_SYNC_ADVERTISE: 'https://a.example:3001' }, undefined],
    [{ COUNTER_SYNC_TLS_CA: 'ca.pem' }, 'needs a certificate of this node'],
    [{ COUNTER_CLUSTER_SECRET_PREVIOUS: '0123456789abcdef' }, 'of no use without'],
    [{ COUNTER_SEEDS: 'legacy+http://old:3001' }, 'COUNTER_LEGACY_SYNC=on'],
    [{ COUNTER_SEEDS: 'legacy+http://old:3001', COUNTER_LEGACY_SYNC: 'on' }, undefined],
  ]
  for (const [env, found] of cases) {
    if (found === undefined) read({ env })
    else assert.match(problems({ env }), found, JSON.stringify(env))
  }
})

test('all errors are listed at once, each with its source and what it should be', () => {
  const message = problems({
    env: { COUNTER_PUBLIC_PORT: 'abc', COUNTER_FSYNC: 'sometimes', COUNTER_CONFIG: 'a.env' },
    files: { 'a.env': 'COUNTER_NODE_ID=-1\nnot a setting' },
    flags: { 'log-level': 'loud' },
  })
  assert.match(message, '5 settings are wrong')
  assert.match(message, 'COUNTER_PUBLIC_PORT (environment) should be a whole number from 0 to 65535; got "abc".')
  assert.match(message, 'COUNTER_FSYNC (environment) should be one of always, interval, never; got "sometimes".')
  assert.match(message, 'COUNTER_NODE_ID (file a.env) should be')
  assert.match(message, 'a.env, line 2 should be NAME=value')
  assert.match(message, '--log-level should be one of')
})

test('an unknown name fails and the nearest known one is named', () => {
  assert.match(
    problems({ env: { COUNTER_DATADIR: '/d' } }),
    'COUNTER_DATADIR in the environment is not a setting. Did you mean COUNTER_DATA_DIR?',
  )
  assert.match(problems({ env: { COUNTER_SEED: 'x' } }), 'COUNTER_SEEDS')
  assert.match(problems({ env: { COUNTER_CONFG: 'x' } }), 'COUNTER_CONFIG')
  assert.match(
    problems({ files: { f: 'PUBLIC_PORT=1' }, flags: { config: 'f' } }),
    'PUBLIC_PORT in f is not a setting. Did you mean COUNTER_PUBLIC_PORT?',
  )
  assert.match(problems({ env: { COUNTER_PORT_3000_TCP: 'tcp://10.0.0.1:3000' } }), 'enableServiceLinks: false')
  assert.is(problems({ env: { COUNT: '1', PATH: '/bin' } }), '')
})

test('a settings file that is missing or names another is refused', () => {
  assert.match(problems({ flags: { config: 'gone.env' } }), 'gone.env cannot be read')
  assert.match(problems({ flags: { config: 'f' }, files: { f: 'COUNTER_CONFIG=g' } }), 'names another settings file')
})

test('a secret is never shown, right or wrong', () => {
  const secret = 'hunter2-but-longer'
  const { settings, texts } = read({ env: { COUNTER_TOKEN: secret } })
  assert.is(settings.token, secret)
  assert.is(texts.token, MASK)
  const message = problems({ env: { COUNTER_TOKEN: 'bad secret' } })
  assert.match(message, 'COUNTER_TOKEN (environment) should be 16 to 512 visible ASCII characters')
  assert.not.match(message, 'bad secret')
})

test('a host beyond loopback needs a token, and a new one is offered', () => {
  for (const host of ['0.0.0.0', '::', '192.168.1.4', 'counter.example']) {
    const message = problems({ env: { COUNTER_HOST: host } })
    const made = /COUNTER_TOKEN=(\S+)/.exec(message)?.[1]
    assert.is(made?.length, 43, message)
    assert.is(read({ env: { COUNTER_HOST: host, COUNTER_TOKEN: made! } }).settings.host, host)
  }
  for (const host of ['127.0.0.1', '127.8.9.10', '::1', 'localhost']) assert.is(problems({ env: { COUNTER_HOST: host } }), '')
})

test('a token that is wrong does not also count as missing', () => {
  assert.match(problems({ env: { COUNTER_HOST: '0.0.0.0', COUNTER_TOKEN: 'short' } }), 'One setting is wrong')
})

test('the headers may not take longer than the request', () => {
  assert.match(problems({ env: { COUNTER_HEADERS_TIMEOUT: '20s' } }), 'COUNTER_REQUEST_TIMEOUT')
})

test('each setting is described, has a flag of its own, and its default is within its range', () => {
  const names = Object.keys(SETTINGS) as SettingName[]
  assert.is(new Set(names.map((name) => flagOf(SETTINGS[name].env))).size, names.length)
  for (const name of names) {
    assert.match(SETTINGS[name].env, /^COUNTER_[A-Z_]+$/)
    assert.match(SETTINGS[name].doc, /\.$/, `${name} is described in sentences`)
    if (SETTINGS[name].default) assert.is(problems({ env: { [SETTINGS[name].env]: SETTINGS[name].default! } }), '')
  }
})

test('the table in docs/OPERATING.md is that of the settings', () => {
  const text = readFileSync('docs/OPERATING.md', 'utf8')
  assert.is(withConfigTable(text), text, 'stale: run `node --import tsx scripts/write-config-table.ts`')
})

test.run()
