#!/usr/bin/env node
// Runs every test/**/*.test.ts, each file as a process of its own, as many at once as there are cores.
// uvu alone would let a suite without run() pass, would wait for ever for an open handle, and has no time limits.
// A file passes when it printed uvu's closing block, ran at least one test, failed none, and then exited by itself. A process that is past
// its 'exit' event (signals are no longer handled), or that neither exits nor runs (it uses no CPU and handles no signal), is held up
// inside of Node, which may happen at the end of any program (nodejs/node#54918): that is said, and is no failure of the file.
//
//   node scripts/run-tests.mjs [--root DIR] [--jobs N] [PART OF A PATH ...]
//
// A file may raise its time limit with a comment such as `// time limit: 600 s` in its first lines. SEED goes through to the
// tests (default 1, `SEED=random` picks one) and is printed. With CI=true a skipped test is a failure.
// The last line is always `N passed, N failed, N skipped`.

import { spawn } from 'node:child_process'
import { closeSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { availableParallelism } from 'node:os'
import { join, relative } from 'node:path'
import { parseArgs } from 'node:util'

/** Against hanging alone: a file takes some tenth of it on a machine that has nothing else to do. */
const TIME_LIMIT_S = 300
const CLOSING_BLOCK = /Total: {5}(\d+)\n {2}Passed: {4}(\d+)\n {2}Skipped: {3}(\d+)\n {2}Duration: /g
const STILL_OPEN = 'Still open: '
const SKIPPED_LINE = /^SKIPPED (.+)$/gm

const { values: options, positionals: parts } = parseArgs({
  allowPositionals: true,
  options: {
    root: { type: 'string', default: 'test' },
    jobs: { type: 'string', default: String(availableParallelism()) },
    // How long a file may take to exit after its last test.
    'exit-limit': { type: 'string', default: '30' },
  },
})
const seed = process.env.SEED === 'random' ? String(Math.floor(Math.random() * 2 ** 31)) : (process.env.SEED ?? '1')
const running = new Set()

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
]) {
  process.on(signal, () => {
    for (const child of running) killGroup(child)
    process.exit(code)
  })
}

await main()

async function main() {
  const files = findFiles(options.root).filter((file) => parts.length === 0 || parts.some((part) => file.includes(part)))
  if (files.length === 0) {
    console.log(`No test file under ${options.root}/ matches ${parts.join(' ') || '*.test.ts'}.`)
    finish([{ passed: 0, failed: 1, skipped: [] }])
    return
  }
  console.log(`SEED=${seed}  ${files.length} files, ${options.jobs} at once`)

  // The long ones first, so that none of them is left alone at the end.
  const waiting = files.map((file) => ({ file, limitS: timeLimit(file) })).sort((a, b) => b.limitS - a.limitS)
  const results = []
  const worker = async () => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      const result = judge(next, await run(next))
      report(result)
      results.push(result)
    }
  }
  await Promise.all(Array.from({ length: Math.max(1, Number(options.jobs) || 1) }, worker))
  finish(results)
}

function findFiles(root) {
  return readdirSync(root, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.test.ts'))
    .map((entry) => relative('.', join(entry.parentPath ?? entry.path, entry.name)))
    .filter((file) => !file.startsWith(join(relative('.', root), 'bench')) && !file.includes('node_modules'))
    .sort()
}

/** The time limit a file asks for in its first lines, in seconds. */
function timeLimit(file) {
  const head = Buffer.alloc(1024)
  const descriptor = openSync(file)
  const length = readSync(descriptor, head)
  closeSync(descriptor)
  const asked = /^\/\/.*\btime limit: (\d+) s\b/m.exec(head.toString('utf8', 0, length))
  return asked ? Number(asked[1]) : TIME_LIMIT_S
}

/** Runs one file in a process group of its own and gathers what it printed. */
function run({ file, limitS }) {
  return new Promise((resolve) => {
    const started = performance.now()
    const preload = new URL('../test/support/open-handles.mjs', import.meta.url).href
    const child = spawn(process.execPath, ['--import', import.meta.resolve('tsx'), '--import', preload, file], {
      detached: true,
      env: testEnvironment(),
      stdio: ['ignore', 'pipe', 'pipe'],
    })
    running.add(child)
    let output = ''
    let stopped
    let exitTimer
    const stop = (why) => {
      stopped = why
      const cpu = cpuTicks(child.pid)
      child.kill('SIGUSR2') // Prints what is open, see test/support/open-handles.mjs.
      setTimeout(() => {
        const isStill = !output.includes(STILL_OPEN) && cpu !== undefined && cpuTicks(child.pid) === cpu
        if (why === 'open' && isStill) stopped = 'ending'
        killGroup(child)
      }, 1000)
    }
    const limitTimer = setTimeout(stop, limitS * 1000, 'time')
    const gather = (text) => {
      output += text
      if (exitTimer !== undefined || !closingBlock(output)) return
      clearTimeout(limitTimer)
      exitTimer = setTimeout(stop, Number(options['exit-limit']) * 1000, 'open')
    }
    child.stdout.setEncoding('utf8').on('data', gather)
    child.stderr.setEncoding('utf8').on('data', gather)
    child.on('error', (error) => gather(`${error.message}\n`))
    child.on('exit', (_code, signal) => {
      // Its tests are over and it takes signals no more: it was taking itself down.
      if (stopped === 'open' && signal === 'SIGUSR2') stopped = 'ending'
      clearTimeout(limitTimer)
      clearTimeout(exitTimer)
      killGroup(child) // Whatever it started and left behind.
      setTimeout(() => [child.stdout, child.stderr].map((pipe) => pipe.destroy()), 2000).unref() // Held open by a stranger.
    })
    child.on('close', (code, signal) => {
      running.delete(child)
      resolve({ output, code, signal, stopped, elapsedS: (performance.now() - started) / 1000 })
    })
  })
}

/** The CPU time a process has used, in ticks; undefined where there is no /proc or it has ended. */
function cpuTicks(pid) {
  try {
    const [utime, stime] = readFileSync(`/proc/${pid}/stat`, 'utf8')
      .replace(/^.*\) /, '')
      .split(' ')
      .slice(11, 13)
    return Number(utime) + Number(stime)
  } catch {
    return undefined
  }
}

