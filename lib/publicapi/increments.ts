// The items of a request that increments many counters. They are checked by hand, because a schema costs a hundred times what
// counting an item does. The schema of the contract describes the same, and a test holds the two together.

import type { Tally } from '../text/index.ts'
import { DELTA_EXPECTED, ITEMS_MAX, readDelta } from './contract.ts'
import type { Misfit } from './problem.ts'
import { Problem } from './problem.ts'

const LONE_SURROGATE = /\p{Surrogate}/u
const MISFITS_MAX = 10

interface Increment {
  readonly name: string
  readonly delta?: unknown
}

/** The items of a body, not yet checked themselves. @throws Problem body-invalid */
export function itemsOf(body: unknown): readonly unknown[] {
  if (typeof body !== 'object' || body === null || !('items' in body) || !Array.isArray(body.items)) {
    throw misfit([{ in: 'body', path: '/items', message: 'expected {"items": [{"name": ..., "delta": ...}, ...]}' }])
  }
  const unknown = Object.keys(body).find((key) => key !== 'items')
  if (unknown !== undefined) throw misfit([{ in: 'body', path: `/${unknown}`, message: 'unknown field, expected only items' }])
  if (body.items.length > ITEMS_MAX) {
    throw misfit([{ in: 'body', path: '/items', message: `expected at most ${ITEMS_MAX} items, got ${body.items.length}` }])
  }
  return body.items
}

/** Adds all items to the tally. @throws Problem body-invalid, which lists what does not fit; the tally is then to be reset */
export function addIncrements(tally: Tally, items: readonly unknown[]): void {
  const errors: Misfit[] = []
  for (let index = 0; index < items.length; index++) {
    const item = items[index]
    const wrong = wrongItem(item)
    if (wrong === undefined) {
      const { name, delta = 1 } = item as Increment
      tally.add(name, readDelta(delta)!)
    } else {
      errors.push({ in: 'body', path: `/items/${index}${wrong[0]}`, message: wrong[1] })
      if (errors.length === MISFITS_MAX) break
    }
  }
  if (errors.length > 0) throw misfit(errors)
}

/** Where in the item what is wrong; undefined when nothing is. */
function wrongItem(item: unknown): readonly [string, string] | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return ['', 'expected an object with name and delta']
  const { name, delta } = item as { name?: unknown; delta?: unknown }
  if (typeof name !== 'string') return ['/name', 'expected a string']
  if (name === '') return ['/name', 'expected at least one character']
  if (LONE_SURROGATE.test(name)) return ['/name', 'expected well-formed Unicode, got half of a surrogate pair']
  if (delta !== undefined && readDelta(delta) === undefined) return ['/delta', DELTA_EXPECTED]
  for (const key in item) if (key !== 'name' && key !== 'delta') return [`/${key}`, 'unknown field, expected name and delta']
  return undefined
}

const misfit = (errors: readonly Misfit[]): Problem =>
  new Problem('body-invalid', `${errors[0]!.path}: ${errors[0]!.message}.`, { errors })
