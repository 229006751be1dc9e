// One call of the client: what is asked, and what a caller may say about it besides. Paths are those of the contract, checked by the compiler.

import type { Contract, OperationId } from '../publicapi/contract.ts'

/** How many members must have a write on disk before it is answered. */
export type WriteLevel = 1 | 'majority' | 'all'

/** How far a write had come when it was answered. */
export interface Reached {
  readonly level: WriteLevel
  /** Members that had it on disk. */
  readonly reached: number
  readonly members: number
  /** False: not as many as asked for in the node's COUNTER_WRITE_TIMEOUT. The write is counted, kept, and goes on spreading. */
  readonly met: boolean
}

/** A call's own options. */
export interface CallOptions {
  /**
   * Names the operation across processes: repeated with the same key it counts once. Default: a fresh one. Such a write goes to the
   * first node first, and to the others when that does not answer for it: name the nodes in the same order wherever the key is used.
   */
  readonly idempotencyKey?: string
  /** As in ConnectOptions, for this write. */
  readonly w?: WriteLevel
  /** Called before a write with `w` returns. */
  readonly onReached?: (reached: Reached) => void
  readonly signal?: AbortSignal
}

export interface Call {
  readonly method: 'GET' | 'POST' | 'DELETE'
  readonly path: string
  readonly contentType?: string
  readonly body?: string
  /** Changes counts, so that it must not count twice. */
  readonly writes?: true
  /** Its key is known to all nodes of a cluster at once, so that none needs to be told that another was asked before. */
  readonly anywhere?: true
  /** Is shown the headers of a success. */
  readonly onHeaders?: (headers: Headers) => void
}

/** Makes a call, again where that helps, and gives the reply. */
export type Exchange = <Reply>(call: Call, options?: CallOptions) => Promise<Reply>

type Path<Id extends OperationId> = Contract[Id]['path']

/** A path of the contract with its name filled in. */
export function at(path: Path<OperationId>, name?: string): string {
  if (name === undefined) return path
  if (name === '.' || name === '..') {
    throw new TypeError(`a URL cannot hold the name "${name}" in its path; use calls that take names in a list`)
  }
  return path.replace(/\{\w+\}/, () => encodeURIComponent(name))
}

export const got = (path: string): Call => ({ method: 'GET', path })

export const posted = (path: string, body?: string, contentType?: string): Call => ({
  method: 'POST',
  path,
  ...(body !== undefined && { body }),
  ...(contentType !== undefined && { contentType }),
})

export const written = (path: string, body: unknown): Call => ({
  ...posted(path, JSON.stringify(body), 'application/json'),
  writes: true,
})
