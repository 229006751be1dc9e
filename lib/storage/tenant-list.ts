// Tenants in the order of their names' bytes, for lists. The order is made when a list is asked for, and kept: what has come since is
// sorted and merged in, in steps of a few milliseconds.

import { utf8 } from '../base/utf8.ts'
import type { Items } from './items.ts'

/** Rows that are sorted, merged or looked at in a step. */
const STEP_ROWS = 8192
const encoder = new TextEncoder()

export interface TenantCount {
  readonly tenant: string
  readonly count: number
}

export interface TenantQuery {
  readonly prefix: string
  /** The list begins behind this one; undefined: at the first. */
  readonly after: string | undefined
  readonly limit: number
}

export interface TenantPage {
  readonly tenants: TenantCount[]
  /** Whether there are more behind the last. */
  readonly more: boolean
}

export class TenantList {
  readonly #items: Items
  #order: Uint32Array = new Uint32Array(0)

  constructor(items: Items) {
    this.#items = items
  }

  /** The tenants with at least one item whose names start with `prefix`. One walk at a time. Cost: a comparison a tenant that is new. */
  *page({ prefix, after, limit }: TenantQuery): Generator<void, TenantPage> {
    yield* this.#refresh()
    const items = this.#items
    const start = encoder.encode(prefix)
    const behind = after === undefined ? undefined : encoder.encode(after)
    const found: TenantCount[] = []
    const order = this.#order
    let at = behind !== undefined && Buffer.compare(behind, start) >= 0 ? this.#search(behind, true) : this.#search(start, false)
    for (let looks = 1; at < order.length; at++, looks++) {
      const row = order[at]!
      const name = items.tenants.nameOf(row)
      if (name.length < start.length || Buffer.compare(name.subarray(0, start.length), start) !== 0) break
      if (looks % STEP_ROWS === 0) yield
      const count = items.countAt(row)
      if (count === 0) continue
      if (found.length === limit) return { tenants: found, more: true }
      found.push({ tenant: utf8.decode(name), count })
    }
    return { tenants: found, more: false }
  }

  /** The first place in the order whose name is at `name` or, when `behind` is set, behind it. */
  #search(name: Uint8Array, behind: boolean): number {
    const { tenants } = this.#items
    let [low, high] = [0, this.#order.length]
    while (low < high) {
      const middle = (low + high) >>> 1
      const compared = Buffer.compare(tenants.nameOf(this.#order[middle]!), name)
      if (compared < 0 || (behind && compared === 0)) low = middle + 1
      else high = middle
    }
    return low
  }

  *#refresh(): Generator<void, void> {
    const known = this.#order.length
    const count = this.#items.tenants.rowCount
    if (count === known) return
    // Runs of new rows, each sorted, then merged two by two, and at last with what was known.
    let runs: Uint32Array[] = []
    for (let first = known; first < count; first += STEP_ROWS) {
      const rows = Uint32Array.from({ length: Math.min(STEP_ROWS, count - first) }, (_, index) => first + index)
      runs.push(rows.sort((a, b) => this.#compare(a, b)))
      yield
    }
    while (runs.length > 1) {
      const merged: Uint32Array[] = []
      for (let at = 0; at < runs.length; at += 2) {
        merged.push(at + 1 < runs.length ? yield* this.#merge(runs[at]!, runs[at + 1]!) : runs[at]!)
      }
      runs = merged
    }
    this.#order = yield* this.#merge(this.#order, runs[0]!)
  }

  *#merge(left: Uint32Array, right: Uint32Array): Generator<void, Uint32Array> {
    const merged = new Uint32Array(left.length + right.length)
    let [l, r] = [0, 0]
    for (let at = 0; at < merged.length; at++) {
      const takeLeft = r === right.length || (l < left.length && this.#compare(left[l]!, right[r]!) < 0)
      merged[at] = takeLeft ? left[l++]! : right[r++]!
      if (at % STEP_ROWS === STEP_ROWS - 1) yield
    }
    return merged
  }

  #compare(row: number, other: number): number {
    return Buffer.compare(this.#items.tenants.nameOf(row), this.#items.tenants.nameOf(other))
  }
}
