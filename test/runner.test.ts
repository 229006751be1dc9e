// The runner must be able to fail: it is run on small files that pass, fail, hang, are empty or skip.

import { type SpawnSyncReturns, spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'

const test = suite('runner')

const SUITE = "import { suite } from 'uvu'\nimport * as assert from 'uvu/assert'\nconst test = suite('fixture')\n"
const PASSES = `${SUITE}test('one', () => {})\ntest('two', () => {})\ntest.run()\n`
const NEEDS = resolve('test/support/needs.ts')

/** Writes the files into a folder of their own, runs the runner on it, and removes it. */
function runOn(files: Record<string, string>, options: { args?: string[]; env?: Record<string, string> } = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'counter-runner-'))
  try {
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    for (const [name, text] of Object.entries(files)) {
      mkdirSync(dirname(join(folder, 'test', name)), { recursive: true })
      writeFileSync(join(folder, 'test', name), text)
    }
    const { CI: _, ...env } = process.env
    const args = [resolve('scripts/run-tests.mjs'), ...(options.args ?? [])]
    return spawnSync(process.execPath, args, { cwd: folder, encoding: 'utf8', env: { ...env, ...options.env } })
  } finally {
    rmSync(folder, { recursive: true })
  }
}

const lastLine = (run: SpawnSyncReturns<string>) => run.stdout.trimEnd().split('\n').at(-1)

test('files that pass are added up, in subfolders too', () => {
  const run = runOn({ 'a.test.ts': PASSES, 'deep/er/b.test.ts': PASSES, 'bench/c.test.ts': 'throw 1', 'd.ts': 'throw 1' })
  assert.is(lastLine(run), '4 passed, 0 failed, 0 skipped', run.stdout)
  assert.is(run.status, 0)
})

test('a failing test fails the run and its output is shown whole', () => {
  const text = `${SUITE}test('adds up', () => { console.log('a hint'); assert.is(1, 2) })\ntest('fine', () => {})\ntest.run()\n`
  const run = runOn({ 'a.test.ts': PASSES, 'b.test.ts': text })
  assert.is(lastLine(run), '3 passed, 1 failed, 0 skipped', run.stdout)
  assert.is(run.status, 1)
  assert.match(run.stdout, /FAIL {2}test\/b\.test\.ts/)
  assert.match(run.stdout, 'a hint')
  assert.match(run.stdout, '"adds up"')
})

test('a file that takes too long is ended, with what it started', () => {
  const child = "import { spawn } from 'node:child_process'\nspawn('sleep', ['60'], { stdio: 'inherit' })\n"
  const hang = `// time limit: 1 s\n${SUITE}${child}test('waits', () => new Promise(() => setInterval(() => {}, 1000)))\ntest.run()\n`
  const run = runOn({ 'a.test.ts': hang })
  assert.is(lastLine(run), '0 passed, 1 failed, 0 skipped', run.stdout)
  assert.match(run.stdout, 'took longer than its time limit of 1 s')
  assert.is(run.status, 1)
})

test('a file that leaves something open fails, and says what', () => {
  const text = `${SUITE}import { createServer } from 'node:net'\ncreateServer().listen(0)\ntest('passes', () => {})\ntest.run()\n`
  const run = runOn({ 'a.test.ts': text }, { args: ['--exit-limit', '1'] })
  assert.is(lastLine(run), '1 passed, 1 failed, 0 skipped', run.stdout)
  assert.match(run.stdout, 'finished its tests but did not exit')
  assert.match(run.stdout, /Still open: .*TCPServerWrap/)
  assert.is(run.status, 1)
})

test('a process that stands still after its tests has passed, and one that runs on has not', () => {
  const still = 'process.on("exit", () => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0))\n'
  const busy = 'process.on("exit", () => { for (;;); })\n'
  // By then both have come to where they stay, on a slow machine too.
  const args = ['--exit-limit', '5']
  const run = runOn({ 'still.test.ts': PASSES + still, 'busy.test.ts': PASSES + busy }, { args })
  assert.match(run.stdout, /ok {4}test\/still\.test\.ts {2}2 passed, Node did not come to its own end/)
  assert.match(run.stdout, /FAIL {2}test\/busy\.test\.ts {2}2 passed, 1 failed/)
  assert.is(lastLine(run), '4 passed, 1 failed, 0 skipped', run.stdout)
})

