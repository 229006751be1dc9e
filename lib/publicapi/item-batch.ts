// The items of a request that gives ids to tenants, checked by hand: as /v1/items takes them, and as the originals took them, whose JSON
// decoders read any case of a field's name and left unknown fields alone, and one of which wrote ids as numbers.
// A batch is read whole before anything is changed, so that of a wrong one nothing is kept.

import type { ItemChange } from '../storage/index.ts'
import { checkLength, itemsOf, MISFITS_MAX, misfit, wrongLength, wrongName } from './batch.ts'
import type { Misfit } from './problem.ts'
import { Problem } from './problem.ts'

/** What the originals say of an item without an id or without a tenant. */
export const BOTH_REQUIRED = 'both values are required'

const ITEM = '{"id": ..., "tenant": ...}'
const FIELD_MISSING = 'expected at least one character'

/** The items of {"items": [{"id": ..., "tenant": ...}, ...]}. @throws Problem body-invalid, which lists what does not fit */
export function readItems(body: unknown, nameBytesMax: number): ItemChange[] {
  const errors: Misfit[] = []
  const changes: ItemChange[] = []
  const items = itemsOf(body, ITEM)
  for (let index = 0; index < items.length && errors.length < MISFITS_MAX; index++) {
    const item = items[index]
    const wrong = wrongItem(item, nameBytesMax)
    if (wrong === undefined) {
      const { id, tenant } = item as { id: string; tenant: string }
      changes.push({ id, tenant })
    } else errors.push({ in: 'body', path: `/items/${index}${wrong[0]}`, message: wrong[1] })
  }
  if (errors.length > 0) throw misfit(errors)
  return changes
}

/** Where in the item what is wrong; undefined when nothing is. */
function wrongItem(item: unknown, nameBytesMax: number): readonly [string, string] | undefined {
  if (typeof item !== 'object' || item === null || Array.isArray(item)) return ['', 'expected an object with id and tenant']
  const { id, tenant } = item as { id?: unknown; tenant?: unknown }
  const wrongId = wrongText(id, nameBytesMax)
  if (wrongId !== undefined) return ['/id', wrongId]
  const wrongTenant = wrongText(tenant, nameBytesMax)
  if (wrongTenant !== undefined) return ['/tenant', wrongTenant]
  for (const key in item) if (key !== 'id' && key !== 'tenant') return [`/${key}`, 'unknown field, expected id and tenant']
  return undefined
}

const wrongText = (value: unknown, nameBytesMax: number): string | undefined =>
  wrongName(value) ?? wrongLength(value as string, nameBytesMax)

/**
 * The items of a body as the originals took it: [{"id": "item-1", "tenant": "t1"}, {"ID": 2, "tenant": 7}, ...].
 * @throws Problem body-invalid, which lists what does not fit; its detail is BOTH_REQUIRED when that is an absent value
 */
export function readOriginalItems(body: unknown, nameBytesMax: number): ItemChange[] {
  if (!Array.isArray(body)) {
    throw misfit([{ in: 'body', path: '', message: `expected a list of items: [${ITEM}, ...]` }])
  }
  checkLength(body, '')
  const errors: Misfit[] = []
  const changes: ItemChange[] = []
  for (let index = 0; index < body.length && errors.length < MISFITS_MAX; index++) {
    const item = body[index]
    if (typeof item !== 'object' || item === null || Array.isArray(item)) {
      errors.push({ in: 'body', path: `/${index}`, message: 'expected an object with id and tenant' })
      continue
    }
    const fields = fieldsOf(item)
    const id = textOf(fields.id)
    const tenant = textOf(fields.tenant)
    const wrongId = wrongOriginal(id, nameBytesMax)
    const wrongTenant = wrongOriginal(tenant, nameBytesMax)
    if (wrongId !== undefined) errors.push({ in: 'body', path: `/${index}/id`, message: wrongId })
    if (wrongTenant !== undefined) errors.push({ in: 'body', path: `/${index}/tenant`, message: wrongTenant })
    if (wrongId === undefined && wrongTenant === undefined) changes.push({ id: id as string, tenant: tenant as string })
  }
  if (errors.some(({ message }) => message === FIELD_MISSING)) {
    throw new Problem('body-invalid', BOTH_REQUIRED, { errors, fix: 'Give every item an id and a tenant that are not empty.' })
  }
  if (errors.length > 0) throw misfit(errors)
  return changes
}

/** Both fields, their names in any case; of several the last, as the originals read them. */
function fieldsOf(item: object): { id: unknown; tenant: unknown } {
  let id: unknown
  let tenant: unknown
  for (const key in item) {
    const name = key === 'id' || key === 'tenant' ? key : key.toLowerCase()
    if (name === 'id') id = item[key as keyof typeof item]
    else if (name === 'tenant') tenant = item[key as keyof typeof item]
  }
  return { id, tenant }
}

/** A text, or an integer as its digits. Nothing at all is an empty text, as it was to the originals. */
function textOf(value: unknown): unknown {
  if (value === undefined || value === null) return ''
  return Number.isSafeInteger(value) || typeof value === 'bigint' ? String(value) : value
}

function wrongOriginal(value: unknown, nameBytesMax: number): string | undefined {
  if (typeof value !== 'string') return 'expected a string or an integer'
  return wrongName(value) ?? wrongLength(value, nameBytesMax)
}
