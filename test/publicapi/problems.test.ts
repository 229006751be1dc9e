import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { ErrorCode } from '../../lib/base/errors.ts'
import { PROBLEMS, type ProblemKind } from '../../lib/publicapi/problem-kinds.ts'
import { Harness, parseRaw, problemOf, withServer } from './harness.ts'

const test = suite('publicapi/problems')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

test('what the store refuses has a status, a type, a fix, a time to come back, and was not applied', async () => {
  const cases: Array<[ErrorCode, number, string, string | null]> = [
    ['DISK_FULL', 507, 'disk-full', '10'],
    ['NAMES_MAX', 507, 'names-max', '60'],
    ['ITEMS_MAX', 507, 'items-max', '60'],
    ['LOG_BUSY', 503, 'busy', '1'],
    ['KEYS_UNSETTLED', 503, 'writes-unsettled', '1'],
    ['CLOSED', 503, 'closed', '1'],
    ['DRAINING', 503, 'draining', '1'],
    ['COUNT_OVERFLOW', 409, 'count-overflow', null],
    ['NAME_TOO_LONG', 400, 'name-too-long', null],
  ]
  for (const [code, status, type, retryAfter] of cases) {
    for (const path of ['/keywords', '/v1/texts', '/v1/counters/a/increments', '/v1/increments', '/v1/items']) {
      api.store.refusals.push(code)
      const bodies: Record<string, unknown> = {
        '/v1/counters/a/increments': {},
        '/v1/increments': { items: [{ name: 'a' }] },
        '/v1/items': { items: [{ id: 'a', tenant: 't' }] },
      }
      const answer = path in bodies ? api.postJson(path, bodies[path]) : api.post(path, 'a')
      const problem = await problemOf(await answer)
      assert.is(problem.status, status, code)
      assert.is(problem.type, `/problems/${type}`)
      assert.is(problem.applied, 'no')
      assert.is(problem.retryAfter, retryAfter)
      assert.is(problem.detail, `the test refuses with ${code}`)
      assert.ok(typeof problem.fix === 'string' && problem.fix.length > 10)
    }
  }
  assert.is(api.store.writes, 0)
})

test('when the log fails it is said that the increment may have been counted', async () => {
  api.store.failures.push('LOG_FAILED')
  const problem = await problemOf(await api.post('/keywords', 'a'))
  assert.is(problem.status, 500)
  assert.is(problem.type, '/problems/log-failed')
  assert.is(problem.applied, 'unknown')
})

test('a mistake of ours says nothing of itself to the client and everything to the log', async () => {
  api.store.value = () => {
    throw new TypeError('secret detail')
  }
  const response = await api.get('/v1/counters/a')
  const text = await response.clone().text()
  const problem = await problemOf(response)
  assert.is(problem.type, '/problems/internal')
  assert.is(problem.applied, 'no')
  assert.not.match(text, 'secret')
  const line = api.log.find(({ level }) => level === 'error')
  assert.match(String(line?.fields.err), 'secret detail')
  assert.is(line?.fields.request, problem.instance)
})

test('an unknown path names the nearest one, or lists all', async () => {
  const cases = [
    ['/keywords/', 'Did you mean /keywords?'],
    ['/texts', 'Did you mean /v1/texts?'],
    ['/V1/Texts', 'Did you mean /v1/texts?'],
    ['/v1/counters/', 'Did you mean /v1/counters?'],
    ['/nothing', 'The paths are /keywords, '],
  ] as const
  for (const [path, fix] of cases) {
    const problem = await problemOf(await api.get(path))
    assert.is(problem.type, '/problems/not-found')
    assert.match(problem.fix as string, fix)
  }
  assert.is((await api.post('/nothing', 'a')).status, 404)
})

test('another method is refused with the methods there are', async () => {
  const cases = [
    ['/keywords', 'DELETE', 'GET, HEAD, POST, OPTIONS'],
    ['/v1/texts', 'GET', 'POST, OPTIONS'],
    ['/v1/texts', 'HEAD', 'POST, OPTIONS'],
    ['/v1/counters/a%2Fb', 'PUT', 'GET, HEAD, OPTIONS'],
    ['/v1/counters/a/increments', 'PATCH', 'POST, OPTIONS'],
    ['/openapi.json', 'POST', 'GET, HEAD, OPTIONS'],
    ['/v1/items', 'GET', 'POST, OPTIONS'],
    ['/v1/items/a', 'POST', 'GET, HEAD, DELETE, OPTIONS'],
  ] as const
  for (const [path, method, allow] of cases) {
    const response = await fetch(api.url + path, { method })
    assert.is(response.status, 405, path)
    assert.is(response.headers.get('allow'), allow)
    if (method !== 'HEAD') assert.is((await problemOf(response)).type, '/problems/method-not-allowed')
  }
})

