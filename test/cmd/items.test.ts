// `counter items` and `counter tenants` against public ports over stores in memory. Each case is a process of its own.
// time limit: 600 s

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EXIT } from '../../cmd/exit.ts'
import { buildCounter } from '../e2e/built.ts'
import { csv, ndjson } from '../loading/files.ts'
import { Harness, withServer } from '../publicapi/harness.ts'
import { freePort } from '../support/fault-proxy.ts'
import { type Command, cleanEnvironment, runToEnd, temporaryDirectory } from '../support/process.ts'

const test = suite('cmd/items')
const command = await buildCounter()
const { path: directory, remove } = temporaryDirectory()
let nodes: Harness[]
let urls: string
const running = new Set<ChildProcess>()

test.before.each(async () => {
  nodes = await Promise.all([1, 2, 3, 4].map(() => new Harness().open()))
  urls = nodes.map(({ url }) => url).join()
})
test.after.each(async () => {
  for (const child of running) child.kill('SIGKILL')
  running.clear()
  await Promise.all(nodes.map(({ server }) => server.close()))
})
test.after(remove)

let files = 0

/** A new file of this kind. */
function fileOf(text: string, extension: string): string {
  const path = join(directory, `f${++files}.${extension}`)
  writeFileSync(path, text)
  return path
}

const items = (count: number, tenant = 't') => Array.from({ length: count }, (_, index) => ({ id: `i${index}`, tenant }))
const counter = (args: string[], env: Record<string, string> = {}, program: Command = command) => runToEnd(args, env, program)
const run = (...args: string[]) => counter(['items', ...args, '--url', urls])
const kept = (): number[] => nodes.map(({ store }) => store.items.size)
const writes = (): number => nodes.reduce((sum, { store }) => sum + store.writes, 0)

/** A command that goes on, with its standard input open. */
function start(...args: string[]) {
  const [program, ...first] = command
  const child = spawn(program, [...first, 'items', ...args], { env: cleanEnvironment(), stdio: 'pipe' })
  running.add(child)
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const ended = once(child, 'close').then(([code]) => ({ code: code as number | null, stdout, stderr }))
  return { child, ended, said: () => stderr }
}

/** Waits for what the test has brought about. */
async function until(done: () => boolean): Promise<void> {
  while (!done()) await new Promise((next) => setTimeout(next, 5))
}

test('a file is spread evenly: 11 items over 4 nodes are 3, 3, 3, 2', async () => {
  for (const [extension, text] of [
    ['ndjson', ndjson(items(11))],
    ['JSONL', ndjson(items(11))],
    ['csv', csv(items(11))],
  ] as const) {
    for (const { store } of nodes) store.items.clear()
    const path = fileOf(text, extension)
    const { code, stdout, stderr } = await run('load', path)
    assert.is(code, 0, stderr)
    assert.match(stdout, /^.*: 11 items loaded in [\d.]+ s\n$/)
    assert.equal(kept(), [3, 3, 3, 2])
    assert.not(existsSync(`${path}.progress`))
  }
})

test('it asks the port of the settings with their token, and reads standard input', async () => {
  await withServer({ token: 'a-secret-of-our-own' }, async ({ port, store }) => {
    const path = fileOf(ndjson(items(3)), 'txt')
    const [program, ...first] = command
    const pipe = ['bash', '-c', `"$0" "$@" <${path}`, program, ...first] as const
    const env = { COUNTER_PUBLIC_PORT: String(port), COUNTER_TOKEN: 'a-secret-of-our-own' }
    const loaded = await counter(['items', 'load', '-', '--format', 'ndjson'], env, pipe)
    assert.is(loaded.code, 0, loaded.stderr)
    assert.match(loaded.stdout, /^standard input: 3 items loaded in /)
    assert.is(store.items.size, 3)
    const { COUNTER_TOKEN, ...open } = env
    const refused = await counter(['items', 'load', path, '--format', 'ndjson'], open)
    assert.is(refused.code, 1)
    assert.match(refused.stderr, '[unauthorized]')
  })
})

