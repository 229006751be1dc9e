// What an operation of the public API is: all that validation, the API definition and the client's types need to know of it. The files beside this
// one each describe the operations of one resource in these terms. Pure: shapes and data, no server.

import type { z } from 'zod'
import type { ProblemType } from '../problem-kinds.ts'

/** A body in one content type. No schema: not JSON. */
export interface Content {
  readonly schema?: z.ZodType
  readonly example: unknown
}

/** A query parameter; `many`: it may be repeated. Without a schema it is a text. */
export interface Query {
  readonly name: string
  readonly many: boolean
  readonly description: string
  readonly schema?: z.ZodType
  readonly example: unknown
}

export interface Operation {
  readonly method: 'GET' | 'POST' | 'DELETE'
  /** Parameters in braces: /v1/counters/{name}. */
  readonly path: string
  readonly tag: 'Counting' | 'Keywords' | 'Total' | 'Items' | 'Sequences' | 'Cluster' | 'Operation'
  readonly summary: string
  readonly description?: string
  /** A token is needed where the node has one. */
  readonly auth: boolean
  /** Takes an Idempotency-Key, a write level and a session; changes counts. */
  readonly writes: boolean
  /** Takes an Idempotency-Key, and changes something else than counts. */
  readonly keyed?: true
  /** Shows counts: takes a session. */
  readonly shows?: true
  readonly params?: Readonly<
    Record<string, { readonly schema: z.ZodType; readonly description: string; readonly example: string }>
  >
  readonly query?: Query | readonly Query[]
  readonly body?: { readonly required: boolean; readonly content: Readonly<Record<string, Content>> }
  readonly reply: { readonly status?: 202; readonly description: string; readonly content: Readonly<Record<string, Content>> }
  /** An answer that is no problem document and yet not a success. */
  readonly otherwise?: {
    readonly status: number
    readonly description: string
    readonly content: Readonly<Record<string, Content>>
  }
  readonly errors: readonly ProblemType[]
  /** What a failure looks like, where it is no problem document. */
  readonly failure?: Readonly<Record<string, Content>>
}

/** The query parameters of an operation. */
export const queriesOf = ({ query = [] }: Operation): readonly Query[] => ('name' in query ? [query] : query)

/** A body or a reply in JSON. */
export const json = <Schema extends z.ZodType>(schema: Schema, example: unknown) =>
  ({ 'application/json': { schema, example } }) as const