test('OPTIONS answers the methods, and nothing that would let another site in', async () => {
  const response = await fetch(`${api.url}/keywords`, {
    method: 'OPTIONS',
    headers: { Origin: 'http://elsewhere.example', 'Access-Control-Request-Method': 'POST' },
  })
  assert.is(response.status, 204)
  assert.is(response.headers.get('allow'), 'GET, HEAD, POST, OPTIONS')
  assert.is(response.headers.get('access-control-allow-origin'), null)
  assert.is((await fetch(`${api.url}/nothing`, { method: 'OPTIONS' })).status, 404)
})

test('HEAD answers as GET does, without the body', async () => {
  for (const path of [
    '/keywords?keywords=a',
    '/v1/counters/a',
    '/v1/counters?names=a',
    '/livez',
    '/readyz',
    '/openapi.json',
    '/metrics',
    '/',
  ]) {
    const head = await fetch(api.url + path, { method: 'HEAD' })
    assert.is(head.status, 200, path)
    assert.is(await head.text(), '')
    const get = await api.get(path)
    assert.is(head.headers.get('content-type'), get.headers.get('content-type'))
    const { length } = Buffer.from(await get.arrayBuffer())
    if (path !== '/metrics') assert.is(head.headers.get('content-length'), String(length))
  }
})

test('every problem type has a page that explains it', async () => {
  for (const [type, { status, title, fix }] of Object.entries<ProblemKind>(PROBLEMS)) {
    const response = await api.get(`/problems/${type}`)
    assert.is(response.status, 200)
    const text = await response.text()
    for (const part of [type, title, fix, String(status)]) assert.ok(text.includes(part), type)
  }
  for (const type of ['none', '__proto__', 'toString']) assert.is((await api.get(`/problems/${type}`)).status, 404)
})

test('every reply forbids to guess its type and to keep it', async () => {
  for (const path of ['/livez', '/v1/counters/a', '/nothing']) {
    const { headers } = await api.get(path)
    assert.is(headers.get('x-content-type-options'), 'nosniff')
    assert.is(headers.get('cache-control'), 'no-store')
    assert.is(headers.get('access-control-allow-origin'), null)
  }
})

test('a request keeps its id when that is sane, and gets one otherwise', async () => {
  assert.is((await api.get('/livez', { 'X-Request-Id': 'abc-1' })).headers.get('x-request-id'), 'abc-1')
  for (const id of ['a b', '<script>', 'x'.repeat(129)]) {
    assert.not((await api.get('/livez', { 'X-Request-Id': id })).headers.get('x-request-id') === id)
  }
  const made = await Promise.all([1, 2, 3].map(async () => (await api.get('/livez')).headers.get('x-request-id')))
  assert.is(new Set(made).size, 3)
})

test('a page of another origin may not write, and our own may', async () => {
  const refused = [
    { 'Sec-Fetch-Site': 'cross-site' },
    { 'Sec-Fetch-Site': 'same-site' },
    { Origin: 'https://elsewhere.example' },
    { Origin: 'null' },
  ]
  const orders = ['/v1/cluster/members/2/drain', '/v1/cluster/members/2/remove']
  const paths = ['/keywords', '/items', '/v1/texts', '/v1/increments', '/v1/items', '/v1/counters/a/increments', ...orders]
  for (const [method, path] of [...paths.map((each) => ['POST', each] as const), ['DELETE', '/v1/items/a'] as const]) {
    for (const headers of refused) {
      const answer = await raw(method, path, { ...headers, 'Content-Type': 'text/plain' })
      assert.is(answer.status, 403, JSON.stringify(headers))
      assert.match(answer.body, '/problems/cross-site')
    }
  }
  for (const headers of [{ 'Sec-Fetch-Site': 'same-origin' }, { 'Sec-Fetch-Site': 'none' }, { Origin: 'http://localhost' }]) {
    assert.is((await raw('POST', '/keywords', headers)).status, 200)
  }
})

test('on loopback without a token only local host names are served', async () => {
  for (const host of ['localhost', 'LOCALHOST:80', '127.0.0.1', '127.0.0.1:9999', '[::1]:1']) {
    assert.is((await raw('GET', '/livez', { Host: host })).status, 200, host)
  }
  for (const host of ['evil.example', 'localhost.evil.example', '127.0.0.1.nip.io', '10.0.0.1']) {
    for (const path of ['/livez', '/swagger', '/keywords', '/nothing']) {
      const answer = await raw('GET', path, { Host: host })
      assert.is(answer.status, 403)
      assert.match(answer.body, '/problems/host-not-allowed')
    }
  }
  await withServer({ token: 'secret' }, async (other) => {
    const answer = await other.raw('GET /livez HTTP/1.1\r\nHost: counter.example\r\nConnection: close\r\n\r\n')
    assert.is(parseRaw(answer).status, 200)
  })
})

