// The sync port over TLS: who is believed by certificate, on both sides. The certificates are from test/fixtures/tls.

import { readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkTls, type Tls } from '../../lib/syncsrv/tls.ts'
import { collect, failureOf, Pair, SECRET, until } from './http-harness.ts'

const test = suite('syncsrv/http-tls')

const pair = new Pair()
test.after.each(() => pair.close())

const BODY = Uint8Array.of(1)
const file = (name: string): Buffer => readFileSync(new URL(`../fixtures/tls/${name}`, import.meta.url))
const ca = file('authority.pem')
const node: Tls = { cert: file('node.pem'), key: file('node.key'), ca }
/** It trusts the cluster's authority, but another one has signed its own certificate. */
const stranger: Tls = { cert: file('stranger.pem'), key: file('stranger.key'), ca }

/** 'answered', or how asking failed. */
async function ask(url: string, tls: Tls | undefined, secrets: readonly string[] = []): Promise<string> {
  const asking = collect(pair.transport({ secrets, ...(tls && { tls }) }).request(url, '/v1/exchange', BODY, 1000))
  return asking.then(
    () => 'answered',
    () => failureOf(asking),
  )
}

test('members with certificates of one authority believe each other without a secret', async () => {
  const { url } = await pair.serve({ tls: node })
  assert.match(url, /^https:/)
  assert.is(await ask(url, node), 'answered')
})

test('it works by IPv6 address and by name', async () => {
  for (const host of ['::1', 'localhost']) {
    const { url } = await pair.serve({ tls: node, host })
    assert.is(await ask(url, node), 'answered')
  }
})

test('with an authority, a client without a certificate or with a foreign one is refused before it can ask', async () => {
  const { url, server } = await pair.serve({ tls: node })
  assert.match(await ask(url, stranger), /^(SYNC_UNTRUSTED|PEER_UNREACHABLE) /)
  const without = { cert: '', key: '', ca } as unknown as Tls
  assert.match(await ask(url, without), /^(SYNC_UNTRUSTED|PEER_UNREACHABLE) /)
  assert.is(server.counters.requests, 0)
  await until(() => server.counters.refusedUnsigned === 2)
})

test('a server with a foreign certificate is not believed', async () => {
  const { url } = await pair.serve({ tls: { ...stranger, ca: file('foreign-authority.pem') } })
  assert.match(await ask(url, node), /^SYNC_UNTRUSTED .*no trusted connection/)
})

test('a server whose certificate is for other names is not believed', async () => {
  const { port } = await pair.serve({ tls: node, host: '127.0.0.1' })
  assert.match(await ask(`https://127.0.0.2:${port}`, node), /^(SYNC_UNTRUSTED|PEER_UNREACHABLE) /)
})

test('without an authority TLS only hides, and the secret decides', async () => {
  const { cert, key } = node
  const { url } = await pair.serve({ tls: { cert, key }, secrets: [SECRET] })
  assert.is(await ask(url, stranger, [SECRET]), 'answered')
  assert.match(await ask(url, stranger), /^PEER_REFUSED .*status 401/)
})

test('with an authority and a secret, both are asked for', async () => {
  const { url } = await pair.serve({ tls: node, secrets: [SECRET] })
  assert.is(await ask(url, node, [SECRET]), 'answered')
  assert.match(await ask(url, node), /^PEER_REFUSED .*status 401/)
})

test('http where https is spoken, and the other way round, fails with a word', async () => {
  const [plain, secure] = [await pair.serve(), await pair.serve({ tls: node })]
  assert.match(await ask(plain.url.replace('http:', 'https:'), node), /^(SYNC_UNTRUSTED|PEER_UNREACHABLE) /)
  assert.match(await ask(secure.url.replace('https:', 'http:'), node), /^PEER_UNREACHABLE /)
})

test('files that do not belong together are a CONFIG_INVALID that says what to give', () => {
  checkTls(node)
  for (const tls of [
    { ...node, key: stranger.key },
    { ...node, cert: 'no certificate' },
    { ...node, ca: 'no authority' },
  ]) {
    assert.throws(
      () => checkTls(tls),
      (error: { code?: string; fix?: string }) => error.code === 'CONFIG_INVALID' && /PEM/.test(error.fix!),
    )
  }
})

test.run()
