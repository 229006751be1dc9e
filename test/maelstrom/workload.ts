// One run: nodes as processes, clients that add and read, trouble meanwhile, then healing, quiet, and the last reads. What comes out is
// judged by checkCounter; a run in which the troubles asked for did not happen proves nothing: it goes on for longer, and is void in the end.

import type { Random } from '../../lib/base/random.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { type Command, PATIENCE_MS, temporaryDirectory } from '../support/process.ts'
import { checkCounter } from './check-counter.ts'
import { History } from './history.ts'
import { Client, Member } from './member.ts'
import { CONTROL, Network, type NetworkCounts } from './network.ts'
import { type Trouble, Troubles } from './trouble.ts'

export interface RunOptions {
  readonly workload: 'pn-counter' | 'g-counter'
  readonly nodes: number
  /** At least; until enough was done and went wrong, it goes on for up to LONGER_MAX times as long. */
  readonly seconds: number
  readonly seed: number
  readonly troubles: readonly Trouble[]
  /** The program that speaks the protocol. */
  readonly command: Command
  /** On each node. */
  readonly clients?: number
  /** Further settings. */
  readonly env?: Readonly<Record<string, string>>
}

export interface RunResult {
  /** What should not be. */
  readonly breaches: readonly string[]
  /** Why the run proves nothing, if it does not. */
  readonly voids: readonly string[]
  readonly counts: Readonly<Record<string, number>>
  /** What the nodes wrote to stderr. */
  readonly logs: string
}

/** On a slow machine, or by chance, a run needs so many times as long to see enough. */
const LONGER_MAX = 4
const LOOK_MS = 1000
const CLIENTS = 2
/** After an answer a client waits up to this long. */
const THINK_MS = 15
const ANSWER_MS = 1000
/** The last reads count when all nodes have agreed for so long. */
const QUIET_MS = 1500
/** When they have not agreed by then, they are read as they are. */
const AGREE_MS = PATIENCE_MS
/** Of each last read. */
const FINAL_TRIES = 60
/** So that failures are noticed and healed within a run of seconds. */
const SETTINGS = {
  COUNTER_LOG_LEVEL: 'warn',
  COUNTER_LOG_FORMAT: 'json',
  COUNTER_SYNC_INTERVAL: '200ms',
  COUNTER_SYNC_TIMEOUT: '500ms',
  COUNTER_SUSPECT_TIMEOUT: '1s',
  COUNTER_JOIN_TIMEOUT: '1s',
  COUNTER_DIGEST_INTERVAL: '2s',
}

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

export async function runWorkload(options: RunOptions): Promise<RunResult> {
  const random = seededRandom(options.seed)
  const network = new Network(random)
  const control = new Client(CONTROL, network)
  const { path, remove } = temporaryDirectory()
  const nodes = Array.from({ length: options.nodes }, (_, index) => `n${index + 1}`)
  const env = { ...SETTINGS, ...options.env, COUNTER_DATA_DIR: path }
  const members = nodes.map((id) => new Member({ id, nodes, network, command: options.command, env }))
  const history = new History()
  try {
    await Promise.all(members.map((member) => member.start(control)))
    const clients = new Clients(options, network, nodes, history, random)
    const troubles = new Troubles({ troubles: options.troubles, members, network, control, random })
    const counts = () => ({ ...countsOf(history), kills: troubles.kills, partitions: troubles.partitions, ...network.counts })
    await pause(options.seconds * 1000)
    for (let more = 0; more < (LONGER_MAX - 1) * options.seconds * 1000; more += LOOK_MS) {
      // Of what is under way it is not known yet whether it stays unknown.
      const { addsUnknown, ...sure } = counts()
      if (voidsOf(options, { ...sure, addsUnknown: addsUnknown - clients.size }).length === 0) break
      await pause(LOOK_MS)
    }
    await Promise.all([clients.stop(), troubles.stop()])
    network.heal()
    const agreedMs = await untilQuiet(control, nodes)
    await readFinals(control, nodes, history)
    return {
      breaches: [...network.breaches, ...checkCounter(history.operations, { nodes, grows: options.workload === 'g-counter' })],
      voids: voidsOf(options, counts()),
      counts: { ...counts(), agreedMs },
      logs: members.map(({ id, stderr }) => `--- ${id}\n${stderr}`).join('\n'),
    }
  } finally {
    await Promise.all(members.map((member) => member.kill()))
    remove()
  }
}