test('with a token every operation that counts, reads or measures asks for it', async () => {
  await withServer({ token: 'a secret' }, async (other) => {
    const asked = [
      ['GET', '/keywords'],
      ['POST', '/keywords'],
      ['POST', '/v1/texts'],
      ['POST', '/v1/increments'],
      ['POST', '/v1/items'],
      ['GET', '/v1/items/a'],
      ['DELETE', '/v1/items/a'],
      ['GET', '/v1/tenants'],
      ['GET', '/v1/tenants/t/count'],
      ['GET', '/v1/counters'],
      ['GET', '/v1/counters/a'],
      ['POST', '/v1/counters/a/increments'],
      ['GET', '/v1/cluster'],
      ['POST', '/v1/cluster/members/2/drain'],
      ['POST', '/v1/cluster/members/2/remove'],
      ['GET', '/metrics'],
    ] as const
    for (const [method, path] of asked) {
      for (const authorization of [
        undefined,
        'Bearer',
        'Bearer wrong',
        'Basic a secret',
        'Bearer a secret2',
        'bearer A SECRET',
      ]) {
        const headers: Record<string, string> = authorization === undefined ? {} : { Authorization: authorization }
        const response = await fetch(other.url + path, { method, headers })
        assert.is(response.status, 401, `${method} ${path} ${authorization}`)
        assert.match(response.headers.get('www-authenticate')!, /^Bearer realm="counter"/)
        assert.is((await problemOf(response)).type, '/problems/unauthorized')
      }
      const response = await fetch(other.url + path, { method, headers: { Authorization: 'Bearer a secret' } })
      assert.not(response.status === 401)
    }
    for (const path of ['/livez', '/readyz', '/healthz', '/', '/swagger', '/openapi.json', '/problems/unauthorized']) {
      assert.is((await other.get(path)).status, 200, path)
    }
    assert.is((await other.get('/keywords', { Authorization: 'bearer a secret' })).status, 200)
  })
})

test('a request that is no HTTP, has a bad target or too many headers is answered', async () => {
  const cases = [
    ['NONSENSE\r\n\r\n', 400, 'request-malformed'],
    ['GET / HTTP/1.1\r\nHost: localhost\r\nBad Header: x\r\n\r\n', 400, 'request-malformed'],
    ['GET http://[/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400, 'request-malformed'],
    ['GET /a\\b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n', 400, 'request-malformed'],
    ['GET / HTTP/1.1\r\nHost: a b\r\nConnection: close\r\n\r\n', 400, 'request-malformed'],
    [`GET /?${'x'.repeat(20_000)} HTTP/1.1\r\nHost: localhost\r\n\r\n`, 431, 'headers-too-large'],
    [
      'POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
      400,
      'request-malformed',
    ],
  ] as const
  for (const [request, status, type] of cases) {
    const answer = parseRaw(await api.raw(request))
    assert.is(answer.status, status, request.slice(0, 40))
    assert.is(answer.headers.get('content-type'), 'application/problem+json')
    assert.match(answer.body, `/problems/${type}`)
  }
})

test('an absolute target and HTTP/1.0 without a host are served', async () => {
  const absolute = await api.raw('GET http://localhost/livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n')
  assert.is(parseRaw(absolute).status, 200)
  assert.is(parseRaw(await api.raw('GET /livez HTTP/1.0\r\n\r\n')).status, 200)
})

test('the log has good requests at debug, mistakes of clients at info, ours at warn, and no query', async () => {
  await (await api.get('/keywords?keywords=private')).text()
  await (await api.get('/nothing')).text()
  api.store.refusals.push('LOG_BUSY')
  await (await api.post('/keywords', 'a')).text()
  const lines = api.log
    .filter(({ message }) => message === 'request')
    .map(({ level, fields }) => [level, fields.method, fields.path, fields.status])
  assert.equal(lines, [
    ['debug', 'GET', '/keywords', 200],
    ['info', 'GET', '/nothing', 404],
    ['warn', 'POST', '/keywords', 503],
  ])
  assert.not.match(JSON.stringify(api.log), 'private')
})

async function raw(method: string, path: string, headers: Record<string, string>): Promise<ReturnType<typeof parseRaw>> {
  const all = { Host: 'localhost', Connection: 'close', 'Content-Length': '0', ...headers }
  const lines = Object.entries(all).map(([name, value]) => `${name}: ${value}\r\n`)
  return parseRaw(await api.raw(`${method} ${path} HTTP/1.1\r\n${lines.join('')}\r\n`))
}

test.run()
