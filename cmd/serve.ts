// `counter serve`: runs a node until a signal ends it. Here is what belongs to the process: signals, exit codes, the last
// words of a node that cannot go on. The node itself is lib/node.ts.

import type { Command } from 'commander'
import { readSettings, type Settings } from '../lib/config.ts'
import type { CounterNode } from '../lib/node.ts'
import { banner, warnings } from './banner.ts'
import { endOnFault, endOnSignal } from './ending.ts'
import { EXIT } from './exit.ts'
import { addSettings, flagsOf } from './settings.ts'
import { VERSION } from './version.ts'

export function register(program: Command): void {
  const command = program
    .command('serve')
    .summary('run a node')
    .description('Runs a node. SIGTERM and SIGINT end it after the requests under way; a second signal ends it at once.')
  addSettings(command).action(() => serve(flagsOf(command)))
}

async function serve(flags: Record<string, string | undefined>): Promise<void> {
  const { settings } = readSettings(flags)
  const [{ createLogger }, { openNode }] = await Promise.all([import('./log.ts'), import('../lib/node.ts')])
  const logger = createLogger(settings)
  let node: CounterNode | undefined
  endOnFault(logger)
  endOnSignal(logger, () => node)

  for (const warning of warnings(settings)) logger.warn(warning)
  node = await openNode(settings, { logger, version: VERSION })
  node.failed.then((error) => {
    logger.fatal(
      { err: error, code: error.code, fix: error.fix },
      'the node cannot go on and ends; started again it reads what is really on disk',
    )
    process.exit(EXIT.failure)
  })
  node.left.then(async () => {
    logger.info({}, 'has been drained: the others have all it had; it ends, and may be started again to join as new')
    await node?.close()
    process.exit(EXIT.ok)
  })
  process.stdout.write(banner(factsOf(settings, node)))
}

function factsOf(settings: Settings, node: CounterNode) {
  const { nodeId, dataDir, fsync, seeds, token } = settings
  const { names, items, elapsedMs } = node.recovered
  return {
    version: VERSION,
    nodeId,
    dataDir,
    names,
    items,
    recoveredMs: elapsedMs,
    url: node.url,
    syncUrl: node.syncUrl,
    hasToken: token !== undefined,
    fsync,
    seeds,
  }
}