test('the share of a node that is gone goes to the next', async () => {
  await nodes[1]!.server.close()
  const { code, stderr } = await run('load', fileOf(ndjson(items(11)), 'ndjson'))
  assert.is(code, 0, stderr)
  assert.equal(kept(), [3, 0, 6, 2])
})

test('a bad line is named with its number, nothing of its batch is sent, and the corrected file is gone on with', async () => {
  const text = `${ndjson(items(16))}{"id":"x"}\n`
  const path = fileOf(text, 'ndjson')
  const first = await run('load', path, '--batch', '2')
  assert.is(first.code, EXIT.failure)
  assert.match(
    first.stderr,
    `${path}, line 17: expected a string or an integer as tenant. Nothing of its batch was sent [LOAD_INVALID]`,
  )
  assert.match(first.stderr, '--skip-bad')
  assert.match(first.stderr, 'stopped: 16 items were taken')
  assert.is(writes(), 8)
  writeFileSync(path, text.replace('{"id":"x"}', '{"id":"x","tenant":"t"}'))
  const second = await run('load', path, '--batch', '2')
  assert.is(second.code, 0, second.stderr)
  assert.match(second.stderr, 'goes on after 16 items, at line 17')
  assert.match(second.stdout, '17 items')
  assert.is(writes(), 9)
})

test('with --skip-bad such lines are left out, shown and counted', async () => {
  const { code, stdout, stderr } = await run(
    'load',
    fileOf(`id,tenant\na,t\nb\n,t\nc,t\n${'x\n'.repeat(30)}`, 'csv'),
    '--skip-bad',
  )
  assert.is(code, 0, stderr)
  assert.match(stdout, '2 items loaded in')
  assert.match(stdout, '32 lines were left out')
  assert.match(stderr, 'line 3, is left out: expected 2 columns, got 1')
  assert.match(stderr, 'line 4, is left out: the id is empty')
  assert.match(stderr, 'further lines that are left out are only counted')
  assert.is(stderr.split('is left out').length - 1, 20)
})

test('what a node refuses is named with its line', async () => {
  const long = [...items(5), { id: 'ä'.repeat(40), tenant: 't' }, ...items(5)]
  const path = fileOf(ndjson(long), 'ndjson')
  const { code, stderr } = await run('load', path)
  assert.is(code, EXIT.failure)
  assert.match(stderr, `${path}, line 6: the node refuses the id: expected at most 64 bytes of UTF-8, got 80.`)
  const own = await run('load', path, '--name-bytes-max', '64')
  assert.match(own.stderr, 'line 6: the id has 80 bytes, at most 64 are taken (COUNTER_NAME_BYTES_MAX)')
})

test('a signal lets what is under way end and says how to go on; going on takes nothing twice', async () => {
  const path = fileOf(ndjson(items(40)), 'ndjson')
  const release = nodes[0]!.store.hold()
  const first = start('load', path, '--url', nodes[0]!.url, '--batch', '4', '--concurrency', '2')
  await until(() => writes() === 2)
  first.child.kill('SIGINT')
  await until(() => first.said().includes('stops when'))
  release()
  const { code, stderr } = await first.ended
  assert.is(code, 130)
  assert.match(
    stderr,
    `stopped: 8 items were taken, all in front of line 9. The same command goes on from there (${path}.progress).`,
  )
  const second = await counter(['items', 'load', path, '--url', nodes[0]!.url, '--batch', '4', '--concurrency', '2'])
  assert.is(second.code, 0, second.stderr)
  assert.is(writes(), 10)
  assert.is(nodes[0]!.store.items.size, 40)
})

test('what was under way when the load was killed is repeated with its keys, and taken once', async () => {
  for (const kill of ['SIGKILL', 'twice'] as const) {
    nodes[0]!.store.writes = 0
    const path = fileOf(ndjson(items(40, kill)), 'ndjson')
    const args = ['load', path, '--url', nodes[0]!.url, '--batch', '4', '--concurrency', '2']
    const release = nodes[0]!.store.hold()
    const first = start(...args)
    await until(() => writes() === 2)
    if (kill === 'SIGKILL') first.child.kill(kill)
    else {
      first.child.kill('SIGTERM')
      await until(() => first.said().includes('stops when'))
      // A second signal that follows closely is taken for the first one.
      while (first.child.exitCode === null) {
        await new Promise((next) => setTimeout(next, 100))
        first.child.kill('SIGTERM')
      }
    }
    const { code } = await first.ended
    assert.is(code, kill === 'SIGKILL' ? null : 143)
    release()
    const second = await counter(['items', ...args])
    assert.is(second.code, 0, second.stderr)
    assert.is(writes(), 10)
  }
})

