// Real nodes for end-to-end tests: a process of its own, on a free port, with its data in a temporary directory.

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

export interface NodeProcess {
  readonly child: ChildProcess
  /** The base URL of the public port, such as http://127.0.0.1:40123. */
  readonly url: string
  readonly dataDir: string
  /** What it printed so far. */
  stdout(): string
  stderr(): string
  readonly exited: Promise<Exit>
  /** Sends a signal and waits for the end. */
  end(signal: NodeJS.Signals): Promise<Exit>
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

export interface StartOptions {
  readonly dataDir: string
  /** The working directory. When given, the data lies where the defaults say; `dataDir` is then only told. */
  readonly cwd?: string
  /** Further COUNTER_ variables; the port is a free one unless COUNTER_PUBLIC_PORT is given. */
  readonly env?: Record<string, string>
  /** How long it may take to be ready, in milliseconds. */
  readonly readyMs?: number
  readonly command?: Command
  /** The command of Counter and its flags; `serve` when not given. */
  readonly args?: readonly string[]
}

/** A program and its first arguments, to run as `counter`: a built one, or the same under another program. */
export type Command = readonly [program: string, ...args: string[]]

/**
 * How long tests wait for what a process must do sooner or later, in milliseconds. No claim about its speed: this ends a wait that would have no
 * end, and a machine that has a hundred other things to do must not come near it.
 */
export const PATIENCE_MS = 120_000

const FROM_SOURCE: Command = [process.execPath, '--import', import.meta.resolve('tsx'), resolve('cmd/counter.ts')]

/** A new temporary directory and what removes it. */
export function temporaryDirectory(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), 'counter-'))
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) }
}

/**
 * Starts `counter serve`, or another command that serves, and waits until it is ready. Rejects with what it printed when it ends or takes
 * too long.
 */
export async function startNode(options: StartOptions): Promise<NodeProcess> {
  const env = {
    ...(options.cwd === undefined && { COUNTER_DATA_DIR: options.dataDir }),
    COUNTER_PUBLIC_PORT: '0',
    COUNTER_SYNC_PORT: '0',
    COUNTER_LOG_FORMAT: 'json',
    ...options.env,
  }
  const run = runCounter([...(options.args ?? ['serve'])], env, options)
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<undefined>((done) => {
    timer = setTimeout(() => done(undefined), options.readyMs ?? PATIENCE_MS)
  })
  const url = await Promise.race([run.printed(/^ {2}API +(http:\/\/\S+)\/v1$/m), run.exited.then(() => undefined), late])
  clearTimeout(timer)
  if (url === undefined) {
    run.child.kill('SIGKILL')
    const { code, signal } = await run.exited
    throw new Error(`the node did not start (${signal ?? `exit code ${code}`}):\n${run.stdout()}${run.stderr()}`)
  }
  return { ...run, url, dataDir: options.dataDir }
}

/** Runs `counter` with these arguments to its end. */
export async function runToEnd(
  args: string[],
  env: Record<string, string> = {},
  command: Command = FROM_SOURCE,
): Promise<Exit & { stdout: string; stderr: string }> {
  const run = runCounter(args, env, { command })
  const exit = await run.exited
  return { ...exit, stdout: run.stdout(), stderr: run.stderr() }
}

/** Runs `counter` with these arguments. */
export function runCounter(
  args: string[],
  env: Record<string, string>,
  { command = FROM_SOURCE, cwd }: Pick<StartOptions, 'command' | 'cwd'>,
) {
  const [program, ...first] = command
  const child = spawn(program, [...first, ...args], {
    cwd,
    env: { ...cleanEnvironment(), ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => (stdout += text))
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code, signal }))
  return {
    child,
    exited,
    stdout: () => stdout,
    stderr: () => stderr,
    /** Resolves with the first group of `pattern` once stdout has it, now or later. */
    printed: (pattern: RegExp) =>
      new Promise<string>((done) => {
        const look = () => {
          const match = pattern.exec(stdout)
          if (match) done(match[1]!)
        }
        child.stdout.on('data', look)
        look()
      }),
    end(signal: NodeJS.Signals) {
      child.kill(signal)
      return exited
    },
  }
}

/** The environment without settings of Counter, which would be those of the developer's own node. */
export function cleanEnvironment(): Record<string, string | undefined> {
  return Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('COUNTER_')))
}
