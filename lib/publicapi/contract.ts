// The one contract of the public API: each operation with its shapes, errors, examples and need of a token. Validation, the API
// definition and the types of the client all come from this table, so they cannot disagree. Pure: zod schemas, no server.
// Its parts lie in contract/, one file a resource, named as the file beside this one that answers it. operation.ts there says what an operation is.

import type { z } from 'zod'
import { countingContract } from './contract/counting.ts'
import { itemsContract } from './contract/items.ts'
import { clusterContract, membersContract } from './contract/members.ts'
import { operatingContract } from './contract/operating.ts'
import type { Operation } from './contract/operation.ts'
import { originalItemsContract } from './contract/original-items.ts'
import { originalSequenceContract } from './contract/original-sequence.ts'
import { sequencesContract } from './contract/sequences.ts'
import { shardContract } from './contract/shard.ts'
import { slotsContract } from './contract/slots.ts'
import { totalContract } from './contract/total.ts'

/** In the order in which the API definition lists them. */
export const contract = {
  ...countingContract,
  ...totalContract,
  ...originalItemsContract,
  ...itemsContract,
  ...originalSequenceContract,
  ...sequencesContract,
  ...clusterContract,
  ...slotsContract,
  ...shardContract,
  ...membersContract,
  ...operatingContract,
} as const satisfies Record<string, Operation>

export type Contract = typeof contract
export type OperationId = keyof Contract

type Schema<Entry> = Entry extends { schema: infer Type extends z.ZodType } ? z.output<Type> : never
/** What an operation answers in JSON. */
export type JsonReply<Id extends OperationId> = Contract[Id]['reply']['content'] extends { 'application/json': infer Entry }
  ? Schema<Entry>
  : undefined
/** What an operation takes in JSON. */
export type JsonBody<Id extends OperationId> = Contract[Id] extends { body: { content: { 'application/json': infer Entry } } }
  ? Schema<Entry>
  : undefined
