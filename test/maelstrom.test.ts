// A node under Maelstrom, from its first message to the end of its input: who it is, what it answers, what it refuses, and that it
// answers nothing before that is on disk.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../lib/base/errors.ts'
import { type Body, type Message, readMessage, writeMessage } from '../lib/maelstrom/message.ts'
import { type MaelstromOpening, type MaelstromStore, runMaelstrom } from '../lib/maelstrom.ts'
import { Machine } from './persistence/harness.ts'

const test = suite('maelstrom')
const SETTINGS = { syncIntervalMs: 100, syncTimeoutMs: 500, joinTimeoutMs: 500, suspectTimeoutMs: 1000, digestIntervalMs: 0 }

/** Lines that are put in one by one. */
class Input {
  readonly #lines: string[] = []
  #wake: () => void = () => {}
  #over = false

  put(line: string): void {
    this.#lines.push(line)
    this.#wake()
  }

  end(): void {
    this.#over = true
    this.#wake()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    for (;;) {
      const line = this.#lines.shift()
      if (line !== undefined) yield line
      else if (this.#over) return
      else
        await new Promise<void>((resolve) => {
          this.#wake = resolve
        })
    }
  }
}

/** A node on a machine in memory, and a client that asks it. */
class Bench {
  readonly machine: Machine
  readonly input = new Input()
  readonly opened: MaelstromOpening[] = []
  readonly lines: string[] = []
  readonly ended: Promise<void>
  store: MaelstromStore | undefined
  #lastId = 0

  constructor(machine = new Machine(), open = (opening: MaelstromOpening) => this.#open(opening)) {
    this.machine = machine
    const { clock, random, logger } = machine
    this.ended = runMaelstrom({
      settings: SETTINGS,
      input: this.input,
      write: (line) => void this.lines.push(line),
      openStore: open,
      clock,
      random,
      logger,
    })
    this.ended.catch(() => {})
  }

  async #open(opening: MaelstromOpening): Promise<MaelstromStore> {
    this.opened.push(opening)
    const { nodeId, hash, onSettled } = opening
    this.store = await this.machine.open({ nodeId, hash, onSettled })
    return this.store
  }

  get heard(): Message[] {
    return this.lines.map((line) => readMessage(line)!)
  }

  send(body: Body): number {
    const msg_id = ++this.#lastId
    this.input.put(writeMessage({ src: 'c1', dest: 'n3', body: { ...body, msg_id } }))
    return msg_id
  }

  /** Sends, and carries on until it is answered. */
  async ask(body: Body): Promise<Body> {
    const id = this.send(body)
    for (let turn = 0; turn < 10_000; turn++) {
      const answer = this.heard.find((message) => message.dest === 'c1' && message.body.in_reply_to === id)
      if (answer !== undefined) {
        assert.is(answer.src, 'n3')
        return answer.body
      }
      if (!(await this.machine.step())) this.machine.clock.advance(1000)
    }
    throw new Error(`${JSON.stringify(body)} is not answered: ${this.machine.logger.lines.join('\n')}`)
  }

  async init(): Promise<void> {
    assert.is((await this.ask({ type: 'init', node_id: 'n3', node_ids: ['n3'] })).type, 'init_ok')
    // Writes are taken once the start of replication is over.
    while ((await this.ask({ type: 'add', delta: 0 })).code === 11);
  }

  async end(): Promise<void> {
    this.input.end()
    await this.machine.settle(this.ended)
  }
}

test('before init nothing is done but to say so, under the name it was called by', async () => {
  const bench = new Bench()
  for (const type of ['add', 'read', 'sync', 'sync_next']) assert.is((await bench.ask({ type, delta: 1 })).code, 11, type)
  assert.equal(bench.opened, [])
  await bench.end()
})

test('init opens the store of that node, once', async () => {
  const bench = new Bench()
  await bench.init()
  assert.is((await bench.ask({ type: 'init', node_id: 'n3', node_ids: ['n3'] })).type, 'init_ok')
  assert.equal(
    bench.opened.map(({ nodeId, name }) => [nodeId, name]),
    [[3, 'n3']],
  )
  assert.is((await bench.ask({ type: 'init', node_id: 'n4', node_ids: ['n4'] })).code, 12)
  await bench.end()
})

test('an init that says nothing usable is refused', async () => {
  const bench = new Bench()
  for (const [node_id, node_ids] of [
    [undefined, ['n3']],
    ['n3', undefined],
    ['x3', ['x3']],
    ['n03', ['n03']],
    ['n2147483648', ['n2147483648']],
    ['n3', ['n3', 4]],
  ]) {
    assert.is((await bench.ask({ type: 'init', node_id, node_ids })).code, 12, JSON.stringify([node_id, node_ids]))
  }
  assert.equal(bench.opened, [])
  await bench.end()
})

test('what is added is read, up and down, and again after a restart', async () => {
  const machine = new Machine()
  const bench = new Bench(machine)
  await bench.init()
  for (const delta of [5, -2, 0, 4]) assert.is((await bench.ask({ type: 'add', delta })).type, 'add_ok')
  assert.is((await bench.ask({ type: 'read' })).value, 7)
  await bench.end()
  const again = new Bench(machine)
  await again.init()
  assert.is((await again.ask({ type: 'read' })).value, 7)
  await again.end()
})

test('an add is answered when it is on disk, and so is a read that shows it', async () => {
  const bench = new Bench()
  await bench.init()
  const [add, read] = [bench.send({ type: 'add', delta: 5 }), bench.send({ type: 'read' })]
  const answered = (id: number) => bench.heard.some(({ body }) => body.in_reply_to === id)
  while (bench.store!.settled() === undefined) await bench.machine.step()
  while (bench.store!.settled() !== undefined) {
    assert.not(answered(add))
    assert.not(answered(read))
    await bench.machine.step()
  }
  while (!answered(add) || !answered(read)) await bench.machine.step()
  await bench.end()
})

test('what is no delta, no message or no line changes nothing', async () => {
  const bench = new Bench()
  await bench.init()
  for (const delta of [undefined, null, '1', 1.5, 2 ** 53, {}]) assert.is((await bench.ask({ type: 'add', delta })).code, 12)
  assert.is((await bench.ask({ type: 'write', value: 1 })).code, 10)
  assert.is((await bench.ask({ type: 'sync', path: '/v1/nothing', payload: '' })).code, 10)
  assert.is((await bench.ask({ type: 'sync', path: '/v1/exchange' })).code, 12)
  assert.is((await bench.ask({ type: 'sync', path: '/v1/exchange', payload: 'AAAA' })).code, 12)
  assert.is((await bench.ask({ type: 'topology', topology: {} })).type, 'topology_ok')
  bench.input.put('nonsense\n')
  assert.is((await bench.ask({ type: 'read' })).value, 0)
  assert.equal(
    bench.lines.filter((line) => readMessage(line) === undefined),
    [],
  )
  await bench.end()
})

test('a store that cannot be opened ends the node, and init is answered with an error', async () => {
  const failure = new CounterError('DIRECTORY_LOCKED', 'somebody has it')
  const bench = new Bench(new Machine(), () => Promise.reject(failure))
  assert.is((await bench.ask({ type: 'init', node_id: 'n3', node_ids: ['n3'] })).code, 13)
  assert.is(await bench.ended.catch((error) => error), failure)
})

test.run()
