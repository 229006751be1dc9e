// What a record of a file of items says: a line of NDJSON {"id": ..., "tenant": ...}, or a row of CSV. Ids and tenants are texts; integers are
// taken as their digits. Other fields are left alone.

import { isUtf8 } from 'node:buffer'
import type { RawRecord } from './cut.ts'
import { RECORD_BYTES_MAX } from './cut.ts'

export interface LoadItem {
  readonly id: string
  readonly tenant: string
  /** The line of the file that it stands on. */
  readonly line: number
}

/** Which columns of a CSV file hold what, from 0 on. */
export interface Columns {
  readonly id: number
  readonly tenant: number
  /** How many a row has. */
  readonly count: number
}

/** An item, what is wrong with the record, or nothing where there is nothing to read: an empty line, or a header. */
export type Reading = LoadItem | string | undefined

export interface Reader {
  read(record: RawRecord): Reading
  /** Known once the first row of a CSV file was read. */
  readonly columns: Columns | undefined
}

const BYTE_ORDER_MARK = '\ufeff'
const LONE_SURROGATE = /\p{Surrogate}/u
/** Of one UTF-16 unit, in UTF-8. */
const UNIT_BYTES_MAX = 3

/** @param nameBytesMax of an id or a tenant, in UTF-8. @param columns of a file whose first row was read before */
export function createReader(format: 'ndjson' | 'csv', nameBytesMax: number, columns: Columns | undefined): Reader {
  const read = format === 'ndjson' ? readObject : readRow
  const reader = {
    columns,
    read(record: RawRecord): Reading {
      if (record.flaw === 'long') return `longer than ${RECORD_BYTES_MAX} bytes`
      if (record.flaw === 'unclosed') return 'a quote is opened and never closed'
      if (!isUtf8(record.bytes)) return 'not valid UTF-8'
      let text = Buffer.from(record.bytes.buffer, record.bytes.byteOffset, record.bytes.length).toString()
      if (record.start === 0 && text.startsWith(BYTE_ORDER_MARK)) text = text.slice(1)
      return text.trim() === '' ? undefined : read(text, record.line)
    },
  }
  return reader

  function readObject(text: string, line: number): Reading {
    let value: unknown
    try {
      value = JSON.parse(text)
    } catch (error) {
      return `not JSON (${(error as Error).message})`
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) return 'expected {"id": ..., "tenant": ...}'
    const id = textOf(fieldOf(value, 'id'))
    if (id === undefined) return 'expected a string or an integer as id'
    const tenant = textOf(fieldOf(value, 'tenant'))
    if (tenant === undefined) return 'expected a string or an integer as tenant'
    return checked(id, tenant, line)
  }

  function readRow(text: string, line: number): Reading {
    const fields = readFields(text)
    if (typeof fields === 'string') return fields
    if (reader.columns === undefined) {
      const header = headerOf(fields)
      reader.columns = header ?? { id: 0, tenant: 1, count: 2 }
      if (header !== undefined) return undefined
    }
    const { id, tenant, count } = reader.columns
    if (fields.length !== count) return `expected ${count} columns, got ${fields.length}`
    return checked(fields[id]!, fields[tenant]!, line)
  }

  function checked(id: string, tenant: string, line: number): Reading {
    return wrongName('id', id, nameBytesMax) ?? wrongName('tenant', tenant, nameBytesMax) ?? { id, tenant, line }
  }
}

function wrongName(what: string, name: string, bytesMax: number): string | undefined {
  if (name === '') return `the ${what} is empty`
  if (LONE_SURROGATE.test(name)) return `the ${what} has half of a surrogate pair`
  if (name.length * UNIT_BYTES_MAX <= bytesMax) return undefined
  const bytes = Buffer.byteLength(name)
  return bytes <= bytesMax ? undefined : `the ${what} has ${bytes} bytes, at most ${bytesMax} are taken (COUNTER_NAME_BYTES_MAX)`
}

/** The value of a field in any case, as the originals wrote them. */
function fieldOf(object: object, name: string): unknown {
  if (Object.hasOwn(object, name)) return (object as Record<string, unknown>)[name]
  const key = Object.keys(object).find((key) => key.toLowerCase() === name)
  return key === undefined ? undefined : (object as Record<string, unknown>)[key]
}

function textOf(value: unknown): string | undefined {
  if (typeof value === 'string') return value
  return Number.isSafeInteger(value) ? String(value) : undefined
}

/** The columns that a header names; undefined when the row is none. */
function headerOf(fields: readonly string[]): Columns | undefined {
  const names = fields.map((field) => field.trim().toLowerCase())
  const [id, tenant] = [names.indexOf('id'), names.indexOf('tenant')]
  return id < 0 || tenant < 0 ? undefined : { id, tenant, count: names.length }
}

/** The fields of a row, or what is wrong with it (RFC 4180). */
function readFields(text: string): string[] | string {
  if (!text.includes('"')) return text.split(',')
  const fields: string[] = []
  for (let at = 0; ; at++) {
    if (text[at] !== '"') {
      const comma = text.indexOf(',', at)
      const field = comma < 0 ? text.slice(at) : text.slice(at, comma)
      if (field.includes('"')) return 'a quote within a field that does not start with one'
      fields.push(field)
      if (comma < 0) return fields
      at = comma
      continue
    }
    let end = text.indexOf('"', at + 1)
    while (end >= 0 && text[end + 1] === '"') end = text.indexOf('"', end + 2)
    if (end < 0) return 'a quote is opened and never closed'
    fields.push(text.slice(at + 1, end).replaceAll('""', '"'))
    at = end + 1
    if (at >= text.length) return fields
    if (text[at] !== ',') return 'expected a comma after a closing quote'
  }
}
