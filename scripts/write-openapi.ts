// Writes docs/openapi.json from the contract: `npm run openapi`. A test fails while the two differ.

import { readFileSync, writeFileSync } from 'node:fs'
import { openapi } from '../lib/publicapi/openapi.ts'

const { version } = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { version: string }
writeFileSync(new URL('../docs/openapi.json', import.meta.url), `${JSON.stringify(openapi(version), null, 2)}\n`)
