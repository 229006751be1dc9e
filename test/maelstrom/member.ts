// One node of a run: a process that is started, killed and started again on the same directory, and the client that asks it.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { type Body, type Message, writeMessage } from '../../lib/maelstrom/message.ts'
import { type Command, cleanEnvironment, PATIENCE_MS } from '../support/process.ts'
import type { Network } from './network.ts'

export interface MemberOptions {
  readonly id: string
  readonly nodes: readonly string[]
  readonly network: Network
  readonly command: Command
  readonly env: Readonly<Record<string, string>>
}

export class Member {
  readonly #options: MemberOptions
  #child: ChildProcess | undefined
  #exited: Promise<unknown> = Promise.resolve()
  #stderr = ''

  constructor(options: MemberOptions) {
    this.#options = options
    options.network.connect(options.id, (message) => this.#receive(message))
  }

  get id(): string {
    return this.#options.id
  }

  /** What the process, and those before it, wrote to stderr. */
  get stderr(): string {
    return this.#stderr
  }

  /** Starts the process and tells it who it is. */
  async start(control: Client): Promise<void> {
    const { id, nodes, network, command, env } = this.#options
    const [program, ...args] = command
    const child = spawn(program, args, { env: { ...cleanEnvironment(), ...env }, stdio: ['pipe', 'pipe', 'pipe'] })
    this.#child = child
    let open = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      const lines = (open + text).split('\n')
      open = lines.pop()!
      for (const line of lines) network.takeLine(id, line)
    })
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      this.#stderr += text
    })
    // A process that is killed takes no more.
    child.stdin.on('error', () => {})
    this.#exited = once(child, 'close').then(([code, signal]) => {
      if (this.#child !== child) return
      this.#child = undefined
      network.breaches.push(`${id} ended by itself (${signal ?? `exit code ${code}`}):\n${this.#stderr}`)
    })
    const answer = await control.ask(id, { type: 'init', node_id: id, node_ids: nodes }, PATIENCE_MS)
    if (answer?.type !== 'init_ok') throw new Error(`${id} answers init with ${JSON.stringify(answer)}:\n${this.#stderr}`)
  }

  /** kill -9. What it has written before still arrives. */
  async kill(): Promise<void> {
    const child = this.#child
    this.#child = undefined
    child?.kill('SIGKILL')
    await this.#exited
  }

  #receive(message: Message): boolean {
    const input = this.#child?.stdin
    if (input?.writable !== true) return false
    input.write(writeMessage(message))
    return true
  }
}

/** Sends questions to nodes and waits for the answers. */
export class Client {
  readonly #id: string
  readonly #network: Network
  readonly #waiting = new Map<number, (body: Body) => void>()
  #lastId = 0

  constructor(id: string, network: Network) {
    this.#id = id
    this.#network = network
    network.connect(id, ({ body }) => {
      this.#waiting.get(body.in_reply_to ?? 0)?.(body)
      return true
    })
  }

  /** @returns the answer, or undefined when none came in time */
  ask(node: string, body: Body, timeoutMs: number): Promise<Body | undefined> {
    const msg_id = ++this.#lastId
    return new Promise((resolve) => {
      const settle = (answer: Body | undefined): void => {
        clearTimeout(timer)
        this.#waiting.delete(msg_id)
        resolve(answer)
      }
      const timer = setTimeout(() => settle(undefined), timeoutMs)
      this.#waiting.set(msg_id, settle)
      this.#network.send({ src: this.#id, dest: node, body: { ...body, msg_id } })
    })
  }
}
