// The commands of README.md, as written and in their order, in a clone of what is checked out.
// time limit: 900 s
// Each ```bash block is run, except one whose first line is `# not run: <reason>`, and the one that runs these very tests. A ```text block
// behind it is what it must print: each line in order, where digits stand for any number, except in JSON, and `...` for anything.
// A block that does not end, as a node, goes on in the background as soon as that was printed, or when its port begins to answer. One that
// starts a cluster or shards has the ports for itself, as its text says: what runs is ended before it.
// The commands use port 3000, so they have a network of their own, without any way out: nothing is downloaded, and node_modules is
// the one that is here, by hard links.

import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { needsThat } from '../support/needs.ts'
import { type Block, outputFits, readBlocks } from './blocks.ts'

const PORT_URL = 'http://127.0.0.1:3000/readyz'
const BLOCK_MS = 300_000
const CHECK_MS = 100

const test = suite('e2e/readme')
const readme = readFileSync('README.md', 'utf8')
const blocks = readBlocks(readme)
const networks = needsThat(
  spawnSync('unshare', ['--net', 'ip', 'link', 'set', 'lo', 'up']).status === 0,
  'needs to run as root with the right to make a network namespace, and the programs unshare and ip',
)
const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms))

test('a block is taken with the output that follows it, and left out with a reason', () => {
  const text =
    '# a\n```bash\none\n```\n\n```text\nout 1\n```\n```bash\n# not run: no disk\ntwo\n```\n' +
    '```ts\nx\n```\n```bash\nthree\n```\ntext\n```text\nno\n```\n'
  assert.equal(readBlocks(text), [
    { line: 2, commands: 'one', output: 'out 1', reason: undefined },
    { line: 9, commands: '# not run: no disk\ntwo', output: undefined, reason: 'no disk' },
    { line: 16, commands: 'three', output: undefined, reason: undefined },
  ])
})

test('an output fits when its lines come in order, with any numbers', () => {
  assert.ok(outputFits('noise\nread in 12.5 s  (3 names)\nmore\nend', 'read in 0.1 s (40 names)\nend'))
  assert.ok(outputFits('http://127.0.0.1:3000/v1 and on', 'http://.../v1'))
  assert.not(outputFits('b\na', 'a\nb'))
  assert.not(outputFits('{"value":3}', '{"value":2}'))
  assert.not(outputFits('{"value":2}', '{"count":2}'))
})

networks.test(test, 'every command of the README does what the README says', async () => {
  const { clone, remove } = cloneCheckout()
  const network = await openNetwork()
  const running: ChildProcess[] = [network.child]
  try {
    let run = 0
    for (const block of blocks) {
      if (block.reason !== undefined || /\bnpm (test|t)\b|npm run (test|coverage)/.test(block.commands)) continue
      if (/npm run (cluster|sharded)/.test(block.commands)) for (const child of running.splice(1).reverse()) await endGroup(child)
      const child = await runBlock(block, clone, network)
      if (child.exitCode === null) running.push(child)
      run++
    }
    assert.ok(run > 0, 'void: the README has no command to run')
  } finally {
    for (const child of running.reverse()) await endGroup(child)
    remove()
  }
})

/** A clone, with what is changed and not committed yet, and the packages that are installed here. */
function cloneCheckout(): { clone: string; remove: () => void } {
  // Beside node_modules, because hard links do not go from one disk to another.
  mkdirSync('dist', { recursive: true })
  const clone = mkdtempSync(join('dist', 'readme-'))
  const files = execFileSync('git', ['ls-files', '-z', '--cached', '--others', '--exclude-standard'], { encoding: 'utf8' }).split(
    '\0',
  )
  for (const file of files) {
    if (file === '' || !existsSync(file)) continue
    mkdirSync(dirname(join(clone, file)), { recursive: true })
    cpSync(file, join(clone, file))
  }
  execFileSync('cp', ['-al', 'node_modules', join(clone, 'node_modules')])
  // npm writes this one in place.
  const state = join('node_modules', '.package-lock.json')
  rmSync(join(clone, state), { force: true })
  if (existsSync(state)) cpSync(state, join(clone, state))
  return { clone, remove: () => rmSync(clone, { recursive: true, force: true }) }
}

interface Network {
  readonly child: ChildProcess
  /** The program and first arguments that run a command in it. */
  enter(...command: string[]): [program: string, args: string[]]
}

/** A network with nothing but loopback, which lasts as long as its process. */
async function openNetwork(): Promise<Network> {
  const script = 'ip link set lo up && echo up && exec sleep 1000'
  const child = spawn('unshare', ['--net', 'bash', '-c', script], { stdio: ['ignore', 'pipe', 'inherit'], detached: true })
  await once(child.stdout!, 'data')
  return { child, enter: (...command) => ['nsenter', ['--target', String(child.pid), '--net', ...command]] }
}

/** Runs a block until it ends, or until what it starts is there. Rejects with what it printed when it fails. */
async function runBlock(block: Block, cwd: string, network: Network): Promise<ChildProcess> {
  const [program, args] = network.enter('bash', '-euo', 'pipefail', '-c', block.commands)
  // With a node there already, a block that prints nothing is no node, and ends by itself however long that takes.
  const startsNode = block.output === undefined && !answers(network)
  // npm install finds all that it wants, and must not ask anybody about it.
  const quiet = {
    npm_config_offline: 'true',
    npm_config_audit: 'false',
    npm_config_fund: 'false',
    npm_config_update_notifier: 'false',
  }
  const child = spawn(program, args, {
    cwd,
    env: { ...process.env, ...quiet },
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let output = ''
  for (const pipe of [child.stdout!, child.stderr!]) {
    pipe.setEncoding('utf8').on('data', (text) => {
      output += text
    })
  }
  const said = () => `README.md, line ${block.line}: ${block.commands}\nprinted:\n${output}`
  const fits = () => block.output !== undefined && outputFits(output, block.output)
  const endMs = performance.now() + BLOCK_MS
  while (child.exitCode === null && child.signalCode === null) {
    if (performance.now() > endMs) {
      await endGroup(child)
      throw new Error(`${said()}\nand did not end${block.output === undefined ? '' : `, without printing:\n${block.output}`}`)
    }
    const ready = startsNode ? answers(network) : fits()
    // What ends by itself is given the time to do so.
    if (ready && !(await endsWithin(child, 500))) return child
    await pause(CHECK_MS)
  }
  assert.is(child.exitCode, 0, said())
  if (block.output !== undefined) assert.ok(fits(), `${said()}\nand not:\n${block.output}`)
  return child
}

function answers(network: Network): boolean {
  const [program, args] = network.enter('curl', '-fsS', '-o', '/dev/null', '--max-time', '2', PORT_URL)
  return spawnSync(program, args, { stdio: 'ignore' }).status === 0
}

const endsWithin = (child: ChildProcess, ms: number): Promise<boolean> =>
  Promise.race([once(child, 'close').then(() => true), pause(ms).then(() => child.exitCode !== null)])

/** Ends a process with all that it has started. */
async function endGroup(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const closed = once(child, 'close')
  process.kill(-child.pid!, 'SIGKILL')
  await closed
}

test.run()