/** Clients that each do one thing after the other on one node. */
class Clients {
  readonly #work: Promise<unknown>
  readonly #history: History
  readonly #random: Random
  readonly #workload: RunOptions['workload']
  /** How many there are, each with one operation under way at most. */
  readonly size: number
  #over = false

  constructor(options: RunOptions, network: Network, nodes: readonly string[], history: History, random: Random) {
    this.#history = history
    this.#random = random
    this.#workload = options.workload
    const each = options.clients ?? CLIENTS
    const all = nodes.flatMap((node) => Array.from({ length: each }, () => node))
    this.size = all.length
    this.#work = Promise.all(all.map((node, index) => this.#run(new Client(`c${index + 1}`, network), node)))
  }

  async stop(): Promise<void> {
    this.#over = true
    await this.#work
  }

  async #run(client: Client, node: string): Promise<void> {
    while (!this.#over) {
      await (this.#random.uint32() % 2 === 0 ? this.#add(client, node) : readOnce(client, node, this.#history, false))
      await pause(this.#random.uint32() % (THINK_MS + 1))
    }
  }

  async #add(client: Client, node: string): Promise<void> {
    const any = (this.#random.uint32() % 10) - 5
    const delta = this.#workload === 'g-counter' ? Math.abs(any) : any
    const operation = this.#history.begin('add', node, delta)
    const answer = await client.ask(node, { type: 'add', delta }, ANSWER_MS)
    if (answer?.type === 'add_ok') this.#history.end(operation, 'ok')
    else if (answer?.type === 'error' && isDefinite(answer.code)) this.#history.end(operation, 'failed')
  }
}

/** @returns whether it was answered */
async function readOnce(client: Client, node: string, history: History, final: boolean): Promise<boolean> {
  const operation = history.begin('read', node, 0, final)
  const answer = await client.ask(node, { type: 'read' }, ANSWER_MS)
  if (answer?.type !== 'read_ok') return false
  history.end(operation, 'ok', answer.value as number)
  return true
}

/** Maelstrom's codes after which it is certain that nothing was done. */
const isDefinite = (code: unknown): boolean => [1, 10, 11, 12, 14].includes(code as number)

/** Waits until all nodes have shown the same for QUIET_MS, or AGREE_MS. @returns how long it took them to agree */
async function untilQuiet(control: Client, nodes: readonly string[]): Promise<number> {
  const start = performance.now()
  let [since, agreed] = [start, undefined as unknown]
  for (let now = start; now < start + AGREE_MS; now = performance.now()) {
    const answers = await Promise.all(nodes.map((node) => control.ask(node, { type: 'read' }, ANSWER_MS)))
    const shown = new Set(answers.map((answer) => answer?.value))
    const [value] = shown
    if (shown.size > 1 || value === undefined || value !== agreed) {
      since = performance.now()
      agreed = shown.size === 1 ? value : undefined
    } else if (now - since > QUIET_MS) return Math.round(since - start)
    await pause(50)
  }
  return AGREE_MS
}

async function readFinals(control: Client, nodes: readonly string[], history: History): Promise<void> {
  for (const node of nodes) {
    for (let tries = 0; tries < FINAL_TRIES && !(await readOnce(control, node, history, true)); tries++);
  }
}

function countsOf(history: History) {
  return {
    added: history.count('add', 'ok'),
    addsFailed: history.count('add', 'failed'),
    addsUnknown: history.count('add', 'unknown'),
    read: history.count('read', 'ok'),
  }
}

/** Why a run proves nothing: fewer of something than one of `seconds` must have. */
function voidsOf(
  { seconds, troubles, nodes }: RunOptions,
  counts: ReturnType<typeof countsOf> & NetworkCounts & { kills: number },
) {
  const least: Array<[what: keyof typeof counts, count: number, wanted: boolean]> = [
    ['added', seconds * nodes * 2, true],
    ['read', seconds * nodes * 2, true],
    ['between', seconds * nodes, nodes > 1],
    ['cut', seconds, troubles.includes('partition') && nodes > 1],
    ['lost', seconds, troubles.includes('loss')],
    ['kills', seconds / 3, troubles.includes('kill')],
    ['addsUnknown', 1, troubles.includes('kill') || troubles.includes('loss')],
  ]
  return least
    .filter(([what, count, wanted]) => wanted && counts[what] < count)
    .map(([what, count]) => `void: ${what} is ${counts[what]}, expected ${Math.ceil(count)} at least`)
}
