import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Harness, KIB, parseRaw, problemOf } from './harness.ts'

const test = suite('publicapi/texts')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const TEXT = { 'Content-Type': 'text/plain' }
const value = async (name: string): Promise<string> =>
  (await api.get(`/v1/counters/${encodeURIComponent(name)}`, { Accept: 'text/plain' })).text()

test('the original: a posted text is counted and answered with 200 and an empty body', async () => {
  const response = await api.post('/keywords', 'To be or not\tto\nBE', TEXT)
  assert.is(response.status, 200)
  assert.is(await response.text(), '')
  assert.is(response.headers.get('content-length'), '0')
  assert.is(response.headers.get('content-type'), null)
  const read = await api.get('/keywords?keywords=to&keywords=be&keywords=Not')
  assert.is(read.headers.get('content-type'), 'application/json')
  assert.is(await read.text(), '[{"key":"to","count":2},{"key":"be","count":2},{"key":"Not","count":1}]')
})

test('the original: any content type is taken for a text, and none too', async () => {
  const types = [
    'text/plain; charset=latin1',
    'application/json',
    'application/x-www-form-urlencoded',
    'application/octet-stream',
    'x',
  ]
  for (const type of types) assert.is((await api.post('/keywords', 'one', { 'Content-Type': type })).status, 200, type)
  const answer = await api.raw('POST /keywords HTTP/1.1\r\nHost: localhost\r\nContent-Length: 3\r\nConnection: close\r\n\r\none')
  assert.is(parseRaw(answer).status, 200)
  assert.is(await value('one'), String(types.length + 1))
})

test('the original: words are asked for in any case, in any order, more than once, or not at all', async () => {
  await api.post('/keywords', 'ä Ä b')
  const read = await api.get('/keywords?keywords=%C3%84&keywords=b&keywords=%C3%A4&keywords=none&keywords=&keywords=%C3%84')
  assert.equal(await read.json(), [
    { key: 'Ä', count: 2 },
    { key: 'b', count: 1 },
    { key: 'ä', count: 2 },
    { key: 'none', count: 0 },
    { key: '', count: 0 },
    { key: 'Ä', count: 2 },
  ])
  assert.is(await (await api.get('/keywords')).text(), '[]')
  assert.is(await (await api.get('/keywords?')).text(), '[]')
  assert.is(await (await api.get('/keywords?other=1&keywords=b')).text(), '[{"key":"b","count":1}]')
})

test('the original: plus is a space in a query, and odd words are echoed as JSON', async () => {
  const read = await api.get('/keywords?keywords=a+b&keywords=%22%5C&keywords=__proto__&keywords=%F0%9F%98%80&keywords')
  assert.equal(
    ((await read.json()) as Array<{ key: string }>).map(({ key }) => key),
    ['a b', '"\\', '__proto__', '😀', ''],
  )
})

test('a text answers how many words it has, and how many different ones', async () => {
  const plain = await api.post('/v1/texts', 'to be or not to be', TEXT)
  assert.is(plain.headers.get('content-type'), 'application/json')
  assert.is(await plain.text(), '{"tokens":6,"distinct":4}')
  const json = await api.postJson('/v1/texts', { text: 'To be\n\n or' })
  assert.is(await json.text(), '{"tokens":3,"distinct":3}')
  assert.is(await value('to'), '3')
})

test('a text without words counts nothing and is fine', async () => {
  assert.is(await (await api.post('/v1/texts', ' \n\t', TEXT)).text(), '{"tokens":0,"distinct":0}')
  assert.is(await (await api.post('/v1/texts', '', TEXT)).text(), '{"tokens":0,"distinct":0}')
  assert.is((await api.post('/keywords', '')).status, 200)
  assert.is(api.store.writes, 0)
})

test('words and letters may be cut anywhere by the pieces in which a body arrives', async () => {
  const text = 'grün grün 😀 übel '.repeat(20)
  const bytes = Buffer.from(text).toString('latin1')
  for (const size of [1, 2, 3, 7]) {
    const pieces = bytes.match(new RegExp(`[^]{1,${size}}`, 'g'))!
    const head = `POST /v1/texts HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n`
    const socket = api.socket()
    const answer = new Promise<string>((resolve) => {
      let all = ''
      socket.setEncoding('latin1').on('data', (data) => {
        all += data
      })
      socket.on('close', () => resolve(all))
    })
    socket.setNoDelay(true)
    socket.write(head)
    for (const piece of pieces) socket.write(`${piece.length.toString(16)}\r\n${piece}\r\n`, 'latin1')
    socket.write('0\r\n\r\n')
    assert.match(await answer, '{"tokens":80,"distinct":3}')
  }
  assert.is(await value('grün'), '160')
})

test('a large text is counted whole', async () => {
  const words = 100_000
  const text = Array.from({ length: words }, (_, index) => `w${index % 1000}`).join(' ')
  assert.is(await (await api.post('/v1/texts', text, TEXT)).text(), `{"tokens":${words},"distinct":1000}`)
  assert.is(api.store.writes, 1)
  assert.is(await value('w999'), '100')
})

