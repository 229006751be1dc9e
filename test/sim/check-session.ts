// A session reads its own writes, on whatever node it reads next.

import type { ClusterOp } from './cluster-ledger.ts'

/** @param ops its acknowledged increments, all of which the node has said to know; @param readings what it then read */
export function checkSession(ops: readonly ClusterOp[], machine: number, readings: ReadonlyMap<string, number>): string[] {
  return ops
    .filter(({ name, excused }) => readings.get(name) === 0 && !excused)
    .map(({ name }) => `a session wrote ${name} and does not read it on machine ${machine}`)
}
