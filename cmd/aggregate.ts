// `counter aggregate`: runs an aggregator until a signal ends it. The aggregator itself is lib/aggregate.ts.

import type { Command } from 'commander'
import type { RunningAggregator } from '../lib/aggregate.ts'
import { CounterError } from '../lib/base/errors.ts'
import { readSettings, type Settings } from '../lib/config.ts'
import { endOnFault, endOnSignal } from './ending.ts'
import { addSettings, flagsOf } from './settings.ts'
import { VERSION } from './version.ts'

const EXAMPLES = `Examples:
  counter aggregate --shards http://a:3000,http://b:3000
  counter aggregate --shards 'http://a:3000,http://b1:3000|http://b2:3000'    the second shard has two replicas
`

export function register(program: Command): void {
  const command = program
    .command('aggregate')
    .summary('run an aggregator: the same API over several shards')
    .description(
      'Serves the public API over shards, each a node or a group of replicas. It holds nothing that matters, so several may run. SIGTERM and ' +
        'SIGINT end it after the requests under way; a second signal ends it at once.',
    )
    .addHelpText('before', EXAMPLES)
  addSettings(command).action(() => aggregate(flagsOf(command)))
}

async function aggregate(flags: Record<string, string | undefined>): Promise<void> {
  const { settings } = readSettings(flags)
  if (settings.shards.length === 0) {
    throw new CounterError('CONFIG_INVALID', 'an aggregator needs shards, and COUNTER_SHARDS names none', {
      fix: 'Name the public ports of the shards: counter aggregate --shards http://a:3000,http://b:3000',
    })
  }
  const [{ createLogger }, { openAggregator }] = await Promise.all([import('./log.ts'), import('../lib/aggregate.ts')])
  const logger = createLogger(settings)
  let running: RunningAggregator | undefined
  endOnFault(logger)
  endOnSignal(logger, () => running)
  running = await openAggregator(settings, { logger, version: VERSION })
  process.stdout.write(bannerOf(settings, running.url))
}

function bannerOf({ shards, token }: Settings, url: string): string {
  const header = token === undefined ? '' : ' -H "Authorization: Bearer $COUNTER_TOKEN"'
  const lines = [
    `counter ${VERSION}  aggregator of ${shards.length} shards`,
    `  API        ${url}/v1`,
    `  Swagger    ${url}/swagger`,
    `  Metrics    ${url}/metrics`,
    ...shards.map((replicas, shard) => `  Shard ${String(shard).padEnd(4)} ${replicas.join(' | ')}`),
    `  Try        curl${header} -d 'to be or not to be' ${url}/keywords`,
  ]
  return `${lines.join('\n')}\n`
}
