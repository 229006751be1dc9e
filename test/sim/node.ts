// One random history of one node: the real store on a virtual disk and clock, clients that write, retry and read, and all that can
// happen to the machine. The seed decides everything, so the same seed gives the same history, step by step.
//
//   life := start [crash in the middle] (clients | snapshot | fault | time)* end        end := close | kill | power cut | failure
//   down := (rot | backup | restore | clone | wiped identity)*
//
// The checkers, one property each, are in check-*.ts.

import { CounterError } from '../../lib/base/errors.ts'
import { type Random, seededRandom } from '../../lib/base/random.ts'
import { type FsyncMode, Store, type StoreOptions } from '../../lib/persistence/index.ts'
import { batchOf, DIRECTORY, Machine, nameBytes, once, plainReply } from '../persistence/harness.ts'
import type { Fault } from '../support/virtual-disk.ts'
import { CheckCells } from './check-cells.ts'
import { addFaults } from './check-faults.ts'
import { checkLedger } from './check-ledger.ts'
import { CheckPlaces } from './check-places.ts'
import { CheckShown } from './check-shown.ts'
import { checkStart } from './check-start.ts'
import { checkTail } from './check-tail.ts'
import { checkWhole } from './check-whole.ts'
import { Ledger, type Op } from './ledger.ts'
import { NodeItems } from './node-items.ts'
import { NEVER_MS, NodePeer, PEER_BODY } from './node-peer.ts'
import { Rot } from './rot.ts'

export interface HistoryResult {
  readonly violations: string[]
  /** How often each thing happened. */
  readonly faults: Map<string, number>
  /** What happened, in order. */
  readonly trace: string[]
}

/** A disk that was full, or had too many files, is tried again within two seconds. */
const RETRY_MS = 2500
const REFUSALS = new Set(['DISK_FULL', 'LOG_BUSY', 'LOG_FAILED', 'CLOSED'])
const ERRORS: readonly Fault[] = ['EIO', 'EIO', 'ENOSPC', 'EMFILE', 'short', 'short']
/** One history in so many has items and notes too; the others are what they were before there were any. */
const ITEMS_EVERY = 3
/** And in so many one with another node that has counted some of the keys too. */
const PEER_EVERY = 3

export async function runHistory(seed: number): Promise<HistoryResult> {
  const history = new History(seed)
  await history.run()
  return { violations: history.violations, faults: history.faults, trace: history.trace }
}

class History {
  readonly violations: string[] = []
  readonly faults = new Map<string, number>()
  readonly trace: string[] = []
  readonly #random: Random
  readonly #machine: Machine
  readonly #fsync: FsyncMode
  readonly #overrides: Partial<StoreOptions>
  readonly #ledger = new Ledger()
  readonly #shown = new CheckShown()
  readonly #cells = new CheckCells()
  readonly #places = new CheckPlaces()
  readonly #rot: Rot
  readonly #items: NodeItems | undefined
  readonly #peer: NodePeer | undefined
  #store: Store | undefined
  #open = new Set<Promise<unknown>>()
  /** A fault that is planned has hit since this was cleared. */
  #faultHit = false
  /** The newest acknowledged increments may be gone. */
  #tailMayBeLost = false
  /** It rotted, in a way that no start can tell from a torn write. */
  #tailRotted = false
  /** The log may fail: an error other than a full disk has hit. */
  #mayFail = false
  #hasFailed: CounterError | undefined
  #restore: (() => void) | undefined
  #clones = 0

