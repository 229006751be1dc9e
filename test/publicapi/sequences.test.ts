// Sequences over HTTP: by name, as the original had its one, and the engine behind them.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { problemOf, withServer } from './harness.ts'

const test = suite('publicapi/sequences')

const json = async <Body = Record<string, unknown>>(response: Promise<Response>): Promise<Body> =>
  (await response).json() as Promise<Body>

test('POST /next gives a number and a line break, and GET /get the last one', () =>
  withServer({}, async (api) => {
    assert.equal(await json(api.get('/get')), { counter: 0 })
    for (const number of [1, 2, 3]) {
      const response = await api.post('/next', undefined)
      assert.is(response.status, 200)
      assert.is(response.headers.get('content-type'), 'text/plain; charset=utf-8')
      assert.is(await response.text(), `${number}\n`)
    }
    assert.equal(await json(api.get('/get')), { counter: 3 })
    assert.is(await (await api.post('/next', 'whatever the original took', { 'Content-Type': 'text/html' })).text(), '4\n')
    assert.equal(await json(api.get('/v1/sequences/default')), { name: 'default', value: 4 }, 'it is a sequence like any other')
  }))

test('a retry with its key gets the same number, which is said', () =>
  withServer({}, async (api) => {
    const key = { 'Idempotency-Key': 'k1' }
    const first = await api.post('/next', undefined, key)
    assert.is(first.headers.get('idempotency-replayed'), null)
    const again = await api.post('/next', undefined, key)
    assert.is(await again.text(), await first.text())
    assert.is(again.headers.get('idempotency-replayed'), 'true')
    assert.equal(await json(api.get('/get')), { counter: 1 })

    const asked = { count: 3 }
    await api.postJson('/v1/sequences/a/next', asked, key)
    const replayed = await api.postJson('/v1/sequences/a/next', asked, key)
    assert.is(replayed.headers.get('idempotency-replayed'), 'true')
    assert.equal(await replayed.json(), { name: 'a', first: 1, last: 3 })
    assert.match(await (await api.get('/metrics')).text(), /^counter_sequence_numbers_total 4$/m)
    const reused = await problemOf(await api.postJson('/v1/sequences/a/next', { count: 4 }, key))
    assert.is(reused.type, '/problems/key-reused')
    const invalid = await problemOf(await api.post('/next', undefined, { 'Idempotency-Key': 'a key' }))
    assert.is(invalid.type, '/problems/idempotency-key-invalid')
  }))

test('numbers come one by one or many at once, of any name', () =>
  withServer({}, async (api) => {
    assert.equal(await json(api.post('/v1/sequences/a%2Fb/next', undefined)), { name: 'a/b', first: 1, last: 1 })
    assert.equal(await json(api.postJson('/v1/sequences/a%2Fb/next', { count: 10 })), { name: 'a/b', first: 2, last: 11 })
    assert.equal(await json(api.postJson('/v1/sequences/a%2Fb/next', {})), { name: 'a/b', first: 12, last: 12 })
    assert.equal(await json(api.get('/v1/sequences/a%2Fb')), { name: 'a/b', value: 12 })
    assert.equal(await json(api.get('/v1/sequences/never')), { name: 'never', value: 0 })
    for (const body of [{ count: 0 }, { count: 1.5 }, { count: '3' }, { count: 1_000_001 }, { cuont: 1 }, [], 3]) {
      const problem = await problemOf(await api.postJson('/v1/sequences/a/next', body))
      assert.is(problem.type, '/problems/body-invalid', JSON.stringify(body))
    }
    const typed = await problemOf(await api.post('/v1/sequences/a/next', '{"count":2}', { 'Content-Type': 'text/plain' }))
    assert.is(typed.type, '/problems/media-type-unsupported')
    assert.equal(await json(api.get('/v1/sequences/a')), { name: 'a', value: 0 }, 'what was refused took nothing')
    assert.is((await problemOf(await api.get(`/v1/sequences/${'a'.repeat(513)}`))).type, '/problems/name-too-long')
    assert.is((await problemOf(await api.post('/v1/sequences/%zz/next', undefined))).type, '/problems/path-invalid')
  }))

test('a list goes on where the page before ended', () =>
  withServer({}, async (api) => {
    for (const name of ['b', 'a', 'o1', 'o2', 'o3']) await api.post(`/v1/sequences/${name}/next`, undefined)
    assert.equal(await json(api.get('/v1/sequences?prefix=a')), { sequences: [{ name: 'a', value: 1 }], next: null })
    const page = await json<{ sequences: { name: string }[]; next: string }>(api.get('/v1/sequences?prefix=o&limit=2'))
    assert.equal(
      page.sequences.map(({ name }) => name),
      ['o1', 'o2'],
    )
    const rest = await json(api.get(`/v1/sequences?prefix=o&limit=2&cursor=${page.next}`))
    assert.equal(rest, { sequences: [{ name: 'o3', value: 1 }], next: null })
    for (const query of ['limit=0', 'limit=1001', 'cursor=!', 'cursor=', 'names=a', 'limit=1&limit=2']) {
      assert.is((await problemOf(await api.get(`/v1/sequences?${query}`))).type, '/problems/query-invalid', query)
    }
  }))

