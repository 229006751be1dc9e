// The source itself keeps the rules: layers, confined names, file comments, tests that run. Each rule is shown to be able to fail.

import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { join, sep } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { checkTidy, parseRanks, type SourceFile } from './support/tidy.ts'

const test = suite('tidy')

const ranks = parseRanks(readFileSync('docs/ARCHITECTURE.md', 'utf8'))

function sourceFiles(folder: string): SourceFile[] {
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => /\.(ts|mjs|js)$/.test(name))
    .map((name) => join(folder, name).split(sep).join('/'))
    .filter((path) => !path.startsWith('test/fixtures/'))
    .map((path) => ({ path, text: readFileSync(path, 'utf8') }))
}

/** What is said about one planted file. */
const check = (path: string, text: string) => checkTidy([{ path, text }], ranks)

test('the source keeps the rules', () => {
  const files = ['lib', 'cmd', 'test', 'scripts'].flatMap(sourceFiles)
  assert.ok(files.length > 20, 'the source was found')
  assert.equal(checkTidy(files, ranks), [])
})

test('the documents that hold the rules are there', () => {
  for (const path of ['docs/STYLE.md', 'docs/ARCHITECTURE.md', 'docs/OPERATING.md']) assert.ok(existsSync(path), path)
})

test('the ranks are those of the table in docs/ARCHITECTURE.md', () => {
  const expected = {
    cmd: 6,
    'lib/config.ts': 5,
    'lib/node.ts': 5,
    'lib/publicapi': 4,
    'lib/persistence': 3,
    'lib/text': 2,
    'lib/storage': 2,
  }
  for (const [layer, rank] of Object.entries({ ...expected, 'lib/base': 1 })) assert.is(ranks.get(layer), rank, layer)
  assert.ok(ranks.has('lib/client'))
  const folders = readdirSync('lib', { withFileTypes: true }).filter((entry) => entry.isDirectory())
  for (const { name } of folders)
    assert.ok(ranks.has(`lib/${name}`) || ranks.has(`lib/${name}.ts`), `lib/${name} is in the table`)
})

test('an import up, sideways, deep into another folder or out of the layers is found', () => {
  const cases: Array<[path: string, target: string, found: RegExp | undefined]> = [
    ['lib/storage/table.ts', './column.ts', undefined],
    ['lib/storage/table.ts', '../base/assert.ts', undefined],
    ['lib/storage/table.ts', 'node:zlib', undefined],
    ['lib/storage/table.ts', '../text/index.ts', /rank 2 may only import lower ranks/],
    ['lib/storage/table.ts', '../persistence/index.ts', /rank 2 may only import lower ranks/],
    ['lib/base/assert.ts', '../storage/index.ts', /rank 1 may only import lower ranks/],
    ['lib/persistence/store.ts', '../storage/index.ts', undefined],
    ['lib/persistence/store.ts', '../storage/table.ts', /by their index\.ts/],
    ['lib/persistence/deep/er.ts', '../../storage/table.ts', /by their index\.ts/],
    ['lib/config.ts', './config/table.ts', undefined],
    ['lib/config/table.ts', '../base/errors.ts', undefined],
    ['lib/node.ts', './config/table.ts', /rank 5 may only import lower ranks/],
    ['lib/node.ts', './config.ts', /rank 5 may only import lower ranks/],
    ['cmd/serve.ts', '../lib/config.ts', undefined],
    ['cmd/serve.ts', '../lib/config/table.ts', /by their index\.ts/],
    ['cmd/serve.ts', '../package.json', undefined],
    ['lib/client/index.ts', '../publicapi/contract.ts', undefined],
    ['lib/client/index.ts', '../base/errors.ts', /nothing but the contract/],
    ['cmd/cluster.ts', '../lib/client/index.ts', undefined],
    ['cmd/cluster.ts', '../lib/client/session.ts', /by their index\.ts/],
    ['lib/node.ts', './client/index.ts', /lib\/client has NaN/],
    ['lib/persistence/store.ts', '../../test/support/needs.ts', /belongs to no layer/],
    ['lib/storage/table.ts', './column', /suffix/],
    ['lib/loose.ts', './base/assert.ts', /belongs to no layer/],
  ]
  for (const [path, target, found] of cases) {
    for (const code of [
      `import { a } from '${target}'`,
      `import '${target}'`,
      `const a = await import('${target}')`,
      `export * from '${target}'`,
    ]) {
      const said = check(path, `// A file.\n${code}\n`).join(' ')
      if (found === undefined) assert.is(said, '', `${path} may: ${code}`)
      else assert.match(said, found, `${path} may not: ${code}`)
    }
  }
})

test('an import over several lines, or of a type alone, is found too', () => {
  assert.match(
    check('lib/text/tally.ts', "// A file.\nimport {\n  a,\n} from '../storage/index.ts'\n").join(),
    'lib/text/tally.ts:4',
  )
  assert.match(check('lib/text/tally.ts', "// A file.\nimport type { A } from '../storage/index.ts'\n").join(), 'rank 2')
})

test('clocks, timers, randomness, files and the environment stay where they belong', () => {
  const cases: Array<[home: string, code: string]> = [
    ['lib/config.ts', 'process.env.HOME'],
    ['lib/base/clock.ts', 'Date.now()'],
    ['lib/base/clock.ts', 'new Date()'],
    ['lib/base/clock.ts', 'performance.now()'],
    ['lib/base/clock.ts', 'setTimeout(task, 1)'],
    ['lib/base/clock.ts', 'setInterval(task, 1)'],
    ['lib/base/random.ts', 'Math.random()'],
    ['lib/base/random.ts', "import { randomBytes } from 'node:crypto'"],
    ['lib/persistence/node-disk.ts', "import { open } from 'node:fs/promises'"],
  ]
  for (const [home, code] of cases) {
    assert.equal(check(home, `// A file.\n${code}\n`), [], `${home} may: ${code}`)
    assert.match(check('lib/storage/table.ts', `// A file.\n${code}\n`).join(), 'belongs in', `others may not: ${code}`)
    assert.equal(check('lib/storage/table.ts', `// A file with ${code}\n`), [], 'a comment may speak of it')
  }
})

test('a file without a comment at its start, with a long line or an empty name is found', () => {
  assert.match(check('lib/text/tally.ts', 'export const a = 1\n').join(), 'should start with a comment')
  assert.equal(check('cmd/counter.ts', '#!/usr/bin/env node\n// The command line.\n'), [])
  assert.match(check('lib/text/tally.ts', `// A file.\n// ${'x'.repeat(150)}\n`).join(), 'lib/text/tally.ts:2 is longer')
  for (const name of ['utils.ts', 'text-helpers.ts', 'common.test.ts', 'manager.ts']) {
    assert.match(check(`test/${name}`, 'test.run()').join(), 'says nothing', name)
  }
})

test('a test file that runs nothing, or one test only, is found', () => {
  const head = "const test = suite('a')\n"
  assert.equal(check('test/a.test.ts', `${head}test('b', () => {})\ntest.run()\n`), [])
  assert.match(check('test/a.test.ts', `${head}test('b', () => {})\n`).join(), 'never calls test.run()')
  assert.match(check('test/a.test.ts', `${head}// test.run()\n`).join(), 'never calls test.run()')
  assert.match(check('test/a.test.ts', `${head}test.only('b', () => {})\ntest.run()\n`).join(), 'one test only')
  assert.match(check('test/a.test.ts', `${head}const other = suite('c')\ntest.run()\n`).join(), 'never calls other.run()')
  assert.match(check('test/a.test.ts', '').join(), 'runs no suite')
})

test.run()
