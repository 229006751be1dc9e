// The English text of the benches: the bible when Debian's bible-kjv is installed, otherwise a generated one.

import { spawnSync } from 'node:child_process'
import { seededRandom } from '../../lib/base/random.ts'
import { englishLike } from './words.ts'

export function englishText(): { text: Uint8Array; source: string } {
  const bible = spawnSync('bible', ['gen1:1-rev22:21'], { maxBuffer: 1 << 26 })
  if (bible.status === 0 && bible.stdout.length > 1_000_000)
    return { text: new Uint8Array(bible.stdout), source: 'the bible (bible-kjv)' }
  return { text: new TextEncoder().encode(englishLike(seededRandom(1), 4_300_000)), source: 'generated' }
}
