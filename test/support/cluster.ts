// Real nodes that know each other only through proxies, one in front of each node's sync port: what a node advertises and what the others are
// given as its seed is its proxy. So a cut proxy keeps everybody from asking that node, while the node itself may still ask the others; with
// all proxies cut nobody hears of anybody. Ports stay the same over restarts.

import type { Random } from '../../lib/base/random.ts'
import { FaultProxy, freePort } from './fault-proxy.ts'
import { type Command, type Exit, type NodeProcess, PATIENCE_MS, startNode, temporaryDirectory } from './process.ts'

export interface ClusterOptions {
  readonly nodes: number
  readonly random: Random
  /** Further COUNTER_ variables of all nodes. */
  readonly env?: Readonly<Record<string, string>>
  readonly command?: Command
}

export interface ClusterNode {
  /** The node id, from 1. */
  readonly id: number
  readonly dataDir: string
  readonly publicPort: number
  readonly syncPort: number
  readonly proxy: FaultProxy
  /** undefined while it is down. */
  process: NodeProcess | undefined
}

export class Cluster {
  readonly nodes: readonly ClusterNode[]
  readonly #options: ClusterOptions
  readonly #remove: () => void

  private constructor(options: ClusterOptions, nodes: readonly ClusterNode[], remove: () => void) {
    this.#options = options
    this.nodes = nodes
    this.#remove = remove
  }

  /** Ports, proxies and directories; no node runs yet. */
  static async prepare(options: ClusterOptions): Promise<Cluster> {
    const { path, remove } = temporaryDirectory()
    const nodes: ClusterNode[] = []
    for (let id = 1; id <= options.nodes; id++) {
      const [publicPort, syncPort] = [await freePort(), await freePort()]
      const proxy = await FaultProxy.open({ target: syncPort, random: options.random })
      nodes.push({ id, dataDir: `${path}/n${id}`, publicPort, syncPort, proxy, process: undefined })
    }
    return new Cluster(options, nodes, remove)
  }

  /** Starts all nodes at once and waits until each is ready. */
  static async start(options: ClusterOptions): Promise<Cluster> {
    const cluster = await Cluster.prepare(options)
    // Those that come up are ended too when another one does not: none is left behind.
    const started = await Promise.allSettled(cluster.nodes.map((node) => cluster.start(node)))
    for (const start of started) {
      if (start.status === 'fulfilled') continue
      await cluster.close()
      throw start.reason
    }
    return cluster
  }

  /** Starts a node that is down. @param env of this life alone */
  async start(node: ClusterNode, env: Readonly<Record<string, string>> = {}): Promise<NodeProcess> {
    const { command } = this.#options
    const others = this.nodes.filter((other) => other !== node)
    node.process = await startNode({
      dataDir: node.dataDir,
      env: {
        COUNTER_NODE_ID: String(node.id),
        COUNTER_PUBLIC_PORT: String(node.publicPort),
        COUNTER_SYNC_PORT: String(node.syncPort),
        COUNTER_SYNC_ADVERTISE: node.proxy.url,
        COUNTER_SEEDS: others.map(({ proxy }) => proxy.url).join(','),
        ...this.#options.env,
        ...env,
      },
      ...(command === undefined ? {} : { command }),
    })
    return node.process
  }

  /** Ends a node; its directory stays. */
  async end(node: ClusterNode, signal: NodeJS.Signals = 'SIGKILL'): Promise<Exit | undefined> {
    const { process } = node
    node.process = undefined
    return process?.end(signal)
  }

  heal(): void {
    for (const { proxy } of this.nodes) proxy.heal()
  }

  /** Kills all nodes and removes what they wrote. */
  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => this.end(node)))
    await Promise.all(this.nodes.map(({ proxy }) => proxy.close()))
    this.#remove()
  }
}

/**
 * Asks again and again until `agree` says that the answers are the same, and gives how long that took.
 * @throws Error when they do not agree in the end, with the last answers
 */
export async function untilAgreed<T>(ask: () => Promise<T>, agree: (answers: T) => boolean): Promise<number> {
  const startMs = performance.now()
  for (;;) {
    const answers = await ask()
    const elapsedMs = performance.now() - startMs
    if (agree(answers)) return elapsedMs
    if (elapsedMs > PATIENCE_MS) throw new Error(`no agreement in ${PATIENCE_MS} ms: ${JSON.stringify(answers)}`)
    await new Promise((done) => setTimeout(done, 20))
  }
}
