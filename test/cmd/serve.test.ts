// A node as a process: its start, its end by each way there is, and what it says when it cannot start.
// time limit: 600 s

import { once } from 'node:events'
import { writeFileSync } from 'node:fs'
import { type ClientRequest, createServer, request as httpRequest } from 'node:http'
import type { AddressInfo } from 'node:net'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { type Exit, type NodeProcess, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'

const test = suite<{ dataDir: string; remove: () => void; nodes: NodeProcess[] }>('cmd/serve')

test.before.each((context) => {
  const { path, remove } = temporaryDirectory()
  Object.assign(context, { dataDir: path, remove, nodes: [] })
})
test.after.each(async ({ remove, nodes }) => {
  for (const node of nodes) await node.end('SIGKILL')
  remove()
})

const count = (node: NodeProcess, text: string) => fetch(`${node.url}/keywords`, { method: 'POST', body: text })
const read = async (node: NodeProcess, word: string) => {
  const response = await fetch(`${node.url}/keywords?keywords=${word}`)
  return ((await response.json()) as Array<{ count: number }>)[0]!.count
}

const pause = (ms: number) => new Promise<undefined>((done) => setTimeout(() => done(undefined), ms))

/** A text whose headers the node has for certain, and whose body is still to come. `status` is undefined when it is cut off. */
async function beginRequest(node: NodeProcess): Promise<{ request: ClientRequest; status: Promise<number | undefined> }> {
  const request = httpRequest(`${node.url}/keywords`, { method: 'POST', headers: { expect: '100-continue' } })
  const status = new Promise<number | undefined>((done) => {
    request.on('response', (response) => done(response.resume().statusCode))
    request.on('error', () => done(undefined))
  })
  request.flushHeaders()
  await once(request, 'continue')
  request.write('first ')
  return { request, status }
}

async function beginDrain(node: NodeProcess): Promise<void> {
  node.child.kill('SIGTERM')
  while (!node.stderr().includes('ends after the requests under way')) await pause(10)
}

test('a node with nothing set but a port says where it answers, counts, and reads its counts again after a restart', async (context) => {
  const { dataDir, nodes } = context
  const first = await startNode({ dataDir })
  nodes.push(first)
  assert.match(first.stdout(), /^counter \d+\.\d+\.\d+ {2}node 0 {2}data .* \(empty\)$/m)
  assert.is((await count(first, 'to be or not to be')).status, 200)
  assert.is(await read(first, 'be'), 2)
  assert.equal(await first.end('SIGTERM'), { code: 0, signal: null })

  const second = await startNode({ dataDir })
  nodes.push(second)
  assert.match(second.stdout(), '(4 names, read in')
  assert.is(await read(second, 'be'), 2)
  assert.equal(await second.end('SIGINT'), { code: 0, signal: null })
})

test('what was acknowledged is there after kill -9', async ({ dataDir, nodes }) => {
  const first = await startNode({ dataDir })
  nodes.push(first)
  await count(first, 'kept')
  assert.equal(await first.end('SIGKILL'), { code: null, signal: 'SIGKILL' })
  const second = await startNode({ dataDir })
  nodes.push(second)
  assert.is(await read(second, 'kept'), 1)
})

test('health, readiness and metrics answer', async ({ dataDir, nodes }) => {
  const node = await startNode({ dataDir })
  nodes.push(node)
  await count(node, 'a a b')
  assert.is((await fetch(`${node.url}/livez`)).status, 200)
  const ready = await fetch(`${node.url}/readyz?verbose`)
  assert.is(ready.status, 200)
  assert.match(await ready.text(), 'log: writable')
  const metrics = await (await fetch(`${node.url}/metrics`)).text()
  assert.match(metrics, /^counter_names 2$/m)
  assert.match(metrics, /^counter_log_records_total 1$/m)
  assert.match(metrics, /^counter_writable 1$/m)
  // Alone it never has to take anything back: test/e2e/keyed-failover.test.ts has others.
  for (const name of ['tentative_writes', 'tentative_bytes', 'withdrawals_total']) assert.match(metrics, `\ncounter_${name} 0\n`)
})

test('a request under way when SIGTERM comes is answered before the end', async ({ dataDir, nodes }) => {
  const node = await startNode({ dataDir })
  nodes.push(node)
  const { request, status } = await beginRequest(node)
  await beginDrain(node)
  request.end('last')
  assert.is(await status, 200)
  assert.equal(await node.exited, { code: 0, signal: null })

  const again = await startNode({ dataDir })
  nodes.push(again)
  assert.is(await read(again, 'last'), 1)
})

test('a second signal ends the node at once', async ({ dataDir, nodes }) => {
  const node = await startNode({ dataDir, env: { COUNTER_DRAIN_TIMEOUT: '1h' } })
  nodes.push(node)
  const { status } = await beginRequest(node)
  await beginDrain(node)
  // One that follows at once counts as the same signal, so it is repeated until the node has ended.
  let exit: Exit | undefined
  while (exit === undefined) {
    node.child.kill('SIGTERM')
    exit = await Promise.race([node.exited, pause(50)])
  }
  assert.is(exit.code, 143)
  assert.is(await status, undefined)
})

test('requests that do not end are cut off when the time to drain is over', async ({ dataDir, nodes }) => {
  const node = await startNode({ dataDir, env: { COUNTER_DRAIN_TIMEOUT: '200ms' } })
  nodes.push(node)
  const { status } = await beginRequest(node)
  assert.is((await node.end('SIGTERM')).code, 0)
  assert.is(await status, undefined)
  assert.match(node.stderr(), 'requests were cut off')
})

test('a port that is taken is named with its setting', async ({ dataDir }) => {
  const other = createServer().listen(0, '127.0.0.1')
  await new Promise((done) => other.once('listening', done))
  const { port } = other.address() as AddressInfo
  const run = await runToEnd(['serve', '--data-dir', dataDir, '--public-port', String(port)])
  await new Promise((done) => other.close(done))
  assert.is(run.code, 1)
  assert.is(run.stdout, '')
  assert.match(run.stderr, /PORT_UNUSABLE/)
  assert.match(run.stderr, 'COUNTER_PUBLIC_PORT')
})

test('a second node on one data directory is refused', async ({ dataDir, nodes }) => {
  nodes.push(await startNode({ dataDir }))
  const run = await runToEnd(['serve', '--data-dir', dataDir, '--public-port', '0'])
  assert.is(run.code, 1)
  assert.match(run.stderr, 'DIRECTORY_LOCKED')
})

test('a data directory that cannot be one is refused with its name', async ({ dataDir }) => {
  const path = join(dataDir, 'file')
  writeFileSync(path, '')
  const run = await runToEnd(['serve', '--data-dir', path, '--public-port', '0'])
  assert.is(run.code, 1)
  assert.match(run.stderr, path)
})

test('the banner names the sync port and the seeds; a seed that does not answer holds nothing up', async ({ dataDir, nodes }) => {
  const node = await startNode({ dataDir, env: { COUNTER_SEEDS: 'http://127.0.0.1:9' } })
  nodes.push(node)
  assert.match(node.stdout(), /Sync +http:\/\/127\.0\.0\.1:\d+ +\(seeds: http:\/\/127\.0\.0\.1:9\)/)
  assert.is((await count(node, 'be')).status, 200)
})

test('the settings reach what they are for: words, names and bodies', async ({ dataDir, nodes }) => {
  const env = { COUNTER_TOKENIZER: 'word', COUNTER_KEYS_MAX: '2', COUNTER_BODY_BYTES_MAX: '1KiB', COUNTER_NAME_BYTES_MAX: '5' }
  const node = await startNode({ dataDir, env })
  nodes.push(node)
  assert.is((await count(node, 'be, "be"! not')).status, 200)
  assert.is(await read(node, 'be'), 2)
  assert.is((await count(node, 'third')).status, 507)
  assert.is((await count(node, 'longer')).status, 400)
  assert.is((await count(node, 'be '.repeat(400))).status, 413)
  assert.is(await read(node, 'be'), 2)
})

test('with a token, requests without it are refused', async ({ dataDir, nodes }) => {
  const token = 'a-token-of-our-own'
  const node = await startNode({ dataDir, env: { COUNTER_TOKEN: token } })
  nodes.push(node)
  assert.is((await count(node, 'a')).status, 401)
  const answer = await fetch(`${node.url}/keywords`, { method: 'POST', body: 'a', headers: { authorization: `Bearer ${token}` } })
  assert.is(answer.status, 200)
  assert.not.match(node.stdout() + node.stderr(), token)
})

test.run()
