import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ClientError, connect } from '../../lib/client/index.ts'
import { Harness, withServer } from '../publicapi/harness.ts'

const test = suite('client')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const QUICK = { backoffMs: 1, backoffMaxMs: 5 }

/** fetch with what happens to the attempts said up front; what is not said goes through. */
function faulty(...faults: Array<'lost' | 'unsent' | 503 | undefined>): { fetch: typeof fetch; keys: Array<string | null> } {
  const keys: Array<string | null> = []
  return {
    keys,
    async fetch(input, init) {
      keys.push(new Headers(init?.headers).get('idempotency-key'))
      const fault = faults.shift()
      if (fault === 'unsent') throw new TypeError('fetch failed', { cause: new Error('connect ECONNREFUSED') })
      if (fault === 503)
        return new Response('{"type":"/problems/busy","applied":"no"}', { status: 503, headers: { 'Retry-After': '0' } })
      const response = await fetch(input, init)
      await response.clone().text()
      if (fault === 'lost') throw new TypeError('fetch failed', { cause: new Error('socket hang up') })
      return response
    },
  }
}

async function failureOf(promise: Promise<unknown>): Promise<ClientError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  if (!(error instanceof ClientError)) throw new Error(`expected a ClientError, got ${String(error)}`)
  return error
}

test('it counts texts and names, and reads values', async () => {
  const counter = connect(`${api.url}/`)
  assert.equal(await counter.count('to be or not to be'), { tokens: 6, distinct: 4 })
  assert.is(await counter.value('be'), 2n)
  assert.is(await counter.increment('be'), 3n)
  assert.is(await counter.increment('be', -5), -2n)
  assert.equal(await counter.incrementAll([{ name: 'a/b' }, { name: '..', delta: 2n }, { name: '__proto__', delta: 3 }]), {
    items: 3,
  })
  assert.equal(await counter.values(['__proto__', '..', 'a/b', 'none']), [3n, 2n, 1n, 0n])
  assert.equal(await counter.values([]), [])
  assert.is(await counter.value('a/b'), 1n)
})

test('values and increments are exact beyond 2^53', async () => {
  const counter = connect(api.url)
  for (const delta of [2n ** 53n + 1n, 2n ** 63n, 2n ** 64n - 1n]) {
    const name = `n${delta}`
    assert.is(await counter.increment(name, delta), delta)
    assert.is(await counter.value(name), delta)
    assert.equal(await counter.values([name]), [delta])
  }
})

test('a name that a URL folds away is refused before it is sent', async () => {
  for (const name of ['.', '..']) {
    for (const call of [connect(api.url).value(name), connect(api.url).increment(name)]) {
      await call.then(
        () => assert.unreachable(),
        (error: unknown) => assert.instance(error, TypeError),
      )
    }
  }
  assert.is(api.log.length, 0)
})

test('a reply that is lost is asked for again, and the increment counts once', async () => {
  const { fetch, keys } = faulty('unsent', 'lost', 503, 'lost')
  const counter = connect(api.url, { ...QUICK, fetch })
  assert.is(await counter.increment('a', 5), 5n)
  assert.is(keys.length, 5)
  assert.is(new Set(keys).size, 1)
  assert.ok(keys[0])
  assert.is(await counter.increment('a', 5), 10n)
  assert.is(new Set(keys).size, 2)
})

test('a key of its own makes an operation count once across clients', async () => {
  for (let round = 0; round < 2; round++) await connect(api.url).increment('a', 1, { idempotencyKey: 'job-7' })
  assert.is(await connect(api.url).value('a'), 1n)
})

test('it waits for the first request with its key, as the node asks', async () => {
  const release = api.store.hold()
  const first = connect(api.url).increment('a', 1, { idempotencyKey: 'k' })
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  const second = connect(api.url, QUICK).increment('a', 1, { idempotencyKey: 'k' })
  while (!api.log.some(({ fields }) => fields.status === 409)) await (await api.get('/livez')).text()
  release()
  assert.is(await first, 1n)
  assert.is(await second, 1n)
  assert.is(api.store.writes, 1)
})

test('it gives up after its retries and says whether the request was applied', async () => {
  const { fetch, keys } = faulty('lost', 'lost', 'lost')
  const error = await failureOf(connect(api.url, { ...QUICK, fetch, retriesMax: 2 }).increment('a'))
  assert.is(keys.length, 3)
  assert.is(error.type, 'unreachable')
  assert.is(error.status, 0)
  assert.is(error.applied, 'unknown')
  assert.match(error.message, 'socket hang up')
})

test('what is refused is not repeated, and comes with its fix', async () => {
  const { fetch, keys } = faulty()
  const counter = connect(api.url, { ...QUICK, fetch })
  const error = await failureOf(counter.increment('x'.repeat(100)))
  assert.is(error.type, 'name-too-long')
  assert.is(error.status, 400)
  assert.is(error.applied, 'no')
  assert.match(error.fix!, 'COUNTER_NAME_BYTES_MAX')
  api.store.refusals.push('DISK_FULL')
  assert.is((await failureOf(counter.count('a'))).type, 'disk-full')
  assert.is(keys.length, 2)
})

test('the token is sent', async () => {
  await withServer({ token: 'secret' }, async (other) => {
    assert.is(await connect(other.url, { token: 'secret' }).increment('a'), 1n)
    assert.is((await failureOf(connect(other.url).increment('a'))).type, 'unauthorized')
  })
})

test('the caller can stop it, while it waits for an answer and while it pauses', async () => {
  api.store.hold()
  for (const options of [{}, { fetch: faulty('unsent', 'unsent', 'unsent').fetch, backoffMs: 60_000, backoffMaxMs: 60_000 }]) {
    const stop = new AbortController()
    const call = connect(api.url, options).increment('a', 1, { signal: stop.signal })
    setImmediate(() => stop.abort(new Error('enough')))
    await call.then(
      () => assert.unreachable(),
      (error: Error) => assert.is(error.message, 'enough'),
    )
  }
})

test.run()
