// SIGTERM under 200 connections of 50 requests each, with a node taking over the port (A24 of docs/GUARANTEES.md).
// time limit: 400 s
// A request has failed when a byte of it was sent and no whole reply with status 200 came. It has not when nothing was sent: a reply with
// `Connection: close` ends a connection in order, and a new one may be refused; the client then waits and connects again.

import { once } from 'node:events'
import { request as httpRequest } from 'node:http'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { Ledger, requestOf } from '../support/ledger.ts'
import { Connection, readCounts, settle } from '../support/load.ts'
import { type NodeProcess, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const CONNECTIONS = 200
const REQUESTS = 50
const SIGTERM_AFTER = (CONNECTIONS * REQUESTS) / 4

const test = suite('e2e/drain')
const command = await buildCounter()
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))
const portOf = (node: NodeProcess): number => Number(new URL(node.url).port)

test(`no request fails when a node is stopped and started again under ${CONNECTIONS} connections`, async () => {
  const { path: dataDir, remove } = temporaryDirectory()
  const ledger = new Ledger({ keyedEvery: 0 })
  let over = false
  let node = await startNode({ dataDir, command })
  try {
    const port = portOf(node)
    const failures: string[] = []
    let [answered, asked, refused] = [0, () => {}, 0]
    const due = new Promise<void>((resolve) => {
      asked = resolve
    })
    const client = async () => {
      const connection = new Connection(port)
      for (let request = 0; request < REQUESTS && !over; ) {
        const op = ledger.begin()
        const outcome = await connection.request(requestOf(op))
        settle(ledger, op, outcome)
        if (outcome.kind === 'unsent') {
          refused++
          await pause(100)
          continue
        }
        if (outcome.kind === 'lost' || outcome.status !== 200) failures.push(`${op.name}: ${JSON.stringify(outcome)}`)
        if (++answered === SIGTERM_AFTER) asked()
        request++
      }
      connection.close()
    }
    const clients = Array.from({ length: CONNECTIONS }, client)
    await due
    assert.equal(await node.end('SIGTERM'), { code: 0, signal: null })
    node = await startNode({ dataDir, command, env: { COUNTER_PUBLIC_PORT: String(port) } })
    await Promise.all(clients)

    assert.equal(failures, [])
    assert.is(ledger.count('acknowledged'), CONNECTIONS * REQUESTS)
    assert.ok(refused > 0, 'void: the node was not away while requests were made')
    assert.equal(await ledger.check((names) => readCounts(port, names)), [])
  } finally {
    over = true
    await node.end('SIGKILL')
    remove()
  }
})

test('a second SIGTERM ends a node that still waits for a request, and loses nothing that was acknowledged', async () => {
  const { path: dataDir, remove } = temporaryDirectory()
  const ledger = new Ledger({ keyedEvery: 0 })
  let node = await startNode({ dataDir, command, env: { COUNTER_DRAIN_TIMEOUT: '1h', COUNTER_REQUEST_TIMEOUT: '1h' } })
  try {
    const connection = new Connection(portOf(node))
    for (let request = 0; request < 20; request++) {
      const op = ledger.begin()
      settle(ledger, op, await connection.request(requestOf(op)))
    }
    connection.close()
    const stuck = await beginRequest(node)
    node.child.kill('SIGTERM')
    while (!node.stderr().includes('ends after the requests under way')) await pause(10)
    await pause(600) // One that follows within half a second is taken for the same signal.
    assert.is(node.child.exitCode, null)
    assert.is((await node.end('SIGTERM')).code, 143)
    assert.is(await stuck.status, undefined)

    node = await startNode({ dataDir, command })
    assert.is(ledger.count('acknowledged'), 20)
    assert.equal(await ledger.check((names) => readCounts(portOf(node), names)), [])
    assert.equal(await readCounts(portOf(node), ['half']), new Map([['half', 0]]))
  } finally {
    await node.end('SIGKILL')
    remove()
  }
})

/** A text whose headers the node has for certain, and whose body never ends. The status is undefined when it is cut off. */
async function beginRequest(node: NodeProcess): Promise<{ status: Promise<number | undefined> }> {
  const request = httpRequest(`${node.url}/keywords`, { method: 'POST', headers: { expect: '100-continue' } })
  const status = new Promise<number | undefined>((done) => {
    request.on('response', (response) => done(response.resume().statusCode))
    request.on('error', () => done(undefined))
  })
  request.flushHeaders()
  await once(request, 'continue')
  request.write('half ')
  return { status }
}

test.run()
