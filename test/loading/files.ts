// Files of items for tests, and a source that gives them in pieces.

import type { LoadItem } from '../../lib/loading/read.ts'

export const ndjson = (items: readonly Pick<LoadItem, 'id' | 'tenant'>[]): string =>
  items.map(({ id, tenant }) => `${JSON.stringify({ id, tenant })}\n`).join('')

/** As RFC 4180 has it, with quotes where they are needed. */
export const csv = (items: readonly Pick<LoadItem, 'id' | 'tenant'>[], lineBreak = '\n'): string =>
  [{ id: 'id', tenant: 'tenant' }, ...items].map(({ id, tenant }) => `${quoted(id)},${quoted(tenant)}${lineBreak}`).join('')

const quoted = (field: string): string => (/[",\r\n]/.test(field) ? `"${field.replaceAll('"', '""')}"` : field)

/** The bytes from `offset` on, in pieces of `pieceBytes`. */
export async function* piecesOf(text: string | Uint8Array, pieceBytes: number, offset = 0): AsyncGenerator<Uint8Array, void> {
  const bytes = Buffer.from(text as string)
  for (let at = offset; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, Math.min(at + pieceBytes, bytes.length))
}