test('a body beyond the limit is refused, announced or not, and counts nothing', async () => {
  const large = 'word '.repeat((2 * KIB * KIB) / 5 + 10)
  for (const path of ['/keywords', '/v1/texts']) {
    const announced = await problemOf(await api.post(path, large, TEXT))
    assert.is(announced.type, '/problems/body-too-large')
    assert.is(announced.status, 413)
    assert.is(announced.applied, 'no')
    const chunked = await fetch(api.url + path, {
      method: 'POST',
      headers: TEXT,
      duplex: 'half',
      body: new Blob([large]).stream(),
    } as RequestInit)
    assert.is((await problemOf(chunked)).type, '/problems/body-too-large')
  }
  assert.is(api.store.writes, 0)
})

test('a JSON body has a limit of its own', async () => {
  const problem = await problemOf(await api.postJson('/v1/texts', { text: 'x'.repeat(1024 * KIB) }))
  assert.is(problem.type, '/problems/body-too-large')
  assert.is((await api.postJson('/v1/texts', { text: 'x '.repeat(500 * KIB) })).status, 200)
})

test('a connection goes on being used after a body that was refused unread', async () => {
  const socket = api.socket()
  socket.setEncoding('latin1')
  let all = ''
  const two = new Promise<void>((resolve) => {
    socket.on('data', (data) => {
      all += data
      if (all.includes('ok\n')) resolve()
    })
  })
  const body = 'x'.repeat(100_000)
  socket.write(
    `POST /v1/increments HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`,
  )
  socket.write(body)
  socket.write('GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n')
  await two
  assert.match(all, 'HTTP/1.1 415')
  socket.destroy()
})

test('a client that goes away in the middle of a body counts nothing', async () => {
  for (const head of ['Content-Length: 1000', 'Transfer-Encoding: chunked']) {
    for (const path of ['/keywords', '/v1/texts', '/v1/increments', '/v1/counters/a/increments']) {
      const type = path.includes('increments') ? 'application/json' : 'text/plain'
      const before = api.log.length
      const socket = api.socket()
      socket.write(`POST ${path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: ${type}\r\n${head}\r\n\r\n`)
      socket.write(head.startsWith('T') ? '5\r\nword \r\n' : 'word word ')
      await (await api.get('/livez')).text()
      socket.destroy()
      while (!api.log.slice(before).some(({ fields }) => fields.path === path)) await (await api.get('/livez')).text()
      assert.is(api.log.slice(before).find(({ fields }) => fields.path === path)?.fields.status, 499)
    }
  }
  assert.is(api.store.writes, 0)
})

test('a text in another type or charset, or compressed, is refused', async () => {
  for (const type of [
    'text/html',
    'application/x-www-form-urlencoded',
    'text/plain; charset=iso-8859-1',
    'text/plain; charset="UTF-16"',
  ]) {
    const problem = await problemOf(await api.post('/v1/texts', 'a', { 'Content-Type': type }))
    assert.is(problem.status, 415, type)
    assert.is(problem.type, '/problems/media-type-unsupported')
  }
  for (const path of ['/keywords', '/v1/texts', '/v1/increments']) {
    for (const encoding of ['gzip', 'br', 'deflate', 'identity, gzip']) {
      const problem = await problemOf(await api.post(path, 'a', { 'Content-Encoding': encoding, ...TEXT }))
      assert.is(problem.type, '/problems/encoding-unsupported')
    }
  }
  const none = await api.raw('POST /v1/texts HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1\r\nConnection: close\r\n\r\na')
  assert.match(none, 'The Content-Type is missing')
  assert.is(api.store.writes, 0)
  for (const type of ['text/plain; charset=UTF-8', 'TEXT/PLAIN;charset="utf-8"', 'text/plain; charset=us-ascii']) {
    assert.is((await api.post('/v1/texts', 'a', { 'Content-Type': type, 'Content-Encoding': 'identity' })).status, 200)
  }
})

test('a write waits for room in the log and is then counted once', async () => {
  let open = (): void => {}
  api.store.delayAdmission(
    new Promise((resolve) => {
      open = resolve
    }),
  )
  const answer = api.post('/keywords', 'a')
  await (await api.post('/keywords', 'b')).text()
  assert.is(await value('a'), '0')
  open()
  assert.is((await answer).status, 200)
  assert.is(await value('a'), '1')
})

test('the reply of a write waits until it is durable', async () => {
  const release = api.store.hold()
  let answered = false
  const write = api.post('/keywords', 'a').then((response) => {
    answered = true
    return response.status
  })
  while (api.store.writes === 0) await (await api.get('/livez')).text()
  await (await api.get('/livez')).text()
  assert.not(answered)
  release()
  assert.is(await write, 200)
})

test('many texts at once do not mix', async () => {
  const names = Array.from({ length: 90 }, (_, index) => `only${index}`)
  const texts = names.map((name, index) => `${name} shared `.repeat(1 + (index % 9) * 2000))
  const answers = await Promise.all(texts.map(async (text) => (await api.post('/v1/texts', text, TEXT)).json()))
  for (const [index, answer] of answers.entries()) assert.equal(answer, { tokens: (1 + (index % 9) * 2000) * 2, distinct: 2 })
  for (const [index, name] of names.entries()) assert.is(await value(name), String(1 + (index % 9) * 2000))
})

test.run()