  constructor(seed: number) {
    this.#random = seededRandom(seed)
    this.#machine = new Machine(seed, seededRandom(seed ^ 0x5eed))
    this.#fsync = this.#oneOf(['always', 'always', 'always', 'interval', 'never'] as const)
    this.#overrides = {
      fsync: this.#fsync,
      segmentBytes: this.#oneOf([1024, 4096, 16_384]),
      snapshotLogBytes: this.#oneOf([0, 2048]),
      queueBytesMax: this.#oneOf([1 << 20, 16_384]),
      ...(seed % PEER_EVERY === 1 ? { replyTtlMs: NEVER_MS } : {}),
    }
    if (seed % PEER_EVERY === 1) this.#peer = new NodePeer(this.#ledger)
    this.#rot = new Rot(this.#machine.disk, this.#random)
    if (seed % ITEMS_EVERY !== 0) return
    this.#items = new NodeItems({
      violations: this.violations,
      places: this.#places,
      below: (limit) => this.#below(limit),
      chance: (percent) => this.#chance(percent),
      oneOf: (items) => this.#oneOf(items),
      happened: (what) => this.#happened(what),
      watch: (promise) => this.#watch(promise),
    })
  }

  async run(): Promise<void> {
    for (let life = 0; life < 6 && this.violations.length === 0; life++) {
      await this.#start()
      if (this.#store === undefined) break
      await this.#verify()
      await this.#live()
      await this.#end()
      await this.#down()
    }
    // The last word: an undisturbed start, and everything is read once more.
    if (this.violations.length === 0) {
      await this.#start(true)
      if (this.#store) await this.#verify()
    }
    addFaults(this.faults, this.#machine.disk.faults)
  }

  #happened(what: string): void {
    this.trace.push(what)
    this.faults.set(what, (this.faults.get(what) ?? 0) + 1)
  }

  #below(limit: number): number {
    return this.#random.uint32() % limit
  }

  #chance(percent: number): boolean {
    return this.#below(100) < percent
  }

  #oneOf<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!
  }

  async #start(undisturbed = false): Promise<void> {
    const { disk } = this.#machine
    for (let attempt = 0; attempt < 8; attempt++) {
      const last = undisturbed || attempt > 4
      this.#calm()
      if (!last && this.#chance(15)) this.#planFault()
      const crashAfter = !last && this.#chance(20) ? this.#below(60) : Number.POSITIVE_INFINITY
      let store: Store | undefined
      let error: unknown
      const opening = Store.open(this.#machine.options(this.#overrides)).then(
        (opened) => {
          store = opened
        },
        (reason) => {
          error = reason
        },
      )
      for (let step = 0; store === undefined && error === undefined && step < crashAfter; step++) {
        if ((await this.#machine.step()) || store || error) continue
        await this.#machine.rest()
        if (store === undefined && error === undefined && !this.#machine.clock.advance()) {
          this.violations.push('the start waits for ever')
          return
        }
      }
      if (store === undefined && error === undefined) {
        await this.#crash('start')
        continue
      }
      await opening
      if (store) {
        this.#rot.started()
        this.#store = store
        this.#peer?.started(store)
        this.#hasFailed = undefined
        void store.failed.then((failure) => {
          this.#hasFailed = failure
        })
        return
      }
      this.#happened(`start refused ${(error as CounterError).code}`)
      this.violations.push(...checkStart(error, this.#faultHit ? 'fault' : this.#rot.outstanding ? 'rot' : undefined))
      if (this.violations.length > 0) return
      if (disk.openCount > 0) this.violations.push(`${disk.openCount} files stay open after a start that was refused: ${error}`)
      if (this.#rot.outstanding && !this.#faultHit) this.#rot.heal()
    }
    this.violations.push('no start succeeded')
  }

  /** No faults any more. */
  #calm(): void {
    this.#machine.disk.plan = () => undefined
    this.#machine.disk.capacity = Number.POSITIVE_INFINITY
    this.#faultHit = false
    this.#mayFail = false
  }

  /** The k-th call from now fails, or all from there on for a while. */
  #planFault(): void {
    const fault = this.#oneOf(ERRORS)
    const kinds =
      fault === 'short'
        ? ['write', 'read']
        : fault === 'EMFILE'
          ? ['open', 'syncDirectory']
          : fault === 'ENOSPC'
            ? ['write', 'open']
            : undefined
    let before = this.#below(40)
    let times = this.#oneOf([1, 1, 1, 3])
    this.#machine.disk.plan = ({ kind }) => {
      if ((kinds && !kinds.includes(kind)) || before-- > 0 || times-- <= 0) return undefined
      if (fault !== 'short') {
        this.#faultHit = true
        this.#mayFail = true
      }
      return fault
    }
  }

  async #live(): Promise<void> {
    for (let turn = this.#below(40); turn > 0 && !this.#hasFailed && this.violations.length === 0; turn--) {
      const what = this.#items && this.#chance(40) ? 100 : this.#below(100)
      if (what === 100) this.#items!.turn(this.#store!)
      else if (this.#peer && this.#chance(15)) this.#tell(this.#peer)
      else if (what < 45) this.#write(this.#chance(30))
      else if (what < 55) this.#retry()
      else if (what < 70) this.#read()
      else if (what < 76) this.#watch(this.#store!.snapshot().catch(() => {}))
      else if (what < 80) this.#planFault()
      else if (what < 84) this.#fillDisk()
      else if (what < 88) this.#machine.disk.capacity = Number.POSITIVE_INFINITY
      else if (what < 92) await this.#machine.pass(this.#below(2500))
      else if (what < 94) this.#machine.clock.wallMs += this.#below(1_200_000) - 600_000
      else await this.#machine.rest()
      for (let steps = this.#below(25); steps > 0; steps--) await this.#machine.step()
    }
    if (this.#hasFailed && !this.#mayFail) this.violations.push(`the store failed without a cause: ${this.#hasFailed.message}`)
  }

  #watch(promise: Promise<unknown>): void {
    this.#open.add(promise)
    void promise.finally(() => this.#open.delete(promise))
  }

  #fillDisk(): void {
    const { disk } = this.#machine
    const used = disk.paths(DIRECTORY).reduce((sum, path) => sum + disk.bytesOf(path).length, 0)
    disk.capacity = used + this.#below(3000)
    this.#happened('fill disk')
  }

  #write(keyed: boolean): void {
    const op = this.#ledger.add(keyed ? `key-${this.#ledger.ops.length}` : undefined)
    this.#watch(this.#send(this.#store!, op))
  }

  #retry(): void {
    const keyed = this.#ledger.ops.filter(({ key, state }) => key !== undefined && state !== 'pending')
    if (keyed.length === 0) return
    this.#happened('retry')
    this.#watch(this.#send(this.#store!, this.#oneOf(keyed.slice(-8))))
  }

  /** The other node tells that it has counted a request too. */
  #tell(peer: NodePeer): void {
    const keyed = this.#ledger.ops.filter(({ key }) => key !== undefined)
    if (keyed.length === 0) return
    const op = this.#oneOf(keyed.slice(-6))
    this.#happened('told')
    const told = peer.tell(this.#store!, op, this.#amountsOf(op), this.#chance(50))
    this.#watch(told.then((found) => this.violations.push(...found)))
  }

  /** All that was told is told once more, as soon as a disk that was full, or had too many files, is tried again. */
  async #retell(peer: NodePeer, store: Store): Promise<void> {
    for (let isTold = false; !isTold; ) {
      isTold = await this.#machine.settle(
        peer.retell(store).then(
          () => true,
          (error) => {
            if (error.code !== 'DISK_FULL' && error.code !== 'LOG_BUSY') throw error
            return false
          },
        ),
      )
      await (isTold ? this.#machine.rest() : this.#machine.pass(RETRY_MS))
    }
  }

  #amountsOf(op: Op): Record<string, number> {
    op.filler ??= this.#chance(20) ? `filler-${'x'.repeat(this.#below(3000))}` : ''
    return { hot: 1, [op.name]: 1, ...(op.filler === '' ? {} : { [op.filler]: 1 }) }
  }

  /** Sends an increment and notes what comes of it. A dead process never answers. */
  async #send(store: Store, op: Op): Promise<void> {
    const before = op.state === 'pending' ? 'refused' : op.state
    op.before = before
    op.state = 'pending'
    const batch = batchOf(this.#amountsOf(op))
    const key = op.key === undefined ? undefined : once(op.key)
    const body = `${op.name} ${this.#random.uint32()}`
    let sent = false
    try {
      for (let wait = store.admit(batch); wait !== undefined; wait = store.admit(batch)) await wait
      sent = true
      const done = store.increment(
        batch,
        () => {
          this.#ledger.ordered(op)
          this.#peer?.made(op, store.self)
          return plainReply(body)
        },
        key,
      )
      const reply = await done
      if (reply.replayed) this.#happened('replayed')
      else this.violations.push(...this.#places.given(op.name, reply.at))
      const isOther = reply.body === PEER_BODY || op.body === PEER_BODY
      if (before === 'acknowledged' && (!reply.replayed || (op.body !== undefined && reply.body !== op.body && !isOther))) {
        this.violations.push(
          `${op.name} was answered with '${op.body}' and then, ${reply.replayed ? 'again' : 'anew'}, with '${reply.body}'`,
        )
      }
      op.state = 'acknowledged'
      op.body ??= reply.body
    } catch (error) {
      const code = error instanceof CounterError ? error.code : `${error}`
      this.#happened(`write refused ${code}`)
      if (!REFUSALS.has(code)) this.violations.push(`a write was refused with ${code}: ${error}`)
      op.state = before === 'acknowledged' || before === 'unknown' ? before : sent ? 'unknown' : 'refused'
    }
  }

  /** Reads a name as the API does: the value leaves when it is settled. */
  #read(): void {
    const store = this.#store!
    const op = this.#chance(50) || this.#ledger.ops.length === 0 ? undefined : this.#oneOf(this.#ledger.ops)
    // What two nodes have counted shows twice for a while, but never less than once again.
    const isOften = this.#peer !== undefined && (op === undefined || op.key !== undefined)
    const name = op?.name ?? 'hot'
    const read = Number(store.value(nameBytes(name)))
    const value = isOften ? Math.min(read, 1) : read
    const settled = store.settled() ?? Promise.resolve()
    this.#watch(
      settled.then(
        () => {
          this.violations.push(...this.#shown.shown(name, value))
        },
        () => {},
      ),
    )
  }

  async #end(): Promise<void> {
    const store = this.#store!
    this.#store = undefined
    for (let { withdrawals } = store.status(); withdrawals > 0; withdrawals--) this.#happened('taken back')
    if (this.#hasFailed) {
      this.#happened('failed')
      if (this.#chance(50)) await this.#close(store)
      return this.#crash('failed')
    }
    if (this.#chance(35)) return this.#close(store)
    return this.#crash('life')
  }

  async #close(store: Store): Promise<void> {
    const crashAfter = this.#chance(15) ? this.#below(30) : Number.POSITIVE_INFINITY
    let closed = false
    const closing = store.close().then(
      () => {
        closed = true
      },
      () => {
        closed = true
        if (!this.#mayFail) this.violations.push('close failed without a cause')
      },
    )
    for (let step = 0; !closed; step++) {
      if (step >= crashAfter) return this.#crash('close')
      if ((await this.#machine.step()) || closed) continue
      await this.#machine.rest()
      if (!closed && !this.#machine.clock.advance(10_000)) {
        this.violations.push('close waits for ever')
        return
      }
    }
    await closing
    await this.#machine.rest()
    this.#happened('closed')
    if (this.#open.size > 0) this.violations.push(`${this.#open.size} calls have no answer after close`)
    if (this.#machine.disk.openCount > 0) this.violations.push(`${this.#machine.disk.openCount} files stay open after close`)
    await this.#machine.kill()
    this.#ledger.lostTouch()
    this.#items?.ended()
    this.#open.clear()
  }

  async #crash(where: string): Promise<void> {
    if (this.#chance(50)) {
      await this.#machine.powerCut(this.#oneOf([0, 0.1, 0.5, 0.9, 1]))
      this.#happened(`power cut in ${where}`)
      if (this.#fsync !== 'always') this.#tailMayBeLost = true
    } else {
      await this.#machine.kill()
      this.#happened(`kill in ${where}`)
    }
    this.#ledger.lostTouch()
    this.#items?.ended()
    this.#open.clear()
  }

  /** What happens to the directory while nobody uses it. */
  async #down(): Promise<void> {
    const { disk } = this.#machine
    if (this.violations.length > 0) return
    if (this.#chance(10) && disk.paths(DIRECTORY).length > 0) {
      disk.copyDirectory(DIRECTORY, '/saved')
      const ledger = this.#ledger.save()
      const items = this.#items?.save()
      const [tail, rotted] = [this.#tailMayBeLost, this.#tailRotted]
      this.#restore = () => {
        ledger()
        items?.()
        this.#tailMayBeLost = tail
        this.#tailRotted = rotted
      }
      this.#happened('saved')
    }
    if (this.#rot.outstanding) return
    if (this.#chance(10) && this.#restore) {
      disk.copyDirectory('/saved', DIRECTORY)
      this.#restore()
      this.#shown.forget()
      this.#happened('restored')
    }
    if (this.#chance(10) && disk.paths(DIRECTORY).length > 0) await this.#clone()
    if (this.#chance(8) && disk.paths(DIRECTORY).includes(`${DIRECTORY}/IDENTITY`)) {
      disk.drop(`${DIRECTORY}/IDENTITY`)
      this.#happened('wiped identity')
    }
    if (this.#chance(25)) {
      const rot = this.#rot.strike()
      if (rot === undefined) return
      if (rot === 'tail') this.#tailMayBeLost = this.#tailRotted = true
      this.#happened(`rot in ${rot}`)
    }
  }

  /** A copy of the directory goes on by itself for a while. Its cells must not be those of the original with other contents. */
  async #clone(): Promise<void> {
    const { disk } = this.#machine
    this.#calm()
    disk.copyDirectory(DIRECTORY, '/clone')
    const store = await this.#machine.open({ ...this.#overrides, directory: '/clone' })
    const name = `clone-${this.#clones++}`
    const { at } = await this.#machine.settle(this.#machine.write(store, { hot: 1000 + this.#clones, [name]: 1 }))
    this.violations.push(...this.#places.given(name, at))
    await this.#backup(store)
    await this.#machine.settle(store.close())
    await this.#machine.kill()
    for (const path of disk.paths('/clone')) disk.drop(path)
    this.#happened('cloned')
  }

  async #backup(store: Store): Promise<void> {
    const pieces: Uint8Array[] = []
    const whole = async () => {
      for await (const piece of store.backup()) pieces.push(piece)
    }
    await this.#machine.settle(whole())
    this.violations.push(...(await this.#cells.seen(Buffer.concat(pieces))))
  }

  /** Reads everything after a start, when nothing is under way, and asks the checkers. */
  async #verify(): Promise<void> {
    this.#calm()
    const store = this.#store!
    if (this.#peer) await this.#retell(this.#peer, store)
    const readings = new Map<string, number>()
    for (const name of ['hot', ...this.#ledger.ops.map((op) => op.name)]) readings.set(name, Number(store.value(nameBytes(name))))
    if (this.#peer) {
      const { found, twice } = this.#peer.check(readings, store.self)
      this.violations.push(...found)
      for (let count = 0; count < twice; count++) this.#happened('stays twice')
    }
    if (this.#tailMayBeLost) {
      this.violations.push(...checkTail(this.#ledger, readings))
      for (const op of this.#ledger.ops) {
        if (op.state === 'acknowledged' && readings.get(op.name) === 0) {
          this.#ledger.lost(op)
          this.#happened('lost where that may be')
        }
      }
      this.#shown.forget()
      // Only members can; alone, the node uses its numbers again, also of a life without fsync that was closed.
      if (this.#tailRotted) {
        this.#cells.forget()
        this.#places.forget()
      }
    }
    this.violations.push(...checkLedger(this.#ledger, readings), ...checkWhole(this.#ledger, readings))
    for (const op of this.#ledger.ops) {
      if (op.state !== 'unknown') continue
      if (readings.get(op.name) === 1) op.state = 'acknowledged'
      else this.#ledger.lost(op)
    }
    for (const [name, value] of readings) {
      if (name !== 'hot' || !this.#peer) this.violations.push(...this.#shown.shown(name, value))
    }
    this.#items?.verify(store, this.#tailMayBeLost)
    await this.#backup(store)
    this.#tailMayBeLost = false
    this.#tailRotted = false
  }
}