test('what was saved is brought back, forward only unless it is forced', () =>
  withServer({}, async (api) => {
    await api.post('/next', undefined)
    const saved = await json(api.post('/backup', undefined))
    assert.equal(saved, { counter: 1 })
    await api.post('/next', undefined)
    const refused = await problemOf(await api.postJson('/restore', saved))
    assert.is(refused.type, '/problems/sequence-backwards')
    assert.is(refused.status, 409)
    assert.equal(await json(api.get('/get')), { counter: 2 })
    assert.equal(await json(api.postJson('/restore', { counter: 500 })), { counter: 500 })
    assert.is(await (await api.post('/next', undefined)).text(), '501\n')
    assert.equal(await json(api.postJson('/restore', { ...saved, force: true })), { counter: 1 })
    assert.is(await (await api.post('/next', undefined)).text(), '2\n')

    assert.equal(await json(api.postJson('/v1/sequences/a/set', { value: 9 })), { name: 'a', value: 9 })
    assert.is((await problemOf(await api.postJson('/v1/sequences/a/set', { value: 8 }))).type, '/problems/sequence-backwards')
    assert.equal(await json(api.postJson('/v1/sequences/a/set', { value: 8, force: true })), { name: 'a', value: 8 })
    for (const body of [{}, { value: -1 }, { value: 2 ** 53 }, { value: 1, forced: true }]) {
      assert.is((await problemOf(await api.postJson('/v1/sequences/a/set', body))).type, '/problems/body-invalid')
    }
    for (const body of ['', '{}', '{"counter":-1}', '{"counter":"5"}']) {
      assert.is((await problemOf(await api.postJson('/restore', body))).type, '/problems/body-invalid', body)
    }
  }))

test('what surely did not happen is told from what is not known', () =>
  withServer({}, async (api) => {
    const { sequences } = api
    const next = async () => problemOf(await api.post('/next', undefined))
    sequences.failure = 'SEQUENCE_UNAVAILABLE'
    const unavailable = await next()
    assert.equal([unavailable.status, unavailable.type, unavailable.applied], [503, '/problems/sequence-unavailable', 'no'])
    assert.is(unavailable.retryAfter, '1')
    assert.is(unavailable.fix, 'Ask the test.', 'the engine knows better than the table')
    sequences.failure = 'SEQUENCE_UNKNOWN'
    const unknown = await next()
    assert.equal([unknown.status, unknown.type, unknown.applied], [504, '/problems/sequence-unknown', 'unknown'])
    assert.is(unknown.retryAfter, '1')
    sequences.surprise = new Error('nobody has foreseen this')
    const internal = await next()
    assert.equal([internal.status, internal.applied], [500, 'unknown'])
    for (const [code, status] of [
      ['SEQUENCE_FROZEN', 409],
      ['SEQUENCE_EXHAUSTED', 409],
      ['DISK_FULL', 507],
      ['CLOSED', 503],
    ] as const) {
      sequences.failure = code
      const problem = await next()
      assert.equal([problem.status, problem.applied], [status, 'no'], code)
    }
    sequences.failure = 'SEQUENCE_UNAVAILABLE'
    assert.is((await problemOf(await api.get('/get'))).status, 503, 'a value that may be stale is not shown')
  }))

test('the engine says what it is, also to clients of the original', () =>
  withServer({}, async (api) => {
    const local = await json(api.get('/v1/sequence-engine'))
    assert.is(local.engine, 'local')
    assert.is(local.faultTolerant, false)
    assert.match(String(local.detail), 'etcd')
    assert.equal([local.leader, local.members, local.lastIndex], [null, [], null])
    api.sequences.said = {
      engine: 'etcd',
      faultTolerant: true,
      reachable: true,
      frozen: false,
      leader: 'e1',
      members: [
        { name: 'e1', role: 'leader', address: 'http://10.0.0.1:2379' },
        { name: 'e2', role: 'follower' },
      ],
      lastIndex: 77,
      detail: 'Fine.',
    }
    const members = [
      { name: 'e1', role: 'leader', address: 'http://10.0.0.1:2379' },
      { name: 'e2', role: 'follower', address: null },
    ]
    assert.equal(await json(api.get('/status')), { leader: 'e1', members, lastIndex: 77 })
    assert.equal(await json(api.get('/v1/sequence-engine')), { ...api.sequences.said, members })
  }))

test('sequences are frozen, thawed and recovered', () =>
  withServer({}, async (api) => {
    await api.post('/next', undefined)
    assert.equal(await json(api.post('/v1/sequence-engine/freeze', undefined)), { frozen: true })
    assert.is((await problemOf(await api.post('/next', undefined))).type, '/problems/sequence-frozen')
    assert.is((await json(api.get('/v1/sequence-engine'))).frozen, true)
    assert.equal(await json(api.post('/v1/sequence-engine/thaw', undefined)), { frozen: false })
    assert.is(await (await api.post('/next', undefined)).text(), '2\n')
    assert.equal(await json(api.postJson('/v1/sequence-engine/recover', { ahead: 10 })), { ahead: 10 })
    await api.postJson('/v1/sequence-engine/recover', { ahead: 20, force: true })
    assert.equal(api.sequences.recoveries, [
      { ahead: 10, force: false },
      { ahead: 20, force: true },
    ])
    api.sequences.failure = 'SEQUENCE_SOUND'
    assert.is((await problemOf(await api.postJson('/v1/sequence-engine/recover', { ahead: 1 }))).type, '/problems/sequence-sound')
  }))

test('numbers need the token, and a page of another site gets none', () =>
  withServer({ token: 'a-token-of-some-length' }, async (api) => {
    for (const path of ['/next', '/backup', '/restore', '/v1/sequences/a/next', '/v1/sequence-engine/freeze']) {
      assert.is((await problemOf(await api.post(path, undefined))).type, '/problems/unauthorized', path)
    }
    assert.is((await problemOf(await api.get('/get'))).type, '/problems/unauthorized')
    const headers = { Authorization: 'Bearer a-token-of-some-length', Origin: 'http://elsewhere.example' }
    for (const path of ['/next', '/restore', '/v1/sequence-engine/freeze']) {
      assert.is((await problemOf(await api.post(path, undefined, headers))).type, '/problems/cross-site', path)
    }
  }))

test.run()
