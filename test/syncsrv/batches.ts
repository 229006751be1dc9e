// Batches of items that all members of a virtual cluster keep, or none; and a checker that looks at every node again and again: of each batch
// there is everything or nothing, of a refused one nothing ever, and in the end all nodes hold the same, with all that was acknowledged.

import { CounterError } from '../../lib/base/errors.ts'
import { AcceptanceRefused } from '../../lib/cluster/index.ts'
import type { Accepted } from '../../lib/syncsrv/index.ts'
import { once, plainReply } from '../persistence/harness.ts'
import type { Cluster, Node } from './cluster.ts'

export const ITEMS = 3

export interface Batch {
  /** Also the tenant of its items; no other batch has one of them. */
  readonly name: string
  readonly ids: readonly string[]
  outcome: 'unknown' | 'acknowledged' | 'refused'
  answer: Accepted | undefined
  error: unknown
  /** Whether a node that could have told of it has shown it. */
  shown: boolean
}

export class Batches {
  readonly cluster: Cluster
  readonly all: Batch[] = []
  readonly breaches: string[] = []
  /** Nodes that run. */
  readonly running = new Set<Node>()
  looks = 0

  constructor(cluster: Cluster, nodes: readonly Node[]) {
    this.cluster = cluster
    for (const node of nodes) this.running.add(node)
    cluster.onStep = () => this.look()
  }

  /** Sends a batch to a node. Resolves with it when it has its answer; when the node dies before, never. */
  async send(node: Node, accept: 'majority' | 'all', key?: string): Promise<Batch> {
    const name = `batch-${this.all.length}`
    const ids = Array.from({ length: ITEMS }, (_, index) => `${name}-item-${index}`)
    const batch: Batch = { name, ids, outcome: 'unknown', answer: undefined, error: undefined, shown: false }
    this.all.push(batch)
    return this.sendAgain(batch, node, accept, key)
  }

  async sendAgain(batch: Batch, node: Node, accept: 'majority' | 'all', key?: string): Promise<Batch> {
    const changes = batch.ids.map((id) => ({ id, tenant: batch.name }))
    try {
      batch.answer = await node.replication.acceptItems(
        changes,
        accept,
        () => plainReply(batch.name),
        key ? once(key) : undefined,
      )
      batch.outcome = 'acknowledged'
    } catch (error) {
      batch.error = error
      // A node that ends may have written it just before.
      const isRefused = error instanceof AcceptanceRefused || (error instanceof CounterError && !isUnclear(error))
      if (isRefused && batch.outcome === 'unknown') batch.outcome = 'refused'
      if (!(error instanceof CounterError)) throw error
    }
    return batch
  }

  kill(node: Node): void {
    if (this.running.delete(node)) node.kill()
  }

  async start(node: Node): Promise<void> {
    await node.open()
    this.running.add(node)
    await node.replication.start()
  }

  /** How many items of the batch a node shows. */
  countOn(node: Node, batch: Batch): number {
    return batch.ids.filter((id) => node.store.item(id)?.tenant === batch.name).length
  }

  /** Looks at every node that runs. */
  look(): void {
    this.looks++
    for (const node of this.running) {
      const settled = node.store.settled() === undefined
      for (const batch of this.all) {
        const count = this.countOn(node, batch)
        const counted = node.store.tenantCount(batch.name)
        if (count !== 0 && count !== ITEMS) this.#breach(`node ${node.id} shows ${count} of ${ITEMS} items of ${batch.name}`)
        if (counted !== count) this.#breach(`node ${node.id} counts ${counted} for ${batch.name}, and has ${count}`)
        if (count > 0 && batch.outcome === 'refused') this.#breach(`node ${node.id} shows ${batch.name}, which was refused`)
        if (count > 0 && settled) batch.shown = true
        if (count === 0 && batch.shown && settled && this.#hasShown(node, batch))
          this.#breach(`node ${node.id} has lost ${batch.name}`)
        if (count > 0 && settled) this.#shownBy(batch).add(node)
      }
    }
  }

  readonly #showings = new Map<Batch, Set<Node>>()

  #shownBy(batch: Batch): Set<Node> {
    let nodes = this.#showings.get(batch)
    if (nodes === undefined) {
      nodes = new Set()
      this.#showings.set(batch, nodes)
    }
    return nodes
  }

  #hasShown(node: Node, batch: Batch): boolean {
    return this.#shownBy(batch).has(node)
  }

  #breach(what: string): void {
    if (!this.breaches.includes(what)) this.breaches.push(what)
  }

  /** All nodes run and reach each other again: waits until they agree and no promise is left, and says what is wrong then. */
  async conclude(limitMs = 120_000): Promise<string[]> {
    const { cluster } = this
    const nodes = [...this.running]
    const agree = (): boolean =>
      nodes.every((node) => nodes.every((other) => node.store.vector().covers(other.store.vector()))) &&
      nodes.every((node) => node.replication.status().promisedBatches === 0 && promisesOf(node) === 0)
    try {
      await cluster.until(agree, limitMs)
    } catch {
      for (const node of nodes) {
        const said = `${node.replication.status().promisedBatches} promises, ${promisesOf(node)} notes of them`
        this.#breach(`node ${node.id} does not agree with the others in the end, or has promises left: ${said}`)
      }
    }
    this.look()
    for (const batch of this.all) {
      const counts = nodes.map((node) => this.countOn(node, batch))
      if (new Set(counts).size > 1) this.#breach(`${batch.name} is on some nodes only: ${counts}`)
      if (batch.outcome === 'acknowledged' && counts.includes(0))
        this.#breach(`${batch.name} was acknowledged, and is lost: ${counts}`)
      if (batch.shown && counts.includes(0)) this.#breach(`${batch.name} was shown, and is gone: ${counts}`)
    }
    return this.breaches
  }
}

/** Notes of promises that a node has on its disk. */
export const promisesOf = (node: Node): number => [...node.store.notesUnder('prepare/')].length

const isUnclear = ({ code }: CounterError): boolean => code === 'LOG_FAILED' || code === 'CLOSED'
