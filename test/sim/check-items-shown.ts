// What was shown of an item stays, or something later takes its place.

import { isHeld, type Version, type Versions } from './item-versions.ts'

export class CheckItemsShown {
  readonly #shown = new Map<string, Version>()

  /** What is held when a read of any item leaves the node. */
  shown(held: Versions): string[] {
    const found: string[] = []
    for (const [id, version] of this.#shown) {
      if (!isHeld(held, id, version)) found.push(`item ${id} was shown as ${lineOf(version)} and then as ${lineOf(held.get(id))}`)
    }
    for (const [id, version] of held) this.#shown.set(id, version)
    return found
  }

  /** Items may have gone back, as they may with a restored backup. */
  forget(): void {
    this.#shown.clear()
  }
}

export const lineOf = (version: Version | undefined): string =>
  version === undefined
    ? 'never there'
    : `${version.tenant ?? 'deleted'} at ${version.stamp} by write ${version.seq} of ${version.node}.${version.incarnation}`
