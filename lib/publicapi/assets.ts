// The files of Swagger UI: the only files this layer reads. They are read once, when first asked for, and kept.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

export interface Asset {
  readonly bytes: Uint8Array
  readonly contentType: string
  readonly etag: string
}

/** The files that are served, and no others: what a client names never becomes a path. */
const CONTENT_TYPES = new Map([
  ['swagger-ui-bundle.js', 'text/javascript; charset=utf-8'],
  ['swagger-ui.css', 'text/css; charset=utf-8'],
])

const kept = new Map<string, Promise<Asset | undefined>>()

/** Where the assets lie: beside the built program, or, run from source, in the package they come from. */
export function findAssets(): string {
  const built = fileURLToPath(new URL('../../web/swagger/', import.meta.url))
  return existsSync(built) ? built : fileURLToPath(new URL('../../node_modules/swagger-ui-dist/', import.meta.url))
}

/** The asset, or undefined when there is none of that name or its file is missing. */
export function readAsset(directory: string, file: string): Promise<Asset | undefined> {
  const contentType = CONTENT_TYPES.get(file)
  if (contentType === undefined) return Promise.resolve(undefined)
  const path = join(directory, file)
  const asset = kept.get(path) ?? load(path, contentType)
  kept.set(path, asset)
  return asset
}

async function load(path: string, contentType: string): Promise<Asset | undefined> {
  try {
    const bytes = await readFile(path)
    return { bytes, contentType, etag: `"${createHash('sha256').update(bytes).digest('base64url').slice(0, 22)}"` }
  } catch {
    kept.delete(path)
    return undefined
  }
}
