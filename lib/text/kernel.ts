// The WebAssembly side of a tally as the rest sees it: areas of its memory to write into, calls, and views of what it counted.
// The module is compiled once, when this file is loaded; each kernel is an instance with a memory of its own.
// A call may grow the memory, which detaches all views, so that none may be kept across one.

import type { NameHash } from '../base/hash.ts'
import { compileModule } from '../base/webassembly.ts'
import { WASM } from './kernel/wasm.ts'

/** What kernel/tally.as exports. Positions are byte offsets in its memory. */
interface Exports {
  readonly memory: { readonly buffer: ArrayBuffer }
  init(hashStart: number, hashMultiplier: number, nameBytesMax: number, reserved: number): number
  edges(): number
  state(): number
  reset(): void
  scan(from: number, to: number): number
  take(words: number, step: number): number
}

const instantiate = compileModule<Exports>(WASM)

/** A memory that grew beyond this is dropped at the next reset. */
const BYTES_KEPT = 16 << 20
/** Words that one take() may bring. */
export const WORDS_MAX = 2560

// What publish() in tally.as writes, in this order.
const COUNT = 0
const TOKENS = 1
const LIMIT = 2
const TOO_LONG = 3
const OVERFLOW = 4
const NAMES = 5
const BOUNDS = 6
const HASHES = 7
const AMOUNTS = 8
const NAME_CAPACITY = 9
const ROW_CAPACITY = 10

/** Words of `amounts` a name takes: plus low, plus high, minus low, minus high. */
export const AMOUNT_WORDS = 4

export interface Views {
  readonly names: Uint8Array
  readonly ends: Uint32Array
  readonly hashes: Uint32Array
  readonly amounts: Uint32Array
}

export class Kernel {
  /** All of the memory. */
  declare bytes: Uint8Array
  /** For each word that take() is to count, where it starts and ends in the memory. */
  declare edges: Uint32Array
  /** Where the bytes start that were asked for. */
  declare area: number

  private readonly hash: NameHash
  private readonly nameBytesMax: number
  private readonly areaBytes: number
  declare private exports: Exports
  declare private state: Uint32Array
  private counted: Views | undefined

  constructor(hash: NameHash, nameBytesMax: number, areaBytes: number) {
    this.hash = hash
    this.nameBytesMax = nameBytesMax
    this.areaBytes = areaBytes
    this.instantiate()
  }

  get count(): number {
    return this.state[COUNT]!
  }

  /** Words that scan() and take() have counted since reset(). */
  get tokens(): number {
    return this.state[TOKENS]!
  }

  /** Where the last scan() came upon a byte that is not ASCII; its end when it did not. */
  get limit(): number {
    return this.state[LIMIT]!
  }

  /** Start of the word that was too long; 0 when none was. The tally then needs a reset. */
  get tooLong(): number {
    return this.state[TOO_LONG]!
  }

  /** Whether a plus went past 2^64 - 1. The tally then needs a reset. */
  get overflow(): boolean {
    return this.state[OVERFLOW] !== 0
  }

  /** Views of what it counted, as a batch has them; until the next call. */
  get views(): Views {
    if (this.counted === undefined) {
      const { state } = this
      const { buffer } = this.bytes
      const rows = state[ROW_CAPACITY]!
      this.counted = {
        names: new Uint8Array(buffer, state[NAMES]!, state[NAME_CAPACITY]!),
        ends: new Uint32Array(buffer, state[BOUNDS]! + 4, rows),
        hashes: new Uint32Array(buffer, state[HASHES]!, rows),
        amounts: new Uint32Array(buffer, state[AMOUNTS]!, rows * AMOUNT_WORDS),
      }
    }
    return this.counted
  }

  /** Empties it, also after a call that failed. Costs as much as what it held. */
  reset(): void {
    if (this.exports.memory.buffer.byteLength > BYTES_KEPT) {
      this.instantiate()
    } else {
      this.exports.reset()
      this.called()
    }
  }

  /** Counts the words of a part of the memory up to the first byte that is not ASCII, and returns where the open word starts. */
  scan(from: number, to: number): number {
    const open = this.exports.scan(from, to)
    this.called()
    return open
  }

  /** Counts the words that the first edges tell, 0 or 1 times, and returns the number of the last one's name. */
  take(words: number, times: 0 | 1): number {
    const name = this.exports.take(words, times)
    this.called()
    return name
  }

  private instantiate(): void {
    this.exports = instantiate()
    this.area = this.exports.init(this.hash.start, this.hash.multiplier, this.nameBytesMax, this.areaBytes)
    this.look()
  }

  /** A call may have moved what it counted, and grown the memory. */
  private called(): void {
    this.counted = undefined
    if (this.bytes.length === 0) this.look()
  }

  private look(): void {
    this.counted = undefined
    const { buffer } = this.exports.memory
    this.bytes = new Uint8Array(buffer)
    this.state = new Uint32Array(buffer, this.exports.state(), ROW_CAPACITY + 1)
    this.edges = new Uint32Array(buffer, this.exports.edges(), WORDS_MAX * 2)
  }
}
