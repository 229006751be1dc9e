// On one node all writes of items have one order, that of the log. After every start the items are those of a moment in it: all that was
// acknowledged is there, nothing of a write that is not, and no later write without the earlier ones.

import { compareVersions, type Version, type Versions } from './item-versions.ts'

export interface AppliedWrite {
  readonly name: string
  readonly versions: Versions
  acknowledged: boolean
}

/**
 * @param applied all writes, in their order
 * @param mayLose whether acknowledged ones may be gone, from the newest on
 * @returns how many of them are there, or what is wrong
 */
export function checkItemsPrefix(applied: readonly AppliedWrite[], held: Versions, mayLose: boolean): number | string {
  const least = mayLose ? 0 : applied.findLastIndex(({ acknowledged }) => acknowledged) + 1
  const model = new Map<string, Version>()
  let found: number | undefined
  for (let count = 0; ; count++) {
    if (count >= least && isSameState(model, held)) found = count
    if (count === applied.length) break
    for (const [id, version] of applied[count]!.versions) model.set(id, version)
  }
  if (found !== undefined) return found
  const wrong = [...new Set([...model.keys(), ...held.keys()])].filter((id) => !isSameVersion(model.get(id), held.get(id)))
  const writes = applied.slice(least).map(({ name }) => name)
  return `items ${wrong} are not as after the first ${least} writes, nor after any of ${writes.join(' ')} behind them`
}

function isSameState(model: Versions, held: Versions): boolean {
  return model.size === held.size && [...model].every(([id, version]) => isSameVersion(version, held.get(id)))
}

const isSameVersion = (one: Version | undefined, other: Version | undefined): boolean =>
  one === undefined || other === undefined ? one === other : compareVersions(one, other) === 0 && one.tenant === other.tenant