/** The developer's own settings of Counter must not reach the nodes that tests start. */
function testEnvironment() {
  const own = Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTER_'))
  return { ...Object.fromEntries(own), SEED: seed, FORCE_COLOR: '0' }
}

function killGroup(child) {
  try {
    process.kill(-child.pid, 'SIGKILL')
  } catch {
    // The group is gone.
  }
}

/** uvu's own figures: those of the last block, as a test may print such a block too. */
function closingBlock(output) {
  const last = [...output.matchAll(CLOSING_BLOCK)].at(-1)
  return last && { total: Number(last[1]), passed: Number(last[2]), skipped: Number(last[3]) }
}

/** What a run means: counts, and one sentence for each thing that makes it a failure beside a failed test. */
function judge({ file, limitS }, { output, code, signal, stopped, elapsedS }) {
  const block = closingBlock(output)
  const skipped = [...output.matchAll(SKIPPED_LINE)].map((match) => match[1])
  const problems = []
  if (stopped === 'time') problems.push(`took longer than its time limit of ${limitS} s`)
  else if (stopped === 'open')
    problems.push('finished its tests but did not exit: it leaves something open (a server, a timer, a socket, a child)')
  else if (block === undefined && code === 0) problems.push('printed no result: does every suite call run()?')
  else if (block === undefined) problems.push(`ended before its tests did, with ${signal ?? `exit code ${code}`}`)
  else if (stopped !== 'ending' && code !== 0 && block.passed === block.total)
    problems.push(`passed its tests but ended with ${signal ?? `exit code ${code}`}`)
  if (block?.total === 0 && skipped.length === 0) problems.push('ran 0 tests')
  const silent = (block?.skipped ?? 0) - skipped.length
  if (silent > 0) problems.push(`skips ${silent} tests without a reason: use test/support/needs.ts, and leave no .only behind`)
  const failedTests = block ? block.total - block.passed : 0
  const note = stopped === 'ending' ? 'Node did not come to its own end' : ''
  return { file, output, elapsedS, skipped, problems, note, passed: block?.passed ?? 0, failed: failedTests + problems.length }
}

function report({ file, output, elapsedS, passed, failed, problems, note, skipped }) {
  const parts = [`${passed} passed`, failed ? `${failed} failed` : '', skipped.length ? `${skipped.length} skipped` : '', note]
  const counts = parts.filter(Boolean)
  console.log(`${failed ? 'FAIL' : 'ok  '}  ${file}  ${counts.join(', ')}  ${elapsedS.toFixed(1)} s`)
  if (failed === 0) return
  for (const line of output.trimEnd().split('\n')) console.log(`      ${line}`)
  for (const problem of problems) console.log(`      ${file} ${problem}.`)
}

function finish(results) {
  const failures = results.filter((result) => result.failed > 0)
  const skips = results.flatMap(({ file, skipped }) => skipped.map((line) => `${file}: ${line}`))
  const skipsFail = skips.length > 0 && process.env.CI === 'true'
  const sum = (field) => results.reduce((total, result) => total + result[field], 0)
  if (skips.length > 0) console.log(`\nSkipped:\n  ${skips.join('\n  ')}`)
  if (skipsFail) console.log('With CI=true a skipped test is a failure: install what it needs.')
  if (failures.length > 0)
    console.log(`\nFailed, with SEED=${seed}:\n  ${failures.map(({ file }) => file ?? 'no files').join('\n  ')}`)
  console.log(`\n${sum('passed')} passed, ${sum('failed')} failed, ${skips.length} skipped`)
  process.exitCode = failures.length > 0 || skipsFail ? 1 : 0
}
