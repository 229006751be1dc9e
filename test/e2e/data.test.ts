// Data directories by the command line: import of everything there is to import, backup, inspection of whole and broken directories,
// a second node, a copy. Every step is a process.
// time limit: 600 s

import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  closeSync,
  existsSync,
  ftruncateSync,
  openSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { crc64 } from '../../lib/base/crc64.ts'
import { type NodeProcess, runToEnd, startNode, temporaryDirectory } from '../support/process.ts'
import { buildCounter } from './built.ts'

const test = suite<{ folder: string; remove: () => void; nodes: NodeProcess[] }>('e2e/data')
const command = await buildCounter()

test.before.each((context) => {
  const { path, remove } = temporaryDirectory()
  Object.assign(context, { folder: path, remove, nodes: [] })
})
test.after.each(async ({ remove, nodes }) => {
  for (const node of nodes) await node.end('SIGKILL')
  remove()
})

const counter = (...args: string[]) => runToEnd(args, {}, command)

/** Runs a command that must succeed and returns what it printed. */
async function succeed(...args: string[]): Promise<string> {
  const run = await counter(...args)
  assert.is(run.code, 0, `${args.join(' ')}: ${run.stderr}`)
  return run.stdout
}

const post = (node: NodeProcess, body: string) => fetch(`${node.url}/keywords`, { method: 'POST', body })

async function keywords(node: NodeProcess, ...words: string[]): Promise<Record<string, number>> {
  const query = words.map((word) => `keywords=${encodeURIComponent(word)}`).join('&')
  const items = (await (await fetch(`${node.url}/keywords?${query}`)).json()) as Array<{ key: string; count: number }>
  return Object.fromEntries(items.map(({ key, count }) => [key, count]))
}

/** The exact digits, which a JSON number of JavaScript would round. */
async function valueOf(node: NodeProcess, name: string): Promise<string> {
  return await (await fetch(`${node.url}/v1/counters/${encodeURIComponent(name)}`, { headers: { accept: 'text/plain' } })).text()
}

/** The original's data file: `u64 crc64, u64 n, n x u64`, one slot a node, little-endian. */
function originalFile(totals: Record<string, readonly (number | bigint)[]>): Buffer {
  const words = Object.entries(totals).flatMap(([name, slots]) => [
    crc64(Buffer.from(name)),
    BigInt(slots.length),
    ...slots.map(BigInt),
  ])
  const bytes = Buffer.alloc(words.length * 8)
  for (const [index, word] of words.entries()) bytes.writeBigUInt64LE(word, index * 8)
  return bytes
}

/** Names, sizes, times and contents of the files of a directory. */
function fingerprint(directory: string): string {
  const hash = createHash('sha256')
  for (const name of readdirSync(directory).sort()) {
    const status = statSync(join(directory, name))
    hash.update(`${name} ${status.size} ${status.mtimeMs} ${status.ino}\n`)
    if (status.isFile()) hash.update(readFileSync(join(directory, name)))
  }
  return hash.digest('hex')
}

async function start(dataDir: string, nodes: NodeProcess[], env: Record<string, string> = {}): Promise<NodeProcess> {
  const node = await startNode({ dataDir, command, env })
  nodes.push(node)
  return node
}

test("the original's data file is taken in once, and its words answer and go on counting", async ({ folder, nodes }) => {
  const file = join(folder, 'base0')
  const dataDir = join(folder, 'data')
  writeFileSync(file, originalFile({ be: [2, 5], über: [0, 0, 7], huge: [2n ** 53n, 1n], gallabieh: [4] }))
  assert.match(
    await succeed('import', file, '--data-dir', dataDir),
    "is the original's data file with 6 counts: 6 counts were news",
  )
  const once = fingerprint(dataDir)
  assert.match(await succeed('import', file, '--data-dir', dataDir), 'all of it was there already')

  const node = await start(dataDir, nodes)
  assert.equal(await keywords(node, 'be', 'BE', 'über', 'not'), { be: 7, BE: 7, über: 7, not: 0 })
  assert.is(await valueOf(node, 'huge'), '9007199254740993')
  assert.is((await post(node, 'To Be or not to be')).status, 200)
  assert.equal(await keywords(node, 'be', 'to'), { be: 9, to: 2 })
  assert.is((await node.end('SIGTERM')).code, 0)
  assert.is.not(fingerprint(dataDir), once)
  assert.match(await succeed('inspect', dataDir), '4 of the names are known by their key only; 1 of these count')

  // Once more, after the words are known by name.
  assert.match(await succeed('import', file, '--data-dir', dataDir), 'all of it was there already')
  assert.equal(await keywords(await start(dataDir, nodes), 'be', 'to', 'über'), { be: 9, to: 2, über: 7 })
})

