// The version of this program: that of its package, wherever the package lies (the checkout, dist, an installation).

import { createRequire } from 'node:module'

export const VERSION: string = createRequire(import.meta.url)('@counter/counter/package.json').version
