// `counter maelstrom`: a node that speaks Maelstrom's protocol on stdin and stdout, for tests with Jepsen's workloads. Nothing but messages
// goes to stdout. The node itself is lib/maelstrom.ts.

import { join } from 'node:path'
import type { Command } from 'commander'
import { systemClock } from '../lib/base/clock.ts'
import { systemRandom } from '../lib/base/random.ts'
import { readSettings } from '../lib/config.ts'
import { addSettings, flagsOf } from './settings.ts'

export function register(program: Command): void {
  const command = program
    .command('maelstrom')
    .summary('run a node of a Maelstrom test')
    .description(
      'Speaks the protocol of Maelstrom (workloads pn-counter and g-counter) on stdin and stdout. Node n1 keeps its data in the folder ' +
        'n1 of the data directory; remove it before a new test. Ends with its input.',
    )
  addSettings(command).action(() => run(flagsOf(command)))
}

async function run(flags: Record<string, string | undefined>): Promise<void> {
  const { settings } = readSettings(flags)
  const [{ createLogger }, { runMaelstrom }, { openStore }] = await Promise.all([
    import('./log.ts'),
    import('../lib/maelstrom.ts'),
    import('../lib/node.ts'),
  ])
  const logger = createLogger(settings)
  process.stdin.setEncoding('utf8')
  try {
    await runMaelstrom({
      settings,
      logger,
      clock: systemClock,
      random: systemRandom,
      input: process.stdin,
      write: (line) => void process.stdout.write(line),
      openStore: ({ nodeId, name, hash, onSettled }) =>
        openStore(
          { ...settings, nodeId, dataDir: join(settings.dataDir, name) },
          { logger, clock: systemClock, random: systemRandom, hash, onSettled },
        ),
    })
  } finally {
    // A node that cannot go on ends, though its input is open.
    process.stdin.destroy()
  }
}