test("a larger dump of the original replaces a smaller one's counts, as they are totals", async ({ folder, nodes }) => {
  const dataDir = join(folder, 'data')
  for (const total of [3, 8, 5]) {
    writeFileSync(join(folder, `base-${total}`), originalFile({ be: [total] }))
    await succeed('import', join(folder, `base-${total}`), '--data-dir', dataDir)
  }
  assert.equal(await keywords(await start(dataDir, nodes), 'be'), { be: 8 })
})

test('a torn dump of the original is refused whole, with where it is cut', async ({ folder }) => {
  const file = join(folder, 'base0')
  writeFileSync(file, originalFile({ be: [2], to: [3] }).subarray(0, 40))
  const run = await counter('import', file, '--data-dir', join(folder, 'data'))
  assert.is(run.code, 1)
  assert.match(run.stderr, /byte 24 is cut off[\s\S]*head -c 24/)
  assert.is(await succeed('inspect', join(folder, 'data'), '--names'), '')
})

test('lines of name and count are taken in, with sums, minus and all digits, and backup and import give the same', async (context) => {
  const { folder, nodes } = context
  const list = join(folder, 'list')
  const dataDir = join(folder, 'data')
  writeFileSync(list, 'small 1\nsmall 2\nbeyond 9007199254740993\nminus -12\nmost 18446744073709551615\ntwo words 5\n\nÜber 3\n')
  assert.match(
    await succeed('import', list, '--data-dir', dataDir),
    'a list of names and counts with 6 counts: 6 counts were news',
  )
  assert.match(await succeed('import', list, '--data-dir', dataDir), 'all of it was there already')

  const expected = {
    small: '3',
    beyond: '9007199254740993',
    minus: '-12',
    most: '18446744073709551615',
    'two words': '5',
    Über: '3',
  }
  const check = async (node: NodeProcess, more: Record<string, string> = {}) => {
    for (const [name, value] of Object.entries({ ...expected, ...more })) assert.is(await valueOf(node, name), value, name)
  }
  const node = await start(dataDir, nodes)
  await check(node)
  const key = { 'Idempotency-Key': 'once', 'Content-Type': 'application/json' }
  const increment = (to: NodeProcess) =>
    fetch(`${to.url}/v1/counters/small/increments`, { method: 'POST', headers: key, body: '{"delta":4}' })
  assert.is((await increment(node)).status, 200)
  const full = await fetch(`${node.url}/v1/counters/most/increments`, { method: 'POST' })
  assert.is(full.status, 200, 'another column of the same name has room')
  await node.end('SIGTERM')

  const backup = join(folder, 'backup')
  assert.match(await succeed('backup', backup, '--data-dir', dataDir), '6 names')
  assert.is((await counter('backup', backup, '--data-dir', dataDir)).code, 1, 'an existing file is not overwritten')
  const restored = join(folder, 'restored')
  assert.match(await succeed('import', backup, '--data-dir', restored, '--node-id', '3'), 'is a backup')
  assert.match(await succeed('import', backup, '--data-dir', restored, '--node-id', '3'), 'all of it was there already')
  const names = async (directory: string) => (await succeed('inspect', directory, '--names')).split('\n').sort()
  assert.equal(await names(restored), await names(dataDir))

  const again = await start(restored, nodes, { COUNTER_NODE_ID: '3' })
  await check(again, { small: '7', most: '18446744073709551616' })
  // A retry that comes to the restored node still counts once.
  assert.is((await increment(again)).headers.get('idempotency-replayed'), 'true')
  assert.is(await valueOf(again, 'small'), '7')
})

test('a list with one bad line is refused whole, with the line', async ({ folder }) => {
  const list = join(folder, 'list')
  writeFileSync(list, 'a 1\nb two\n')
  const run = await counter('import', list, '--data-dir', join(folder, 'data'))
  assert.is(run.code, 1)
  assert.match(run.stderr, 'line 2')
  assert.is(await succeed('inspect', join(folder, 'data'), '--names'), '')
})

test('inspect says what a directory holds, ends with 1 for a damaged one, and changes nothing', async ({ folder, nodes }) => {
  const dataDir = join(folder, 'data')
  const node = await start(dataDir, nodes)
  for (const text of ['to be', 'or not', 'to be']) await post(node, text)
  await node.end('SIGKILL')
  const log = join(dataDir, readdirSync(dataDir).find((name) => /^log-\d/.test(name))!)
  const inspect = async (code: number): Promise<string> => {
    const before = fingerprint(dataDir)
    const run = await counter('inspect', dataDir)
    assert.is(run.code, code, run.stdout + run.stderr)
    assert.is(fingerprint(dataDir), before, 'inspect changes nothing')
    return run.stdout
  }

  assert.match(await inspect(0), /state: 4 names[\s\S]*all is well/)

  // Torn: the frames of the last write are half there, as after a power cut.
  const end = lastByte(log)
  overwrite(log, end - 5, Buffer.alloc(5))
  assert.match(await inspect(0), /bytes of a write that was never acknowledged[\s\S]*all is well/)

  // Damaged: a byte in the middle, with true frames behind it that say it was on disk.
  const second = await start(dataDir, nodes)
  for (const text of ['more', 'and more']) await post(second, text)
  await second.end('SIGTERM')
  overwrite(log, 100, Buffer.from([readFileSync(log)[100]! ^ 1]))
  assert.match(await inspect(1), /DAMAGED[\s\S]*problem/)
  const before = fingerprint(dataDir)
  const refused = await counter('serve', '--data-dir', dataDir, '--public-port', '0')
  assert.is(refused.code, 1)
  assert.match(refused.stderr, 'LOG_CORRUPT')
  assert.match(refused.stderr, log)
  assert.is(fingerprint(dataDir), before, 'a refused start changes nothing')

  assert.is((await counter('inspect', join(folder, 'nothing'))).code, 1)
  assert.not(existsSync(join(folder, 'nothing')))
})

