// The way of operations from a node to the home. One call is under way at a time, and takes along all that came meanwhile: the more callers,
// the fewer calls for each. After a call whose outcome is not known the next begins with an empty one, so that while a home is down nothing
// is sent whose fate would be unknown: it is refused, and surely not carried out.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { HomeMemory } from './home-memory.ts'
import { decodeResults, encodeRequest, OPERATIONS_MAX, type Operation, type Result, type Results } from './home-messages.ts'
import { type HomePeers, SERVICE } from './home-peers.ts'
import { unavailable } from './home-trouble.ts'

export interface ForwardOptions {
  readonly peers: HomePeers
  readonly memory: HomeMemory
  readonly home: number
  readonly clock: Clock
  /** How long the home may take for a call, and for an empty one. */
  readonly callTimeoutMs: number
  readonly probeTimeoutMs: number
}

interface Waiting {
  readonly operation: Operation
  readonly signal: AbortSignal | undefined
  readonly resolve: (result: Result) => void
  readonly reject: (error: CounterError) => void
}

/** Operations that wait. */
const WAITING_MAX = 100_000
/** Operations that make a call of their own: those with long answers, and those that take long. */
const LONG: ReadonlySet<string> = new Set<Operation['kind']>(['recover', 'migrate'])
const ALONE: ReadonlySet<string> = new Set<Operation['kind']>(['list', 'recover', 'migrate'])
const LONG_MS = 60_000
/** Bytes of the names and keys of one call, so that it fits into a request. */
const CALL_BYTES_MAX = 1024 * 1024

export class Forward {
  readonly #options: ForwardOptions
  #waiting: Waiting[] = []
  #running: Promise<void> | undefined
  /** Whether the fate of the last call is not known. */
  #inDoubt = false
  #closed = false

  constructor(options: ForwardOptions) {
    this.#options = options
  }

  /** @throws CounterError as the operation does; SEQUENCE_UNAVAILABLE, SEQUENCE_UNKNOWN, CLOSED */
  async ask(operation: Operation, signal?: AbortSignal): Promise<Exclude<Result, { kind: 'failure' }>> {
    if (this.#closed) throw closed()
    if (this.#waiting.length >= WAITING_MAX) {
      throw unavailable(`${WAITING_MAX} calls wait for the home of the sequences already`, 'Try again in a second.')
    }
    const result = await new Promise<Result>((resolve, reject) => {
      this.#waiting.push({ operation, signal, resolve, reject })
      this.#running ??= this.#run().finally(() => {
        this.#running = undefined
      })
    })
    if (result.kind === 'failure') throw result.error
    return result
  }

  /** What waits is refused; the call under way ends as the way to the home does. */
  async close(): Promise<void> {
    this.#closed = true
    for (const { reject } of this.#waiting.splice(0)) reject(closed())
    await this.#running
  }

  async #run(): Promise<void> {
    // Those who ask in this turn go along.
    await new Promise<void>((resolve) => this.#options.clock.soon(resolve))
    while (this.#waiting.length > 0) {
      const refusal = this.#inDoubt ? await this.#probe() : undefined
      const batch = refusal ? this.#waiting.splice(0) : this.#take()
      if (refusal) for (const { reject } of batch) reject(refusal)
      else if (batch.length > 0) await this.#send(batch)
    }
  }

  /** The next call: as many as fit, or one list. */
  #take(): Waiting[] {
    const batch: Waiting[] = []
    let bytes = 0
    for (const waiting of this.#waiting) {
      const { operation } = waiting
      bytes += 'name' in operation ? operation.name.length * 3 + 300 : 2000
      const isAlone = ALONE.has(operation.kind)
      if (batch.length > 0 && (isAlone || bytes > CALL_BYTES_MAX || batch.length >= OPERATIONS_MAX)) break
      batch.push(waiting)
      if (isAlone) break
    }
    this.#waiting.splice(0, batch.length)
    return batch.filter(({ signal, reject }) => {
      if (!signal?.aborted) return true
      reject(unavailable('the call was given up before its turn came'))
      return false
    })
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const operations = batch.map(({ operation }) => operation)
    let answer: Results
    try {
      answer = await this.#call(operations, LONG.has(operations[0]!.kind) ? LONG_MS : this.#options.callTimeoutMs)
    } catch (error) {
      const surelyNot = error instanceof CounterError && error.code === 'SEQUENCE_UNAVAILABLE'
      this.#inDoubt = true
      for (const { operation, reject } of batch) {
        reject(changes(operation) && !surelyNot ? this.#unknown(error) : this.#down(error))
      }
      return
    }
    const { tenure, results } = answer
    for (const [index, { operation, resolve }] of batch.entries()) {
      const result = results[index]!
      if (tenure !== undefined && operation.kind === 'next' && result.kind === 'numbers' && !result.replayed) {
        this.#options.memory.hear(operation.name, tenure.term, result.last)
      }
      resolve(result)
    }
  }

  /** Whether the home answers at all; undefined when it does. */
  async #probe(): Promise<CounterError | undefined> {
    try {
      await this.#call([], this.#options.probeTimeoutMs)
      return undefined
    } catch (error) {
      return this.#closed ? closed() : this.#down(error)
    }
  }

  async #call(operations: readonly Operation[], timeoutMs: number): Promise<Results> {
    const { peers, memory, home } = this.#options
    if (peers.members().every(({ node }) => node !== home)) {
      throw unavailable(
        `node ${home}, the home of the sequences, is no member of this cluster, as far as this node knows`,
        'Start it, or set COUNTER_SEQUENCE_HOME to a node that is, the same on every node.',
      )
    }
    const payload = encodeRequest({ kind: 'operations', tenure: memory.tenure, operations })
    const answer = decodeResults(await peers.call(home, SERVICE, payload, { timeoutMs }))
    const { tenure, results } = answer
    if (results.length !== operations.length) {
      throw new CounterError('SYNC_INVALID', `${results.length} results came for ${operations.length} operations on sequences`)
    }
    if (tenure !== undefined) memory.learn(tenure)
    this.#inDoubt = false
    return answer
  }

  #down(error: unknown): CounterError {
    const { home } = this.#options
    if (error instanceof CounterError && error.code === 'SEQUENCE_UNAVAILABLE' && error.fix !== undefined) return error
    return new CounterError(
      'SEQUENCE_UNAVAILABLE',
      `node ${home}, the home of the sequences, cannot be asked: ${reasonOf(error)}`,
      {
        cause: error,
        fix:
          `Start node ${home}, or mend the way to it: no other node gives numbers in its place. ` +
          'With etcd (COUNTER_ETCD) they go on without any one node.',
      },
    )
  }

  #unknown(error: unknown): CounterError {
    const { home } = this.#options
    return new CounterError(
      'SEQUENCE_UNKNOWN',
      `node ${home}, the home of the sequences, was asked and has not answered: ${reasonOf(error)}`,
      { cause: error, fix: 'Repeat the request with the same Idempotency-Key: it then gets the same numbers.' },
    )
  }
}

const changes = ({ kind }: Operation): boolean => kind !== 'get' && kind !== 'list' && kind !== 'look'

const reasonOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))

const closed = (): CounterError => new CounterError('CLOSED', 'the node is stopping')
