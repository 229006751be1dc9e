// The proxy does what it says, and counts it: a test that stands behind it relies on both.

import { once } from 'node:events'
import { type AddressInfo, connect, createServer, type Socket } from 'node:net'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { seededRandom } from '../../lib/base/random.ts'
import { FaultProxy, freePort } from './fault-proxy.ts'

const test = suite('support/fault-proxy')

/** A server that answers in capitals, a proxy before it, and connections to that; all is closed after `work`. */
async function withProxy(work: (proxy: FaultProxy, open: () => Promise<Line>) => Promise<void>): Promise<void> {
  const sockets: Socket[] = []
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    sockets.push(socket)
    socket.on('error', () => {})
    socket.on('data', (bytes) => socket.write(bytes.toString('latin1').toUpperCase()))
    socket.on('end', () => socket.end('.'))
  }).listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy = await FaultProxy.open({ target: (server.address() as AddressInfo).port, random: seededRandom(1) })
  try {
    await work(proxy, async () => {
      const line = new Line(proxy.port)
      sockets.push(line.socket)
      await once(line.socket, 'connect')
      return line
    })
  } finally {
    await proxy.close()
    for (const socket of sockets) socket.destroy()
    server.close()
  }
}

class Line {
  readonly socket: Socket
  heard = ''
  /** How the connection ended. */
  readonly gone: Promise<string>

  constructor(port: number) {
    this.socket = connect({ port, host: '127.0.0.1', allowHalfOpen: true })
    this.socket.setEncoding('latin1').on('data', (text) => {
      this.heard += text
    })
    this.gone = new Promise((resolve) => {
      this.socket.on('error', (error: NodeJS.ErrnoException) => resolve(error.code!))
      this.socket.on('close', () => resolve('closed'))
    })
  }

  async hears(text: string): Promise<void> {
    while (this.heard !== text) {
      if (!text.startsWith(this.heard)) throw new Error(`heard ${this.heard} instead of ${text}`)
      await once(this.socket, 'data')
    }
  }
}

/** Waits until the proxy has seen it. */
async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((done) => setTimeout(done, 1))
}

test('bytes pass both ways, and are counted', () =>
  withProxy(async (proxy, open) => {
    const line = await open()
    line.socket.write('hello')
    await line.hears('HELLO')
    assert.is(proxy.counts.connections, 1)
    assert.is(proxy.counts.bytes, 10)
    assert.is(proxy.counts.delayed, 0)
  }))

test('an end passes, and the other direction stays open until it ends too', () =>
  withProxy(async (_, open) => {
    const line = await open()
    line.socket.end('bye')
    await line.hears('BYE.')
    assert.is(await line.gone, 'closed')
  }))

test('a cut that swallows is silence, and its connections are reset when it is healed', () =>
  withProxy(async (proxy, open) => {
    const [before, idle] = [await open(), await open()]
    proxy.cut()
    before.socket.write('hello')
    const during = await open()
    during.socket.write('hi')
    await until(() => proxy.counts.swallowedBytes === 7)
    proxy.heal()
    assert.is(await before.gone, 'ECONNRESET')
    assert.is(await during.gone, 'ECONNRESET')
    assert.equal([before.heard, during.heard], ['', ''])
    assert.is(proxy.counts.resets, 2)
    idle.socket.write('idle')
    await idle.hears('IDLE')
    const after = await open()
    after.socket.write('again')
    await after.hears('AGAIN')
  }))

test('a cut of the way back lets questions through', () =>
  withProxy(async (proxy, open) => {
    const line = await open()
    proxy.set({ back: 'swallow' })
    line.socket.write('hello')
    await until(() => proxy.counts.swallowedBytes === 5)
    assert.is(proxy.counts.bytes, 5)
    assert.is(line.heard, '')
  }))

test('a cut that holds delivers when it is healed', () =>
  withProxy(async (proxy, open) => {
    const line = await open()
    proxy.set({ there: 'hold' })
    line.socket.write('hello')
    await until(() => proxy.counts.heldBytes === 5)
    assert.is(proxy.counts.bytes, 0)
    proxy.heal()
    await line.hears('HELLO')
  }))

test('delay, jitter and a narrow line change nothing but time', () =>
  withProxy(async (proxy, open) => {
    const line = await open()
    proxy.set({ delayMs: 5, jitterMs: 10, bytesPerSecond: 1_000_000 })
    const text = 'abcdefghij'.repeat(3000)
    line.socket.write(text)
    await line.hears(text.toUpperCase())
    assert.ok(proxy.counts.delayed > 10)
  }))

test('connections can be reset at once, or each piece may', () =>
  withProxy(async (proxy, open) => {
    const first = await open()
    first.socket.write('a')
    await first.hears('A')
    proxy.reset()
    assert.is(await first.gone, 'ECONNRESET')
    proxy.set({ resetPermille: 1000 })
    const second = await open()
    second.socket.write('b')
    assert.is(await second.gone, 'ECONNRESET')
    assert.is(proxy.counts.resets, 2)
  }))

test('a half-close ends one direction alone', () =>
  withProxy(async (proxy, open) => {
    const line = await open()
    line.socket.write('a')
    await line.hears('A')
    const ended = once(line.socket, 'end')
    proxy.halfClose('back')
    await ended
    const { bytes } = proxy.counts
    line.socket.write('b')
    await until(() => proxy.counts.bytes > bytes)
    assert.is(proxy.counts.halfCloses, 1)
  }))

test('a connection that is reset while its end is on the way is gone, and leaves no socket open', () =>
  withProxy(async (proxy, open) => {
    const openSockets = () => process.getActiveResourcesInfo().filter((what) => what === 'TCPSocketWrap').length
    const before = openSockets()
    const line = await open()
    line.socket.write('x')
    await line.hears('X')
    proxy.halfClose('there')
    proxy.reset()
    await line.gone
    line.socket.destroy()
    for (const deadline = performance.now() + 5000; openSockets() > before && performance.now() < deadline; ) {
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    assert.ok(openSockets() <= before, `${openSockets()} sockets are open, ${before} were before`)
  }))

test('a port is given once, so that a node that is down finds its own again', async () => {
  const ports = await Promise.all(Array.from({ length: 20 }, freePort))
  assert.is(new Set(ports).size, ports.length)
})

test('nobody behind it is a connection that breaks off', async () => {
  const proxy = await FaultProxy.open({ target: await freePort(), random: seededRandom(1) })
  const line = new Line(proxy.port)
  assert.ok(['ECONNRESET', 'closed'].includes(await line.gone))
  assert.is(proxy.counts.refused, 1)
  await proxy.close()
})

test.run()
