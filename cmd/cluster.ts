// `counter cluster`: the members as a node sees them, and the two orders of an operator: drain one that lives, remove one that is gone.
// It asks the public port of a running node; which one makes no difference but to the view.

import { type Command, InvalidArgumentError, Option } from 'commander'
import { CounterError } from '../lib/base/errors.ts'
import { type Client, ClientError, connect } from '../lib/client/index.ts'
import { readSettings, type Settings } from '../lib/config.ts'
import { readUrl, tokenOf, urlOf } from './asked-node.ts'
import { addSettings, flagsOf } from './settings.ts'

const EXAMPLES = `Examples:
  counter cluster                              the members, as the node on this machine sees them
  counter cluster --url http://b:3000 --json   as another one does, for a program
  counter cluster drain 2 --wait               let node 2 hand over what it has, and wait until it has left
  counter cluster remove 3                     node 3 is gone for good, with its disk
`

type View = Awaited<ReturnType<Client['cluster']>>
type Lag = View['members'][number]['lacks']

export function register(program: Command): void {
  const command = program
    .command('cluster')
    .summary('show the members, drain one, remove one')
    .description('Asks a running node for the members of its cluster, and what each lacks of the others.')
    .addHelpText('before', EXAMPLES)
    .addOption(
      new Option('--url <url>', 'public port of the node to ask; not given: the one that the settings name').argParser(readUrl),
    )
    .option('--json', 'print what the node answers as one JSON object')
  addSettings(command).action(async () => {
    const view = await client(command).cluster()
    process.stdout.write(command.getOptionValue('json') ? `${JSON.stringify(view, null, 2)}\n` : asTable(view))
  })
  command
    .command('drain')
    .argument('<id>', 'the node id of the member', readId)
    .option('--wait', 'until it has left')
    .summary('let a member hand over what it has, and leave')
    .description(
      'The member refuses writes from now on, and leaves when the others have all it has. Takes the options of `counter cluster`.',
    )
    .action((id: number, options: { wait?: true }) => drain(command, id, options.wait === true))
  command
    .command('remove')
    .argument('<id>', 'the node id of the member', readId)
    .summary('remove a member that is gone for good')
    .description('What it had and nobody else had yet is lost. Takes the options of `counter cluster`.')
    .action(async (id: number) => {
      await client(command).remove(id)
      process.stdout.write(`node ${id} is no member any more\n`)
    })
}

async function drain(command: Command, id: number, wait: boolean): Promise<void> {
  const asked = client(command)
  const view = await asked.cluster()
  await asked.drain(id)
  if (!wait) {
    process.stdout.write(`node ${id} is draining; \`counter cluster\` shows when it has left\n`)
    return
  }
  process.stderr.write(`node ${id} is draining\n`)
  // When it has left it answers no more; the others know.
  const others = view.members.flatMap(({ node, state, url }) => (node !== id && state === 'alive' && url !== null ? [url] : []))
  const { settings, url } = place(command)
  try {
    await connect(id === view.node ? [...others, url] : [url, ...others], tokenOf(settings)).untilLeft(id)
  } catch (error) {
    if (!(error instanceof ClientError) || error.type !== 'unreachable' || id !== view.node) throw error
    throw new CounterError(
      'PEER_UNREACHABLE',
      `node ${id} was draining and answers no more; no other member says whether it has left`,
      {
        cause: error,
        fix: 'Ask another member: counter cluster --url ...',
      },
    )
  }
  process.stdout.write(`node ${id} has left\n`)
}

/** A client of the node to ask. It does not try again: the person at the terminal can. */
function client(command: Command): Client {
  const { settings, url } = place(command)
  return connect(url, { ...tokenOf(settings), retriesMax: 0 })
}

function place(command: Command): { settings: Settings; url: string } {
  const { url: given, ...flags } = flagsOf(command)
  const { settings } = readSettings(flags)
  return { settings, url: given ?? urlOf(settings) }
}

function readId(text: string): number {
  if (!/^\d{1,10}$/.test(text)) throw new InvalidArgumentError('expected a node id, as `counter cluster` shows them')
  return Number(text)
}

const HEAD = ['node', 'state', 'heard', 'this node lacks', 'it lacks', 'sync address', 'API']

function asTable({ node, agreed, draining, members }: View): string {
  const rows = members.map((member) => [
    `${member.self ? '*' : ' '}${member.node}`,
    member.self && draining ? 'draining' : member.state,
    member.heardSecondsAgo === null ? '-' : `${member.heardSecondsAgo.toFixed(1)} s ago`,
    lagText(member.lacks, member.self),
    lagText(member.ahead, member.self),
    member.address || '-',
    member.url ?? '-',
  ])
  const widths = HEAD.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const lines = [HEAD, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  const verdict = agreed ? 'agrees with all members that are alive' : 'and the members that are alive do not agree yet'
  return `${lines.join('\n')}\nnode ${node} ${verdict}\n`
}

function lagText(lag: Lag, self: boolean): string {
  if (self) return '-'
  if (lag === null) return 'not known'
  return lag.changes === 0 ? 'nothing' : `${lag.changes} changes, ${lag.seconds.toFixed(1)} s`
}
