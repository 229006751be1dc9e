// Puts what browsers load beside the built program: Swagger UI, with its licence. Run by `npm run build`, after tsc.
// The package is needed only here, so an installation of the built program does not have it.

import { copyFileSync, mkdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = dirname(dirname(fileURLToPath(import.meta.url)))
const source = join(root, 'node_modules/swagger-ui-dist')
const target = join(root, 'dist/web/swagger')

mkdirSync(target, { recursive: true })
for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css', 'LICENSE', 'NOTICE'])
  copyFileSync(join(source, file), join(target, file))
