// The items of a request that increments many counters, checked by hand.

import type { Tally } from '../text/index.ts'
import { MISFITS_MAX, misfit, wrongName } from './batch.ts'
import { DELTA_EXPECTED, readDelta } from './contract/values.ts'
import type { Misfit } from './problem.ts'

/** What an item looks like. */
export const INCREMENT = '{"name": ..., "delta": ...}'

interface Increment {
  readonly name: string
  readonly delta?: unknown
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
  const wrong = wrongName(name)
  if (wrong !== undefined) return ['/name', wrong]
  if (delta !== undefined && readDelta(delta) === undefined) return ['/delta', DELTA_EXPECTED]
  for (const key in item) if (key !== 'name' && key !== 'delta') return [`/${key}`, 'unknown field, expected name and delta']
  return undefined
}