test('a file that proves nothing fails', () => {
  const cases: Array<[string, RegExp]> = [
    [SUITE, /printed no result/],
    [`${SUITE}test('never run', () => {})\n`, /printed no result/],
    [`${SUITE}test.run()\n`, /ran 0 tests/],
    ['throw new Error("at the top")\n', /ended before its tests did/],
    [`${SUITE}test('stops early', () => process.exit(0))\ntest.run()\n`, /ended before its tests did/],
    [`${SUITE}test('never settles', () => new Promise(() => {}))\ntest.run()\n`, /ended before its tests did/],
    [
      `${SUITE}test('later', () => {})\ntest.run()\nprocess.on('exit', () => { process.exitCode = 3 })\n`,
      /but ended with exit code 3/,
    ],
    [`${SUITE}test('left out', () => {})\ntest.only('alone', () => {})\ntest.run()\n`, /skips 1 tests without a reason/],
    [`${SUITE}test.skip('why', () => {})\ntest.run()\n`, /without a reason/],
  ]
  const run = runOn(Object.fromEntries(cases.map(([text], index) => [`case-${index}.test.ts`, text])))
  assert.is(run.status, 1)
  for (const [index, [text, message]] of cases.entries()) {
    const report = run.stdout.split(/^FAIL {2}/m).find((part) => part.startsWith(`test/case-${index}.test.ts`))
    assert.match(report ?? 'it passed', message, text)
  }
})

test('a skipped test is listed by name with its reason, and is a failure under CI', () => {
  const need = `import { needs, needsThat } from '${NEEDS}'\n`
  const skips = `${need}needs('redis', 'no-such-program').test(test, 'asks redis', () => {})\n`
  const text = `${SUITE}${skips}needs('node').test(test, 'asks node', () => {})\nneedsThat(false, 'needs root').test(test, 'mounts', () => {})\n`
  const files = { 'a.test.ts': `${text}test.run()\n` }

  const run = runOn(files)
  assert.is(lastLine(run), '1 passed, 0 failed, 2 skipped', run.stdout)
  assert.match(run.stdout, 'test/a.test.ts: asks redis: needs redis, and no-such-program is not in PATH')
  assert.match(run.stdout, 'test/a.test.ts: mounts: needs root')
  assert.is(run.status, 0)

  const inCi = runOn(files, { env: { CI: 'true' } })
  assert.is(lastLine(inCi), '1 passed, 0 failed, 2 skipped')
  assert.is(inCi.status, 1)
})

test('parts of a path choose the files, and choosing none is a failure', () => {
  const files = { 'text/a.test.ts': PASSES, 'storage/b.test.ts': PASSES }
  assert.is(lastLine(runOn(files, { args: ['text/'] })), '2 passed, 0 failed, 0 skipped')
  assert.is(lastLine(runOn(files, { args: ['text/', 'b.test'] })), '4 passed, 0 failed, 0 skipped')
  const none = runOn(files, { args: ['txet'] })
  assert.is(lastLine(none), '0 passed, 1 failed, 0 skipped')
  assert.is(none.status, 1)
})

test('the seed is printed and goes through; settings of Counter do not', () => {
  const body = "assert.is(process.env.SEED, '7'); assert.is(process.env.COUNTER_TOKEN, undefined)"
  const run = runOn(
    { 'a.test.ts': `${SUITE}test('seed', () => { ${body} })\ntest.run()\n` },
    { env: { SEED: '7', COUNTER_TOKEN: 'x' } },
  )
  assert.match(run.stdout, 'SEED=7')
  assert.is(lastLine(run), '1 passed, 0 failed, 0 skipped', run.stdout)
})

test.run()
