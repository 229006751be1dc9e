// `counter sequence`: what gives the numbers, and the orders of an operator: look at a sequence, set one, recover from a lost home, move to etcd.
// It asks the public port of a running node; any one will do.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { type Client, connect, type SequenceEngine } from '../lib/client/index.ts'
import { readSettings } from '../lib/config.ts'
import { readUrl, tokenOf, urlOf } from './asked-node.ts'
import { addSettings, flagsOf } from './settings.ts'

const EXAMPLES = `Examples:
  counter sequence status                      what gives the numbers, and whether it does
  counter sequence next orders                 the next number of the sequence "orders"
  counter sequence get orders                  its last number
  counter sequence list --prefix o             all sequences that begin so, with their last numbers
  counter sequence set orders 5000             let it go on from 5001, never backwards unless --force
  counter sequence recover --ahead 1000        the home has lost its data: go on 1000 above what any node has heard of
  counter sequence migrate                     freeze the sequences and bring them to etcd
`

/** Moving and recovering ask every member, and bring all sequences along. */
const LONG_MS = 120_000
const PAGE = 1000

export function register(program: Command): void {
  const command = program
    .command('sequence')
    .summary('see what gives sequence numbers; set, recover, move sequences')
    .description('Asks a running node for its sequences. All commands of it take the options of this one, before their own name.')
    .addHelpText('before', EXAMPLES)
    .addOption(
      new Option('--url <url>', 'public port of the node to ask; not given: the one that the settings name').argParser(readUrl),
    )
    .option('--json', 'print what the node answers as JSON')
  addSettings(command)
  const say = (text: string, plain: unknown): void => {
    process.stdout.write(`${command.getOptionValue('json') ? JSON.stringify(plain) : text}\n`)
  }

  command
    .command('status', { isDefault: true })
    .summary('what gives the numbers, and whether it does')
    .action(async () => {
      const engine = await client(command).sequenceEngine()
      say(statusText(engine), engine)
    })
  command
    .command('next')
    .argument('<name>', 'the name of the sequence')
    .option('--count <n>', 'how many numbers', readNumber, 1)
    .summary('take the next number')
    .action(async (name: string, { count }: { count: number }) => {
      const numbers = await client(command).nextNumbers(name, count)
      const { first, last } = numbers
      say(first === last ? String(last) : `${first} ${last}`, numbers)
    })
  command
    .command('get')
    .argument('<name>', 'the name of the sequence')
    .summary('the last number that a sequence gave')
    .action(async (name: string) => {
      const value = await client(command).lastNumber(name)
      say(String(value), { name, value })
    })
  command
    .command('list')
    .option('--prefix <text>', 'only sequences that begin so', '')
    .summary('all sequences with their last numbers')
    .action(async ({ prefix }: { prefix: string }) => {
      for await (const sequence of client(command).sequences({ prefix, limit: PAGE })) {
        say(`${sequence.name} ${sequence.value}`, sequence)
      }
    })
  command
    .command('set')
    .argument('<name>', 'the name of the sequence')
    .argument('<value>', 'its last number from now on', readNumber)
    .option('--force', 'also backwards: numbers after the value are then given a second time')
    .summary('let a sequence go on from a value')
    .action(async (name: string, value: number, { force = false }: { force?: boolean }) => {
      await client(command).setSequence(name, value, { force })
      say(`the next number of ${name} is ${value + 1}`, { name, value })
    })
  command
    .command('recover')
    .requiredOption('--ahead <n>', 'how far above the greatest number that any node has heard of', readNumber)
    .option('--force', 'also when a member does not answer. What only it has heard of may then be given a second time')
    .summary('go on after the home has lost its data')
    .description(
      'For a home whose data directory was wiped or put back, or one that is gone for good. Choose more than was given in a second.',
    )
    .action(async ({ ahead, force = false }: { ahead: number; force?: boolean }) => {
      await client(command).recoverSequences(ahead, { force })
      say(`the sequences go on, each ${ahead} above the greatest number that any node has heard of`, { ahead })
    })
  command
    .command('migrate')
    .summary('freeze the sequences and bring them to etcd')
    .description(
      'The node that has the sequences needs COUNTER_ETCD. Afterwards start all nodes with COUNTER_SEQUENCE=etcd. May be repeated.',
    )
    .action(async () => {
      const moved = await client(command).migrateSequences()
      const { sequences, keys, ahead } = moved
      const left = ahead.length === 0 ? '' : `; further there already: ${ahead.join(', ')}`
      const next = 'they are frozen here: start all nodes with COUNTER_SEQUENCE=etcd'
      say(`${sequences} sequences and ${keys} idempotency keys are in etcd${left}\n${next}`, moved)
    })
  command
    .command('freeze')
    .summary('stop all sequences')
    .action(async () => {
      await client(command).freezeSequences()
      say('the sequences are frozen', { frozen: true })
    })
  command
    .command('thaw')
    .summary('take a freeze back, when the sequences have not gone on elsewhere')
    .action(async () => {
      await client(command).thawSequences()
      say('the sequences go on', { frozen: false })
    })
}

/** A client of the node to ask. It does not try again: the person at the terminal can. */
function client(command: Command): Client {
  const { url, ...flags } = flagsOf(command)
  const { settings } = readSettings(flags)
  return connect(url ?? urlOf(settings), { ...tokenOf(settings), retriesMax: 0, timeoutMs: LONG_MS })
}

function readNumber(text: string): number {
  const number = /^\d{1,16}$/.test(text) ? Number(text) : Number.NaN
  if (Number.isSafeInteger(number)) return number
  throw new InvalidArgumentError('expected a whole number below 2^53')
}

function statusText({ engine, faultTolerant, reachable, frozen, detail, members }: SequenceEngine): string {
  const rows = members.map(({ name, role, address }) => `  ${name.padEnd(12)} ${role.padEnd(12)} ${address ?? '-'}`)
  return [
    `engine          ${engine}`,
    `gives numbers   ${frozen ? 'no, frozen' : reachable ? 'yes' : 'no'}`,
    `fault tolerant  ${faultTolerant ? 'yes' : 'no'}`,
    ...rows,
    detail,
  ].join('\n')
}
