import { createServer, type Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../lib/base/clock.ts'
import { createLegacyClient } from '../../lib/syncsrv/legacy-post.ts'
import { rejection } from '../persistence/harness.ts'
import { serveOriginal } from '../support/original.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const test = suite('syncsrv/legacy-post')

const BODY = Buffer.from('[{"hash_keyword":7,"totals":[1]}]')
const AN_HOUR_MS = 3_600_000

async function listening(server: Server): Promise<{ url: string; close(): Promise<unknown> }> {
  await new Promise<void>((done) => server.listen(0, '127.0.0.1', done))
  const close = (): Promise<unknown> => {
    server.closeAllConnections()
    return new Promise((done) => server.close(done))
  }
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, close }
}

test('an original takes a body, and a kept connection is told from a new one', async () => {
  const node = await serveOriginal(0, [], AN_HOUR_MS)
  const client = createLegacyClient({ clock: systemClock, timeoutMs: 10_000 })
  try {
    assert.equal(await client.post(`${node.syncUrl}/sync`, BODY), { reused: false })
    assert.equal(await client.post(`${node.syncUrl}/sync`, BODY), { reused: true })
    assert.equal(node.original.totals, new Map([[7n, [1n]]]))
  } finally {
    client.close()
    await node.close()
  }
})

test('an answer that is not 200 is a refusal, a closed port is unreachable', async () => {
  const node = await serveOriginal(0, [], AN_HOUR_MS)
  const client = createLegacyClient({ clock: systemClock, timeoutMs: 10_000 })
  const refused = await rejection(client.post(`${node.syncUrl}/sync`, Buffer.from('[')))
  assert.is(refused.code, 'PEER_REFUSED')
  assert.match(refused.message, /answered 400/)
  await node.close()
  assert.is((await rejection(client.post(`${node.syncUrl}/sync`, BODY))).code, 'PEER_UNREACHABLE')
  client.close()
})

test('an original that does not answer is given up in time, and close gives up at once', async () => {
  const clock = new VirtualClock()
  let arrived = (): void => {}
  const silent = await listening(createServer(() => arrived()))
  const client = createLegacyClient({ clock, timeoutMs: 5000 })
  /** What becomes of a request that has arrived and was then dealt with so. */
  const after = async (deal: () => void) => {
    const there = new Promise<void>((done) => {
      arrived = done
    })
    const failed = rejection(client.post(`${silent.url}/sync`, BODY))
    await there
    deal()
    return failed
  }
  const late = await after(() => assert.ok(clock.advance(5000)))
  assert.is(late.code, 'PEER_UNREACHABLE')
  assert.match(late.message, /within 5000 ms/)
  const broken = await after(() => client.close())
  assert.is(broken.code, 'PEER_UNREACHABLE')
  await silent.close()
})

test.run()