test('a node that is cut at its torn end goes on, and reads it all again', async ({ folder, nodes }) => {
  const dataDir = join(folder, 'data')
  const node = await start(dataDir, nodes)
  for (const text of ['first', 'second']) await post(node, text)
  await node.end('SIGKILL')
  const log = join(dataDir, readdirSync(dataDir).find((name) => /^log-\d/.test(name))!)
  const descriptor = openSync(log, 'r+')
  ftruncateSync(descriptor, lastByte(log) - 3)
  closeSync(descriptor)
  const torn = await start(dataDir, nodes)
  assert.match(torn.stderr(), 'torn')
  assert.equal(await keywords(torn, 'first', 'second'), { first: 1, second: 0 })
  await post(torn, 'third')
  await torn.end('SIGKILL')
  assert.equal(await keywords(await start(dataDir, nodes), 'first', 'second', 'third'), { first: 1, second: 0, third: 1 })
})

test('a second process on a directory is refused by name, whatever it is, and the first goes on', async ({ folder, nodes }) => {
  const dataDir = join(folder, 'data')
  const node = await start(dataDir, nodes)
  await post(node, 'mine')
  const list = join(folder, 'list')
  writeFileSync(list, 'a 1\n')
  for (const args of [
    ['serve', '--public-port', '0'],
    ['import', list],
    ['backup', join(folder, 'backup')],
  ]) {
    const run = await counter(...args, '--data-dir', dataDir)
    assert.is(run.code, 1, args[0])
    assert.match(run.stderr, `in use by process ${node.child.pid} [DIRECTORY_LOCKED]`)
    assert.match(run.stderr, 'Stop that node first')
    assert.not.match(run.stderr, /\n {4}at /)
  }
  assert.is((await post(node, 'mine')).status, 200)
  assert.equal(await keywords(node, 'mine', 'a'), { mine: 2, a: 0 })
})

test('a copy of a directory starts under a new incarnation with all counts, and the original under its own', async ({
  folder,
  nodes,
}) => {
  const dataDir = join(folder, 'data')
  const node = await start(dataDir, nodes)
  await post(node, 'one two two')
  await node.end('SIGTERM')
  const copyDir = join(folder, 'copy')
  execFileSync('cp', ['-a', dataDir, copyDir])

  const incarnation = (of: NodeProcess) => Number(/"incarnation":(\d+)/.exec(of.stderr())![1])
  const copy = await start(copyDir, nodes)
  assert.match(copy.stderr(), 'a copy or a restored backup')
  assert.is.not(incarnation(copy), incarnation(node))
  assert.equal(await keywords(copy, 'one', 'two'), { one: 1, two: 2 })
  await post(copy, 'two')
  const original = await start(dataDir, nodes)
  assert.is(incarnation(original), incarnation(node))
  await post(original, 'two two')
  assert.equal(await keywords(original, 'two'), { two: 4 })
  await copy.end('SIGKILL')

  const again = await start(copyDir, nodes)
  assert.is(incarnation(again), incarnation(copy), 'the copy keeps its own from then on')
  await Promise.all([again.end('SIGTERM'), original.end('SIGTERM')])

  // Both lives were written apart, so joining them gives the sum of both.
  const backup = join(folder, 'backup')
  await succeed('backup', backup, '--data-dir', copyDir)
  await succeed('import', backup, '--data-dir', dataDir)
  assert.equal(await keywords(await start(dataDir, nodes), 'one', 'two'), { one: 1, two: 5 })
})

/** Behind the last byte of a log that is not zero. */
function lastByte(path: string): number {
  const bytes = readFileSync(path)
  let end = bytes.length
  while (end > 0 && bytes[end - 1] === 0) end--
  return end
}

function overwrite(path: string, at: number, bytes: Buffer): void {
  const descriptor = openSync(path, 'r+')
  writeSync(descriptor, bytes, 0, bytes.length, at)
  closeSync(descriptor)
}

test.run()
