#!/usr/bin/env node
// The command line. Each command is a file of its own that exports `register(program)`; it is light to load and imports what
// it needs when it runs. Data goes to stdout, everything else to stderr.

import { Command, CommanderError } from 'commander'
import { register as registerAggregate } from './aggregate.ts'
import { register as registerBackup } from './backup.ts'
import { register as registerCluster } from './cluster.ts'
import { register as registerConfig } from './config.ts'
import { EXIT, exitCodeOf, explain } from './exit.ts'
import { register as registerImport } from './import.ts'
import { register as registerInspect } from './inspect.ts'
import { register as registerItems } from './items.ts'
import { register as registerMaelstrom } from './maelstrom.ts'
import { register as registerSequence } from './sequence.ts'
import { register as registerServe } from './serve.ts'
import { register as registerSharded } from './sharded.ts'
import { register as registerShards } from './shards.ts'
import { register as registerTenants } from './tenants.ts'
import { VERSION } from './version.ts'

const EXAMPLES = `Examples:
  counter serve                                a node on http://127.0.0.1:3000 with its data in ./data
  counter serve --public-port 8080             any setting is a flag, a COUNTER_ variable or a line of a file
  counter config --json                        the settings that hold, and where each came from
  counter inspect ./data                       check a data directory, and see what is in it
  counter import data/base0                    take in the original's data file, a backup, or lines of name and count
  counter sharded                              three shards and an aggregator, on ports 3000 to 3002 and 4000
  counter shards                               which shard has how many of the names; add one, even out
  counter cluster                              the members of the cluster, and what each lacks of the others
  counter sequence next orders                 the next number, each once in the whole cluster
  counter items load items.ndjson              give the items of a file to their tenants
`

const program = new Command('counter')
  .description('Counts words, events and items, and never loses an increment it acknowledged.')
  .version(VERSION, '-V, --version', 'print the version')
  .helpOption('-h, --help', 'show this help')
  .helpCommand('help [command]', 'show the help of a command')
  .addHelpText('before', EXAMPLES)
  .showSuggestionAfterError()
  .exitOverride()

for (const register of [
  registerServe,
  registerConfig,
  registerInspect,
  registerImport,
  registerBackup,
  registerCluster,
  registerItems,
  registerTenants,
  registerSequence,
  registerAggregate,
  registerSharded,
  registerShards,
  registerMaelstrom,
])
  register(program)

// Whoever read our output may have seen enough, as `head` does; a node goes on without its banner.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
})

try {
  if (process.argv.length > 2) await program.parseAsync()
  else program.outputHelp()
} catch (error) {
  process.exitCode = end(error)
}

function end(error: unknown): number {
  // Commander has printed its message already; help and version end with 0.
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage
  process.stderr.write(`${explain(error)}\n`)
  return exitCodeOf(error)
}
