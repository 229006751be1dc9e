// The one counter of the original, with its paths and replies: a sequence like any other. Any node answers, and none says "not leader".

import { ORIGINAL_SEQUENCE, originalRestore } from './contract/original-sequence.ts'
import type { Handler } from './endpoint.ts'
import { keyOf } from './once.ts'
import { jsonReply, textReply } from './reply.ts'
import { bodyOf, memberViews, type SequencesOptions } from './sequences.ts'
import { validate } from './validate.ts'

type OriginalSequenceId = 'next' | 'readNext' | 'readStatus' | 'backUpNext' | 'restoreNext'

export function createOriginalSequence({ sequences, metrics }: SequencesOptions): Record<OriginalSequenceId, Handler> {
  const read: Handler = async () => {
    const counter = await sequences.get(ORIGINAL_SEQUENCE)
    return jsonReply(`{"counter":${counter}}`)
  }

  return {
    async next({ incoming }) {
      const { last, replayed } = await sequences.next(ORIGINAL_SEQUENCE, { key: keyOf(incoming) })
      if (!replayed) metrics.numbers.inc(1)
      const headers = replayed ? { 'Idempotency-Replayed': 'true' } : undefined
      return { ...textReply(`${last}\n`), ...(headers && { headers }) }
    },

    readNext: read,

    async readStatus() {
      const { leader = null, members, lastIndex = null } = await sequences.status()
      return jsonReply(JSON.stringify({ leader, members: memberViews(members), lastIndex }))
    },

    backUpNext: read,

    async restoreNext(exchange) {
      const { counter, force = false } = validate(originalRestore, await bodyOf(exchange))
      await sequences.set(ORIGINAL_SEQUENCE, counter, { force })
      return jsonReply(`{"counter":${counter}}`)
    },
  }
}
