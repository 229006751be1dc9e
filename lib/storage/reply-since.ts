// Replies to writes that a vector does not cover, as encoded deltas. Of own writes that may be taken back the replies are told however old.

import { ByteWriter } from '../base/bytes.ts'
import { PART_REPLIES, REPLIES_VERSION } from './delta.ts'
import type { PlacedReply, Replies } from './replies.ts'
import { writeReplies } from './reply-codec.ts'
import type { Tentative } from './tentative.ts'
import type { VersionVector } from './vector.ts'

/** A delta holds so many at most, and ends with the one with which their bodies reach this. */
const STEP_REPLIES = 1024
const STEP_BODY_LENGTH = 1 << 18

export interface RepliesStep {
  /** Scratch, to be used before the next step. */
  readonly delta: Uint8Array
  readonly isLast: boolean
}

export function* repliesSince(replies: Replies, tentative: Tentative, known: VersionVector): Generator<RepliesStep, void> {
  const writer = new ByteWriter(1 << 10)
  let step: PlacedReply[] = []
  let bodies = 0
  const encoded = (): Uint8Array => {
    writer.length = 0
    writer.uint8(REPLIES_VERSION)
    writer.uint8(PART_REPLIES)
    writeReplies(writer, step)
    step = []
    bodies = 0
    return writer.written()
  }
  const given = new Set<PlacedReply>()
  for (const kept of both(replies.since(known), tentative.since(known))) {
    // Most of those that may be taken back are among the others.
    if (given.has(kept)) continue
    if (kept.tentative) given.add(kept)
    if (step.length >= STEP_REPLIES || bodies >= STEP_BODY_LENGTH) yield { delta: encoded(), isLast: false }
    step.push(kept)
    bodies += kept.reply.body.length
  }
  if (step.length > 0) yield { delta: encoded(), isLast: true }
}

function* both<T>(first: Iterable<T>, second: Iterable<T>): Generator<T, void> {
  yield* first
  yield* second
}