test('standard input can be gone on with when it is known where the progress is kept', async () => {
  const resumeFile = join(directory, 'pipe.progress')
  const args = ['load', '-', '--format', 'csv', '--url', nodes[0]!.url, '--batch', '2', '--resume-file', resumeFile]
  const text = csv(items(9))
  const first = start(...args)
  first.child.stdin.write(text.slice(0, 40))
  await until(() => existsSync(resumeFile) && writes() > 0)
  first.child.kill('SIGINT')
  const { code } = await first.ended
  assert.is(code, 130)
  const done = (JSON.parse(readFileSync(resumeFile, 'utf8')) as { items: number }).items
  assert.ok(done > 0 && done < 9, String(done))
  const second = start(...args)
  second.child.stdin.end(text)
  const { code: ended, stdout, stderr } = await second.ended
  assert.is(ended, 0, stderr)
  assert.match(stdout, 'standard input: 9 items')
  assert.is(nodes[0]!.store.items.size, 9)
  assert.is(writes(), 5)
  assert.not(existsSync(resumeFile))
})

test('another plan, another file and a damaged progress are refused', async () => {
  const path = fileOf(`${ndjson(items(16))}x\n`, 'ndjson')
  await run('load', path, '--batch', '2')
  const other = await run('load', path, '--batch', '3')
  assert.is(other.code, EXIT.failure)
  assert.match(other.stderr, 'begun with --batch 2 [RESUME_INVALID]')
  writeFileSync(path, ndjson(items(17, 'u')))
  assert.match((await run('load', path, '--batch', '2')).stderr, 'is not the file of which')
  writeFileSync(`${path}.progress`, '{}')
  assert.match((await run('load', path, '--batch', '2')).stderr, 'does not say how far')
})

test('wrong use, no file and no node end as they should', async () => {
  const path = fileOf(ndjson(items(1)), 'data')
  for (const args of [
    ['--batch', '0'],
    ['--batch', '10001'],
    ['--concurrency', 'x'],
    ['--format', 'xml'],
    ['--accept', 'two'],
    ['--url', 'x'],
  ]) {
    const { code, stderr } = await counter(['items', 'load', path, ...args])
    assert.is(code, EXIT.usage, stderr)
  }
  const unknown = await run('load', path)
  assert.is(unknown.code, EXIT.failure)
  assert.match(unknown.stderr, 'Add --format ndjson or --format csv.')
  assert.match((await run('load', join(directory, 'none.csv'))).stderr, 'there is no file')
  const nowhere = await counter(['items', 'count', 't', '--url', `http://127.0.0.1:${await freePort()}`])
  assert.is(nowhere.code, EXIT.unreachable)
  assert.match(nowhere.stderr, 'Is the node running?')
})

test('items count and tenants say what a node has', async () => {
  const { store, url } = nodes[0]!
  await store.changeItems([...items(3, 'a b'), { id: 'x', tenant: 'ä' }, { id: 'y', tenant: 'b' }], () => ({
    status: 200,
    contentType: '',
    body: '',
  }))
  const count = async (tenant: string) => (await counter(['items', 'count', tenant, '--url', url])).stdout
  assert.equal([await count('a b'), await count('none')], ['3\n', '0\n'])
  const tenants = async (...args: string[]) => (await counter(['tenants', '--url', url, ...args])).stdout
  assert.is(await tenants(), 'a b 3\nb 1\nä 1\n')
  assert.is(await tenants('--prefix', 'a'), 'a b 3\n')
  assert.is(await tenants('--json', '--prefix', 'ä'), '{"tenant":"ä","count":1}\n')
})

test.run()
