// Batches of items that all members of a virtual cluster keep, or none; and a checker that looks at every node again and again: of each batch
// there is everything or nothing, of a refused one nothing ever, and in the end all nodes hold the same, with all that was acknowledged or
// shown. And who says that all have accepted has asked somebody who could.

import { CounterError } from '../../lib/base/errors.ts'
import { AcceptanceRefused } from '../../lib/cluster/index.ts'
import type { Accepted } from '../../lib/syncsrv/index.ts'
import { once, plainReply } from '../persistence/harness.ts'
import type { Cluster, Node } from './cluster.ts'

const ITEMS = 3
/** An item that each batch takes for itself; the last one has it. */
const CONTESTED = 'contested'

export interface Batch {
  /** Also the tenant of its items; no other batch has one of them. */
  readonly name: string
  readonly ids: readonly string[]
  /** `plain` asks nobody. */
  readonly accept: 'plain' | 'majority' | 'all'
  outcome: 'unknown' | 'acknowledged' | 'refused'
  answer: Accepted | undefined
  error: CounterError | undefined
  /** Nodes that have shown it, durably. */
  readonly shownBy: Set<Node>
}

/** One request for a batch. */
interface Attempt {
  readonly batch: Batch
  readonly coordinator: Node
  /** The other members, and those of them that the coordinator takes for dead. */
  readonly others: readonly Node[]
  readonly dead: ReadonlySet<Node>
  /** What has kept each of the others from accepting it, from the beginning of the request on. */
  readonly hindrances: Map<Node, Set<string>>
}

export class Batches {
  readonly cluster: Cluster
  readonly all: Batch[] = []
  /** Nodes that run. */
  readonly running = new Set<Node>()
  /** Nodes that refuse whatever they are asked. */
  readonly refusing = new Set<Node>()
  /** Ways that are cut, as "address address". */
  readonly cuts = new Set<string>()
  /** Called with each node after it was opened. */
  readonly #plant: (node: Node) => void
  readonly #breaches = new Set<string>()
  readonly #attempts = new Set<Attempt>()
  readonly #seen = new WeakMap<object, Map<Batch, { counted: number; count: number }>>()

  constructor(cluster: Cluster, nodes: readonly Node[], plant: (node: Node) => void = () => {}) {
    this.cluster = cluster
    this.#plant = plant
    for (const node of nodes) {
      this.running.add(node)
      plant(node)
    }
    cluster.onStep = () => this.look()
  }

  get breaches(): string[] {
    return [...this.#breaches]
  }

  /** Sends a batch to a node. Resolves when it has its answer; never, when the node dies before. */
  async send(node: Node, accept: Batch['accept'], key?: string): Promise<Batch> {
    const name = `batch-${this.all.length}`
    const ids = Array.from({ length: ITEMS }, (_, index) => `${name}-item-${index}`)
    const batch: Batch = { name, ids, accept, outcome: 'unknown', answer: undefined, error: undefined, shownBy: new Set() }
    this.all.push(batch)
    return this.sendAgain(batch, node, key)
  }

  async sendAgain(batch: Batch, node: Node, key?: string): Promise<Batch> {
    const { accept, name } = batch
    const changes = [...batch.ids.map((id) => ({ id, tenant: name })), { id: CONTESTED, tenant: `${name}-too` }]
    const reply = () => plainReply(name)
    const given = key === undefined ? undefined : once(key)
    // It is undecided again.
    if (batch.outcome === 'refused') batch.outcome = 'unknown'
    const attempt = this.#begin(batch, node)
    try {
      if (accept === 'plain') await node.store.changeItems(changes, reply, given)
      else {
        batch.answer = await node.replication.acceptItems(changes, accept, reply, given)
        if (!batch.answer.replayed) this.#checkConsent(attempt)
      }
      batch.outcome = 'acknowledged'
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      batch.error = error
      if (batch.outcome === 'unknown' && isRefusal(error)) batch.outcome = 'refused'
    } finally {
      this.#attempts.delete(attempt)
    }
    return batch
  }

  kill(node: Node): void {
    if (this.running.delete(node)) node.kill()
  }

  /** The machine dies: what was not synced is lost. */
  powerCut(node: Node): void {
    if (!this.running.has(node)) return
    this.kill(node)
    node.disk.powerCut(this.cluster.random, 0)
  }

  async start(node: Node): Promise<void> {
    await node.open()
    this.#plant(node)
    this.running.add(node)
    this.refusing.delete(node)
    await node.replication.start()
  }

  refuse(node: Node): void {
    this.refusing.add(node)
    node.store.refuseWrites(new CounterError('DRAINING', 'the test wants it to refuse'))
  }

  allow(node: Node): void {
    this.refusing.delete(node)
    node.store.refuseWrites(undefined)
  }

  cut(from: Node, to: Node): void {
    this.cuts.add(`${from.address} ${to.address}`)
    this.cluster.network.cut(from.address, to.address)
  }

  heal(): void {
    this.cuts.clear()
    this.cluster.network.heal()
  }

  /** How many items of the batch a node shows. */
  countOn(node: Node, batch: Batch): number {
    return batch.ids.filter((id) => node.store.item(id)?.tenant === batch.name).length
  }

  /** Looks at every node that runs. */
  look(): void {
    for (const { coordinator, hindrances } of this.#attempts) {
      for (const [node, reasons] of hindrances) {
        const now = this.#hindrancesOf(coordinator, node)
        for (const reason of reasons) if (!now.has(reason)) reasons.delete(reason)
      }
    }
    for (const node of this.running) for (const batch of this.all) this.#lookAt(node, batch)
  }

  #lookAt(node: Node, batch: Batch): void {
    const { name, outcome, shownBy } = batch
    const counted = node.store.tenantCount(name)
    // Nobody else has its items: while their count is what it was they have not changed either.
    const seen = this.#seen.get(node.store)?.get(batch)
    const count = seen?.counted === counted ? seen.count : this.countOn(node, batch)
    if (seen?.counted !== counted) this.#note(node, batch, { counted, count })
    if (count !== 0 && count !== ITEMS) this.#breach(`node ${node.id} shows ${count} of ${ITEMS} items of ${name}`)
    if (counted !== count) this.#breach(`node ${node.id} counts ${counted} items of ${name}, and has ${count}`)
    if (count > 0 && outcome === 'refused') this.#breach(`node ${node.id} shows ${name}, which was refused`)
    // What is not on disk yet nobody is shown.
    if (node.store.settled() !== undefined) return
    if (count > 0) shownBy.add(node)
    else if (shownBy.has(node)) this.#breach(`node ${node.id} has shown ${name}, and shows it no more`)
  }

