// The claim of a node on its id in etcd, in the background: counting does not wait for etcd. Nodes that do not know each other and have one id
// are told by it. Numbers are safe all the same: of two lives of a node in etcd only the later takes any.

import type { Clock } from '../base/clock.ts'
import { CounterError } from '../base/errors.ts'
import type { Logger } from '../base/log.ts'
import type { Random } from '../base/random.ts'
import type { Claim, Claims, NoteStore } from '../sequence/index.ts'

export interface NodeClaimOptions {
  readonly notes: NoteStore
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Makes the claims of the node with this data directory; they tell when one was lost. */
  readonly open: (directory: string, onLost: (error: CounterError) => void) => Claims
}

/** A random text that stays in the data directory. */
const DIRECTORY = 'sequence-claim/directory'
/** Between two attempts while etcd does not answer. */
const AGAIN_MS = 5000

export class NodeClaim {
  readonly #options: NodeClaimOptions
  #claims: Claims | undefined
  #cancel: () => void = () => {}
  #closed = false
  /** Another process has the id. */
  trouble: CounterError | undefined

  constructor(options: NodeClaimOptions) {
    this.#options = options
  }

  /** Goes on until the id is claimed, and keeps it then. */
  start(claim: Claim): void {
    this.#claim(claim).catch((error: unknown) => this.#again(claim, error))
  }

  #again(claim: Claim, error: unknown): void {
    if (this.#closed) return
    const { clock, logger } = this.#options
    if (error instanceof CounterError && error.code === 'NODE_ID_TAKEN') {
      if (this.trouble === undefined) logger.error({ fix: error.fix }, error.message)
      this.trouble = error
    } else logger.debug({ err: error }, 'the node id is not claimed in etcd yet')
    this.#cancel = clock.after(AGAIN_MS, () => this.start(claim))
  }

  async #claim(claim: Claim): Promise<void> {
    this.#claims ??= this.#options.open(await this.#directory(), (error) => this.#again(claim, error))
    await this.#claims.claim(claim)
    this.trouble = undefined
  }

  async #directory(): Promise<string> {
    const { notes, random } = this.#options
    for (const [key, bytes] of notes.notesUnder(DIRECTORY)) if (key === DIRECTORY) return Buffer.from(bytes).toString()
    const directory = Array.from({ length: 4 }, () => random.uint32().toString(16).padStart(8, '0')).join('')
    await notes.keepNotes([[DIRECTORY, Buffer.from(directory)]])
    return directory
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#cancel()
    await this.#claims?.close()
  }
}
