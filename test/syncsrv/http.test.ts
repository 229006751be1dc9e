// The sync port and the transport to it, over real sockets: what arrives, how it streams, and how it ends.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { collect, Pair, SECRET } from './http-harness.ts'

const test = suite('syncsrv/http')

const pair = new Pair()
test.after.each(() => pair.close())

test('a request brings its answer, message by message', async () => {
  const { url, server } = await pair.serve({ secrets: [SECRET] })
  const messages = await collect(pair.transport({ secrets: [SECRET] }).request(url, '/v1/exchange', Uint8Array.of(3, 1, 2), 1000))
  assert.equal(messages, [Uint8Array.of(3, 1, 2), Uint8Array.of(3, 1, 2), Uint8Array.of(3, 1, 2)])
  assert.is(server.counters.requests, 1)
})

test.run()
