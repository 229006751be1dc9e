// From a request to names: the body becomes a tally, in scratch memory that is leased from a stack, so that a request takes the one that is warm
// in the cache and nothing is allocated. What is filled must be given back.

import type { Tally } from '../text/index.ts'
import { nameBytes } from '../text/index.ts'
import { itemsOf } from './batch.ts'
import { charsetOf, checkJsonType, collectBody, mediaTypeOf, readBody, wrongType } from './body.ts'
import { countingContract, increment, text } from './contract/counting.ts'
import { JSON_BYTES_MAX, readDelta } from './contract/values.ts'
import type { Exchange } from './endpoint.ts'
import { addIncrements, INCREMENT } from './increments.ts'
import { scanIncrements } from './increments-scan.ts'
import { readJson } from './json.ts'
import type { Fingerprint } from './once.ts'
import { fingerprintOf } from './once.ts'
import { Problem } from './problem.ts'
import { JSON_TYPE } from './reply.ts'
import { decodeSegment, segmentOf } from './target.ts'
import { validate } from './validate.ts'

/** What a request brings. */
export interface Filled {
  readonly tally: Tally
  readonly fingerprint: Fingerprint | undefined
}

export interface IntakeOptions {
  readonly scratch: Scratch
  readonly nameBytesMax: number
  readonly bodyBytesMax: number
}

const segmentIn = segmentOf(countingContract.incrementCounter.path)
/** Of a text, as much is gathered before it is counted; some two milliseconds of work at most. */
const GATHERED_BYTES = 256 * 1024
/** Scratch kept for the next request; more are made and dropped under load. */
const IDLE_MAX = 16

export class Scratch {
  readonly #create: () => Tally
  readonly #idle: Tally[] = []

  constructor(create: () => Tally) {
    this.#create = create
  }

  /** An empty tally; it must come back by release(). */
  lease(): Tally {
    return this.#idle.pop() ?? this.#create()
  }

  release(tally: Tally): void {
    if (this.#idle.length >= IDLE_MAX) return
    tally.reset()
    this.#idle.push(tally)
  }

  /** A tally that `fill` has filled; when it throws, the tally is back. */
  filled(fill: (tally: Tally) => void): Tally {
    const tally = this.lease()
    try {
      fill(tally)
    } catch (error) {
      this.release(tally)
      throw error
    }
    return tally
  }
}

export class Intake {
  readonly #options: IntakeOptions

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  /** The words of a body of any type. @throws Problem, CounterError NAME_TOO_LONG */
  words(exchange: Exchange): Promise<Filled> {
    return this.#words(exchange)
  }

  /** The words of a text, plain or in JSON. @throws Problem, CounterError NAME_TOO_LONG */
  text(exchange: Exchange): Promise<Filled> {
    const contentType = exchange.incoming.headers['content-type']
    const type = mediaTypeOf(contentType)
    if (type === JSON_TYPE) return this.#jsonText(exchange)
    if (type !== 'text/plain') throw wrongType(type, 'text/plain or application/json')
    const charset = charsetOf(contentType!)
    if (charset !== undefined && charset !== 'utf-8' && charset !== 'utf8' && charset !== 'us-ascii') {
      throw new Problem('media-type-unsupported', `The charset is ${charset}; expected utf-8.`, {
        fix: 'Encode the text as UTF-8.',
      })
    }
    return this.#words(exchange)
  }

  /** The items of a request to add to many counters. */
  async increments(exchange: Exchange): Promise<Filled & { readonly items: number }> {
    const fingerprint = fingerprintOf(exchange.incoming)
    checkJsonType(exchange.incoming)
    const body = await this.#json(exchange, fingerprint)
    let items = 0
    const tally = this.#options.scratch.filled((empty) => {
      const scanned = scanIncrements(empty, body)
      if (scanned !== undefined) {
        items = scanned
        return
      }
      empty.reset()
      const list = itemsOf(readJson(body), INCREMENT)
      addIncrements(empty, list)
      items = list.length
    })
    return { tally, fingerprint, items }
  }

  /** What to add to the counter that the path names. */
  async increment(exchange: Exchange): Promise<{
    readonly name: string
    readonly bytes: Uint8Array
    readonly delta: number | bigint
    readonly fingerprint: Fingerprint | undefined
  }> {
    const name = decodeSegment(segmentIn(exchange.path))
    const bytes = this.nameBytes(name)
    const fingerprint = fingerprintOf(exchange.incoming)
    const body = await this.#json(exchange, fingerprint)
    if (body.length === 0) return { name, bytes, delta: 1, fingerprint }
    checkJsonType(exchange.incoming)
    return { name, bytes, delta: readDelta(validate(increment, readJson(body)).delta ?? 1)!, fingerprint }
  }

  /** The bytes of a counter's name. @throws Problem name-invalid, name-too-long */
  nameBytes(name: string): Uint8Array {
    const { nameBytesMax } = this.#options
    if (name === '') throw new Problem('name-invalid', 'The name is empty.')
    const bytes = nameBytes(name)
    if (bytes.length <= nameBytesMax) return bytes
    throw new Problem(
      'name-too-long',
      `The name "${name.slice(0, 40)}..." has ${bytes.length} bytes; at most ${nameBytesMax} are taken.`,
    )
  }

  /**
   * Counts a text while it arrives, as much at once as GATHERED_BYTES: the scratch is then used for one request after the
   * other and stays in the cache, and most bodies take it only when they are complete.
   */
  async #words(exchange: Exchange): Promise<Filled> {
    const { scratch, bodyBytesMax } = this.#options
    const fingerprint = fingerprintOf(exchange.incoming)
    const gathered: Buffer[] = []
    let gatheredBytes = 0
    let tally: Tally | undefined
    const feed = (): Tally => {
      tally ??= scratch.lease()
      for (const piece of gathered) tally.feed(piece)
      gathered.length = 0
      gatheredBytes = 0
      return tally
    }
    try {
      await readBody(exchange.incoming, bodyBytesMax, (piece) => {
        fingerprint?.update(piece)
        gathered.push(piece)
        gatheredBytes += piece.length
        if (gatheredBytes >= GATHERED_BYTES) feed()
      })
      tally = feed()
      tally.end()
    } catch (error) {
      if (tally !== undefined) scratch.release(tally)
      throw error
    }
    return { tally, fingerprint }
  }

  async #jsonText(exchange: Exchange): Promise<Filled> {
    const fingerprint = fingerprintOf(exchange.incoming)
    const bytes = nameBytes(validate(text, readJson(await this.#json(exchange, fingerprint))).text)
    const tally = this.#options.scratch.filled((empty) => {
      empty.feed(bytes)
      empty.end()
    })
    return { tally, fingerprint }
  }

  #json({ incoming }: Exchange, fingerprint: Fingerprint | undefined): Promise<Buffer> {
    return collectBody(incoming, Math.min(this.#options.bodyBytesMax, JSON_BYTES_MAX), fingerprint)
  }
}