  #note({ store }: Node, batch: Batch, seen: { counted: number; count: number }): void {
    const ofNode = this.#seen.get(store) ?? new Map()
    this.#seen.set(store, ofNode.set(batch, seen))
  }

  /**
   * All nodes run and reach each other again: waits until they agree and no promise is left.
   * @returns what was wrong, then and before
   */
  async conclude(limitMs = 60_000): Promise<string[]> {
    const { cluster } = this
    const nodes = [...this.running]
    const agree = (): boolean =>
      nodes.every((node) => nodes.every((other) => node.store.vector().covers(other.store.vector()))) &&
      nodes.every((node) => node.replication.status().promisedBatches === 0 && promisesOf(node) === 0)
    await cluster.until(agree, limitMs).catch(() => {
      for (const node of nodes) {
        const left = `${node.replication.status().promisedBatches} promises and ${promisesOf(node)} notes of them`
        this.#breach(`node ${node.id} has ${left} in the end, or not all that the others know`)
      }
    })
    this.look()
    const holders = nodes.map((node) => JSON.stringify(node.store.item(CONTESTED)))
    if (new Set(holders).size > 1) this.#breach(`the nodes do not agree whose the contested item is: ${holders}`)
    for (const batch of this.all) {
      const counts = nodes.map((node) => this.countOn(node, batch))
      if (new Set(counts).size > 1) this.#breach(`${batch.name} is on some nodes only: ${counts}`)
      if (batch.outcome === 'acknowledged' && counts.includes(0))
        this.#breach(`${batch.name} was acknowledged, and is lost: ${counts}`)
      if (batch.shownBy.size > 0 && counts.includes(0)) this.#breach(`${batch.name} was shown, and is gone: ${counts}`)
      for (const id of batch.ids) {
        const stamps = nodes.map((node) => node.store.item(id)?.stamp)
        if (new Set(stamps).size > 1) this.#breach(`${id} has not the same stamp on all nodes: ${stamps}`)
      }
    }
    return this.breaches
  }

  #begin(batch: Batch, coordinator: Node): Attempt {
    const states = new Map(coordinator.replication.status().members.map(({ node, state }) => [node, state]))
    const others = this.cluster.nodes.filter(({ id }) => id !== coordinator.id && states.has(id) && states.get(id) !== 'left')
    const dead = new Set(others.filter(({ id }) => states.get(id) === 'dead'))
    const hindrances = new Map(others.map((node) => [node, this.#hindrancesOf(coordinator, node)]))
    const attempt = { batch, coordinator, others, dead, hindrances }
    this.#attempts.add(attempt)
    return attempt
  }

  #hindrancesOf(coordinator: Node, node: Node): Set<string> {
    const reasons = new Set<string>()
    if (!this.running.has(node)) reasons.add('down')
    if (this.refusing.has(node)) reasons.add('refuses')
    if (this.cuts.has(`${coordinator.address} ${node.address}`)) reasons.add('is not reached')
    if (this.cuts.has(`${node.address} ${coordinator.address}`)) reasons.add('does not reach the coordinator')
    return reasons
  }

  /** A batch was accepted: enough members could have accepted it. */
  #checkConsent({ batch, others, dead, hindrances }: Attempt): void {
    this.look()
    const unable = others.filter((node) => hindrances.get(node)!.size > 0)
    const said = unable.map((node) => `node ${node.id} (${[...hindrances.get(node)!]})`).join(', ')
    if (batch.accept === 'all' && unable.some((node) => !dead.has(node)))
      this.#breach(`${batch.name} was accepted by all, though not by ${said}`)
    if (batch.accept === 'majority' && 2 * (others.length - unable.length + 1) <= others.length + 1) {
      this.#breach(`${batch.name} was accepted by a majority, though not by ${said}`)
    }
  }

  #breach(what: string): void {
    this.#breaches.add(what)
  }
}

/** Notes of promises that a node has on its disk. */
export const promisesOf = (node: Node): number => [...node.store.notesUnder('prepare/')].length

/** Whether the error says that nothing was kept. A node that ends may have written it just before; a key in flight says nothing. */
function isRefusal(error: CounterError): boolean {
  return error instanceof AcceptanceRefused || !['LOG_FAILED', 'CLOSED', 'KEY_IN_FLIGHT'].includes(error.code)
}
