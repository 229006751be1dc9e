// `counter sharded`: the original sharded counter in one command. Starts some shards, each a node on its own with a data directory of its own,
// and an aggregator before them, each a process; ends them together. A shard that dies is not started again: the others go on, and the
// aggregator says what is missing.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { systemClock } from '../lib/base/clock.ts'
import { CounterError } from '../lib/base/errors.ts'
import { readSettings } from '../lib/config.ts'
import { EXIT } from './exit.ts'
import { addSettings, flagsOf } from './settings.ts'
import { VERSION } from './version.ts'

const EXAMPLES = `Examples:
  counter sharded                              shards on ports 3000 to 3002, the aggregator on 4000
  counter sharded --shards 2 --shard-port 7000 --public-port 8000
`
const SHARDS = 3
const SHARDS_MAX = 64
const SHARD_PORT = 3000
const AGGREGATOR_PORT = 4000
const READY_MS = 30_000
/** What follows a signal this closely is the same one, from the terminal and from npm. */
const SAME_SIGNAL_MS = 500

interface Started {
  readonly name: string
  readonly child: ChildProcess
  readonly url: string
}

export function register(program: Command): void {
  const command = program
    .command('sharded')
    .summary('run shards and an aggregator together')
    .description(
      'Starts shards and an aggregator, each a process, and ends them together. The settings are those of all of them; --public-port is ' +
        'that of the aggregator (default 4000), and each shard has a folder of its own in the data directory.',
    )
    .addHelpText('before', EXAMPLES)
    .addOption(
      new Option('--shards <count>', `how many shards; it never changes for a data directory [default ${SHARDS}]`).argParser(
        readCount,
      ),
    )
    .addOption(
      new Option(
        '--shard-port <port>',
        `public port of the first shard, the others follow; 0: any free ones [default ${SHARD_PORT}]`,
      ).argParser(readPort),
    )
  addSettings(command, ['shards']).action(async () => {
    const { shards = SHARDS, shardPort = SHARD_PORT } = command.opts<{ shards?: number; shardPort?: number }>()
    const { shards: _, 'shard-port': __, ...flags } = flagsOf(command)
    await run(shards, shardPort, flags)
  })
}

async function run(count: number, shardPort: number, flags: Record<string, string | undefined>): Promise<void> {
  const { settings, origins } = readSettings(flags)
  if (settings.seeds.length > 0) {
    throw new CounterError('CONFIG_INVALID', 'COUNTER_SEEDS is set, and shards do not know each other', {
      fix: 'Remove COUNTER_SEEDS.',
    })
  }
  const aggregatorPort = origins.publicPort === 'default' ? AGGREGATOR_PORT : settings.publicPort
  const passed = Object.entries(flags).flatMap(([name, value]) => (value === undefined ? [] : [`--${name}`, value]))
  const children: ChildProcess[] = []
  let ending: Promise<void> | undefined
  const end = (): Promise<void> => (ending ??= endAll(children))
  endOnSignals(end, children)

  try {
    const shards = await Promise.all(
      Array.from({ length: count }, (_, shard) => {
        const port = shardPort === 0 ? 0 : shardPort + shard
        const directory = join(settings.dataDir, `shard-${shard}`)
        const own = ['--node-id', String(shard), '--public-port', String(port), '--sync-port', '0', '--data-dir', directory]
        return start(`shard ${shard}`, ['serve', ...passed, ...own], children)
      }),
    )
    const urls = shards.map(({ url }) => url).join(',')
    const own = ['--public-port', String(aggregatorPort), '--shards', urls]
    const aggregator = await start('the aggregator', ['aggregate', ...passed, ...own], children)
    process.stdout.write(bannerOf(aggregator, shards, settings.dataDir))
    for (const { name, child } of shards) {
      child.once('exit', () => {
        if (ending === undefined) process.stderr.write(`counter: ${name} has ended; the others go on without its part\n`)
      })
    }
    await once(aggregator.child, 'exit')
    if (ending === undefined) throw new CounterError('CLOSED', 'the aggregator has ended; what it said is above')
    await ending
  } catch (error) {
    if (ending !== undefined) return ending
    await end()
    throw error
  }
}

/** Starts a process of this program and waits until it says where it answers. */
async function start(name: string, args: readonly string[], children: ChildProcess[]): Promise<Started> {
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...args], {
    // The channel ends with this process, however it ends, and the child then ends too.
    stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
  })
  children.push(child)
  const url = new Promise<string>((resolve, reject) => {
    let printed = ''
    const cancel = systemClock.after(READY_MS, () => reject(failed(name, `is not ready after ${READY_MS / 1000} s`)))
    child.stdout!.setEncoding('utf8').on('data', (text: string) => {
      printed += text
      const found = /^ {2}API +(http:\/\/\S+)\/v1$/m.exec(printed)?.[1]
      if (found === undefined) return
      cancel()
      child.stdout!.removeAllListeners('data').resume()
      resolve(found)
    })
    child.once('error', (error) => reject(failed(name, `cannot be started: ${error.message}`)))
    child.once('exit', (code, signal) => {
      cancel()
      reject(failed(name, `has ended (${signal ?? `exit code ${code}`}); what it said is above`))
    })
  })
  return { name, child, url: await url }
}

const failed = (name: string, why: string): CounterError => new CounterError('CLOSED', `${name} ${why}`)

/** The aggregator first, as its requests need the shards; it was started last. */
async function endAll(children: readonly ChildProcess[]): Promise<void> {
  const [last, ...others] = [...children].reverse()
  if (last !== undefined) await endOne(last)
  await Promise.all(others.map(endOne))
}

async function endOne(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return
  const exited = once(child, 'exit')
  child.kill('SIGTERM')
  await exited
}

function endOnSignals(end: () => Promise<void>, children: readonly ChildProcess[]): void {
  let endingSinceMs: number | undefined
  for (const [signal, code] of [
    ['SIGINT', 130],
    ['SIGTERM', 143],
  ] as const) {
    process.on(signal, () => {
      const nowMs = systemClock.monotonicMs()
      if (endingSinceMs !== undefined && nowMs - endingSinceMs > SAME_SIGNAL_MS) {
        for (const child of children) child.kill('SIGKILL')
        process.exit(code)
      }
      endingSinceMs ??= nowMs
      void end().then(() => process.exit(EXIT.ok))
    })
  }
}

function bannerOf(aggregator: Started, shards: readonly Started[], dataDir: string): string {
  const { url } = aggregator
  const lines = [
    `counter ${VERSION}  ${shards.length} shards and an aggregator  data ${dataDir}`,
    `  API        ${url}/v1`,
    `  Swagger    ${url}/swagger`,
    ...shards.map(({ child, url: own }, shard) => `  Shard ${String(shard).padEnd(4)} ${own}  process ${child.pid}`),
    `  Try        curl -H 'Content-Type: application/json' -d '{"value":5}' ${url}/increment`,
    `  Then       curl ${url}/total`,
  ]
  return `${lines.join('\n')}\n`
}

function readCount(text: string): number {
  const count = /^\d{1,3}$/.test(text) ? Number(text) : 0
  if (count >= 1 && count <= SHARDS_MAX) return count
  throw new InvalidArgumentError(`expected a whole number from 1 to ${SHARDS_MAX}`)
}

function readPort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN
  if (port <= 65_535 - SHARDS_MAX) return port
  throw new InvalidArgumentError('expected a port')
}
