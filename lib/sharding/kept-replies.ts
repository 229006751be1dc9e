// Replies that are kept under idempotency keys say under which version of the map they were given, as a parameter of their content type. So it is
// known later which names such a reply speaks of: those whose slots were this shard's under that version.

import type { StoredReply } from '../storage/index.ts'

const PARAMETER = /; slots=(\d{1,16})$/

/** A reply that says so. One without a body is none of an aggregator's. */
export const withVersion = (reply: StoredReply, version: number): StoredReply =>
  reply.contentType === '' || version === 1 ? reply : { ...reply, contentType: `${reply.contentType}; slots=${version}` }

/** The version under which the reply was given. */
export const versionOf = (contentType: string): number => Number(PARAMETER.exec(contentType)?.[1] ?? 1)
