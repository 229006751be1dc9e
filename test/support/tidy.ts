// The rules of docs/STYLE.md and docs/ARCHITECTURE.md that a program can check on the source alone. Pure: files in, sentences out.

import { dirname, posix } from 'node:path'

export interface SourceFile {
  /** Path from the project's root, with slashes. */
  readonly path: string
  readonly text: string
}

/** Rank by layer, as the table in docs/ARCHITECTURE.md has it. Layers without a rank (the client, which only commands use) have NaN. */
export type Ranks = ReadonlyMap<string, number>

const LINE_LENGTH_MAX = 150
const CONTRACT = 'lib/publicapi/contract.ts'

/** What may appear only in the files named here, and why there. */
const CONFINED: ReadonlyArray<{ what: RegExp; name: string; files: readonly string[] }> = [
  { what: /\bprocess\.env\b/, name: 'process.env', files: ['lib/config.ts'] },
  {
    what: /\bDate\.now\b|\bnew Date\(\)/,
    name: 'the wall clock',
    files: [
      'lib/base/clock.ts',
      'lib/persistence/lock.ts', // Compares it with a file's time; the lock is a parameter of the store as a whole.
    ],
  },
  { what: /\bperformance\.now\b|\bprocess\.hrtime\b/, name: 'the monotonic clock', files: ['lib/base/clock.ts'] },
  {
    what: /(?<![.\w])set(Timeout|Interval|Immediate)\(|['"]node:timers/,
    name: 'a timer',
    files: [
      'lib/base/clock.ts',
      'lib/persistence/lock.ts', // Waits for real processes; see above.
      'lib/client/platform.ts', // The client is published by itself and imports nothing but the contract.
    ],
  },
  {
    what: /\bMath\.random\b|\brandom(Bytes|UUID|Int)\b/,
    name: 'randomness',
    files: ['lib/base/random.ts', 'lib/client/platform.ts'],
  },
  {
    what: /['"]node:fs(\/promises)?['"]/,
    name: 'node:fs',
    files: [
      'lib/persistence/node-disk.ts', // The disk of the store.
      'lib/persistence/lock.ts', // The lock, which lies on a real socket file.
      'lib/config.ts', // The settings file.
      'lib/publicapi/assets.ts', // The page's files.
      'lib/node/pem.ts', // The certificates of the sync port and for etcd.
      'cmd/backup.ts', // Files that the user names.
      'cmd/import.ts',
      'cmd/data-directory.ts',
      'cmd/items-load.ts',
      'cmd/resume-file.ts',
    ],
  },
]

/** The ranks from the table under "The house". */
export function parseRanks(architecture: string): Ranks {
  const rows = architecture.matchAll(/^\| `([a-z/.]+?)\/?` \| (\d+|-) \|/gm)
  return new Map(Array.from(rows, ([, layer, rank]) => [layer!, Number(rank)]))
}

/** One sentence for each breach, with file and line where there is one. */
export function checkTidy(files: readonly SourceFile[], ranks: Ranks): string[] {
  return files.flatMap((file) => [
    ...checkShape(file),
    ...(isProduct(file.path) ? [...checkImports(file, ranks), ...checkConfined(file)] : []),
    ...(file.path.endsWith('.test.ts') ? checkTest(file) : []),
  ])
}

const isProduct = (path: string): boolean => path.startsWith('lib/') || path.startsWith('cmd/')

function checkShape({ path, text }: SourceFile): string[] {
  const found: string[] = []
  const lines = text.split('\n')
  for (const [index, line] of lines.entries()) {
    if (line.length > LINE_LENGTH_MAX) found.push(`${path}:${index + 1} is longer than ${LINE_LENGTH_MAX} characters.`)
  }
  if (/(^|[/-])(utils?|helpers?|common|managers?|misc)\.[a-z.]+$/.test(path)) found.push(`${path} has a name that says nothing.`)
  const first = lines[0]!.startsWith('#!') ? lines.slice(1).find((line) => line !== '') : lines[0]
  if (isProduct(path) && !/^\/[/*]/.test(first ?? '')) found.push(`${path} should start with a comment that says what it holds.`)
  return found
}

function checkImports({ path, text }: SourceFile, ranks: Ranks): string[] {
  const found: string[] = []
  const own = layerOf(path, ranks)
  if (own === undefined) return [`${path} belongs to no layer of docs/ARCHITECTURE.md.`]
  for (const { target, line } of imports(text)) {
    if (!target.startsWith('.')) continue
    const to = posix.join(posix.dirname(path), target)
    const layer = layerOf(to, ranks)
    const say = (why: string) => found.push(`${path}:${line} imports ${to}: ${why}.`)
    if (!target.endsWith('.ts') && !target.endsWith('.json')) say('the suffix .ts is missing')
    if (layer === own) continue
    if (own === 'lib/client') {
      if (to !== CONTRACT) say('the client imports nothing but the contract')
    } else if (layer === undefined) {
      if (to !== 'package.json') say('it belongs to no layer')
    } else if (layer === 'lib/client' && own === 'cmd') {
      if (to !== 'lib/client/index.ts') say('other layers are imported by their index.ts')
    } else if (!(ranks.get(layer)! < ranks.get(own)!)) {
      say(`rank ${ranks.get(own)} may only import lower ranks, and ${layer} has ${ranks.get(layer)}`)
    } else if (layer !== 'lib/base' && to !== `${layer}/index.ts` && to !== layer) {
      say('other layers are imported by their index.ts')
    }
  }
  return found
}

/** The layer of a path: a folder, or a file such as lib/config.ts together with the folder lib/config of its parts. */
function layerOf(path: string, ranks: Ranks): string | undefined {
  for (let at = path; at !== '.'; at = dirname(at)) {
    if (ranks.has(at)) return at
    if (ranks.has(`${at}.ts`)) return `${at}.ts`
  }
  return undefined
}

function imports(text: string): Array<{ target: string; line: number }> {
  const pattern = /\bfrom\s+['"]([^'"]+)['"]|\bimport\s*\(?\s*['"]([^'"]+)['"]/g
  return Array.from(withoutComments(text).matchAll(pattern), (match) => ({
    target: (match[1] ?? match[2])!,
    line: lineOf(text, match.index!),
  }))
}

function checkConfined({ path, text }: SourceFile): string[] {
  const code = withoutComments(text)
  return CONFINED.flatMap(({ what, name, files }) => {
    const at = code.search(what)
    if (at < 0 || files.includes(path)) return []
    return [`${path}:${lineOf(text, at)} uses ${name}, which belongs in ${files.join(', ')} alone.`]
  })
}

function checkTest({ path, text }: SourceFile): string[] {
  const found: string[] = []
  const code = withoutComments(text)
  for (const [, name] of code.matchAll(/^(?:const|let) (\w+) = suite(?:<.*?>)?\(/gm)) {
    if (!new RegExp(`^\\s*${name}\\.run\\(\\)`, 'm').test(code)) found.push(`${path} never calls ${name}.run().`)
    const only = code.search(new RegExp(`^\\s*${name}\\.only\\(`, 'm'))
    if (only >= 0) found.push(`${path}:${lineOf(text, only) + 1} runs one test only.`)
  }
  if (!/\.run\(\)/.test(code)) found.push(`${path} runs no suite.`)
  return found
}

/** The text with comments blanked out, so that positions stay. Good enough for our own style, no parser. */
function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\/|(?<=^|\s)\/\/.*$/gm, (comment) => comment.replace(/[^\n]/g, ' '))
}

const lineOf = (text: string, at: number): number => text.slice(0, at).split('\n').length
