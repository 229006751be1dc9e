// Replies that are lost on their way: a proxy cuts every tenth after the node has sent it, and clients repeat the request
// with its Idempotency-Key (A21 of docs/GUARANTEES.md).
// time limit: 500 s

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle } from '../support/load.ts'
import { startNode, temporaryDirectory } from '../support/process.ts'

const OPS = Number(process.env.OPS ?? 5_000)
const CLIENTS = 32
const CUT_ONE_IN = 10

const test = suite('e2e/retry')
const random = seededRandom(Number(process.env.SEED ?? 1))

/** A port that passes everything on to `port`, and cuts the connection instead of one reply in ten. */
class CuttingProxy {
  readonly #server: Server
  readonly #sockets = new Set<Socket>()
  replies = 0
  cuts = 0

  constructor(port: number) {
    this.#server = createServer((client) => {
      const node = connect(port, '127.0.0.1')
      for (const socket of [client, node]) {
        this.#sockets.add(socket)
        socket.setNoDelay().on('error', () => {})
        socket.on('close', () => {
          this.#sockets.delete(socket)
          client.destroy()
          node.destroy()
        })
      }
      client.on('data', (piece) => node.write(piece))
      node.on('data', (piece) => {
        this.replies++
        if (random.uint32() % CUT_ONE_IN > 0) return client.write(piece)
        this.cuts++
        // Some replies get half of their bytes across.
        if (random.uint32() % 2 === 0) client.write(piece.subarray(0, piece.length / 2))
        return client.destroySoon()
      })
    })
  }

  async listen(): Promise<number> {
    await once(this.#server.listen(0, '127.0.0.1'), 'listening')
    return (this.#server.address() as AddressInfo).port
  }

  async close(): Promise<void> {
    this.#server.close()
    for (const socket of this.#sockets) socket.destroy()
    await once(this.#server, 'close')
  }
}

test(`each of ${OPS} writes counts exactly once though a tenth of the replies is lost`, async () => {
  const { path: dataDir, remove } = temporaryDirectory()
  let node = await startNode({ dataDir })
  const port = Number(new URL(node.url).port)
  const proxy = new CuttingProxy(port)
  const ledger = new Ledger({ keyedEvery: 1 })
  let replayed = 0
  let attempts = 0
  try {
    const proxyPort = await proxy.listen()
    const client = async () => {
      const connection = new Connection(proxyPort)
      while (ledger.ops.length < OPS) {
        const op = ledger.begin()
        while (op.state !== 'acknowledged') {
          attempts++
          const outcome = await connection.request(requestOf(op))
          settle(ledger, op, outcome)
          if (outcome.kind !== 'answered') continue
          assert.ok(outcome.status === 200 || outcome.status === 409, JSON.stringify(outcome))
          if (outcome.headers['idempotency-replayed'] === 'true') replayed++
        }
      }
      connection.close()
    }
    await Promise.all(Array.from({ length: CLIENTS }, client))

    assert.ok(proxy.cuts > OPS / CUT_ONE_IN / 2, `void: only ${proxy.cuts} replies were cut`)
    assert.ok(replayed > proxy.cuts / 2 && replayed <= proxy.cuts, `${replayed} replayed, ${proxy.cuts} cut`)
    assert.is(ledger.count('acknowledged'), OPS)
    assert.equal(await ledger.check((names) => readCounts(port, names)), [])
    console.log(`${attempts} attempts for ${OPS} ops, ${proxy.cuts} replies cut, ${replayed} replayed`)

    // The replies are kept across a crash: the same requests once more change nothing.
    await node.end('SIGKILL')
    node = await startNode({ dataDir })
    const restarted = Number(new URL(node.url).port)
    const connection = new Connection(restarted)
    for (const op of ledger.ops.slice(-200)) {
      const outcome = await connection.request(requestOf(op))
      assert.ok(outcome.kind === 'answered' && outcome.headers['idempotency-replayed'] === 'true', JSON.stringify(outcome))
    }
    connection.close()
    assert.equal(await ledger.check((names) => readCounts(restarted, names)), [])
  } finally {
    await proxy.close()
    await node.end('SIGKILL')
    remove()
  }
})

test.run()
