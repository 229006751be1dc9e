// Servers under load, measured by the CPU time of their process: on a shared machine that is what holds, and only as a ratio in
// one run. Contestants take turns. The load comes from another process (load.ts), over keep-alive connections with one request under way on each.

import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

export interface Server {
  readonly name: string
  readonly pid: number
  readonly port: number
  stop(): Promise<void>
}

/** What one run of load came to. */
export interface Load {
  readonly requests: number
  readonly words: number
  readonly seconds: number
}

const TICKS_A_SECOND = 100

/** CPU seconds that a process and its threads have used. */
export function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]!.split(' ')
  return (Number(fields[11]) + Number(fields[12])) / TICKS_A_SECOND
}

/** Resident memory of a process in bytes. */
export function residentBytes(pid: number): number {
  return Number(/VmRSS:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))![1]) * 1024
}

/** Starts a node of the built program in an empty directory. BENCH_DIST: where it was built to, BENCH_NODE_FLAGS: flags of node itself. */
export async function startCounter(flags: string[] = []): Promise<Server & { directory: string; syncPort: number }> {
  const directory = mkdtempSync(join(tmpdir(), 'counter-bench-'))
  const program = `${process.env.BENCH_DIST ?? 'dist'}/cmd/counter.js`
  const settings = ['--public-port', '0', '--sync-port', '0', '--data-dir', directory, '--log-level', 'warn', ...flags]
  const nodeFlags = (process.env.BENCH_NODE_FLAGS ?? '').split(' ').filter(Boolean)
  const child = spawn(process.execPath, [...nodeFlags, program, 'serve', ...settings], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH },
  })
  const [, port, syncPort] = await printed(child, /API\s+http:\/\/[^:]+:(\d+)\/[\s\S]*?Sync\s+http:\/\/[^:]+:(\d+)/)
  return { ...server('counter', child, Number(port), directory), directory, syncPort: Number(syncPort) }
}

export function build(): void {
  if (process.env.BENCH_DIST !== undefined) return
  execFileSync('npm', ['run', '-s', 'build'], { stdio: ['ignore', 'ignore', 'inherit'] })
}

/** A Redis without anything on disk, or with its log flushed before each reply; undefined when it is not installed. */
export async function startRedis(appendAlways: boolean, port: number): Promise<Server | undefined> {
  if (!existsSync('/usr/bin/redis-server')) return undefined
  const directory = mkdtempSync(join(tmpdir(), 'redis-bench-'))
  const aof = appendAlways ? ['--appendonly', 'yes', '--appendfsync', 'always'] : ['--appendonly', 'no']
  const child = spawn('/usr/bin/redis-server', ['--port', String(port), '--dir', directory, '--save', '', ...aof], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  await printed(child, /Ready to accept connections/)
  return server(appendAlways ? 'Redis, AOF always' : 'Redis, no AOF', child, port, directory)
}

/** Bare node:http: reads the body, answers a constant. */
export async function startBare(): Promise<Server> {
  const source = `require('node:http').createServer((request, response) => {
    request.on('data', () => {})
    request.on('end', () => {
      const body = request.method === 'GET' ? '{"name":"the","value":63911,"valueString":"63911"}' : ''
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': body.length }).end(body)
    })
  }).listen(0, '127.0.0.1', function () { console.log('port ' + this.address().port) })`
  const child = spawn(process.execPath, ['-e', source], { stdio: ['ignore', 'pipe', 'inherit'] })
  return server('bare node:http', child, Number((await printed(child, /port (\d+)/))[1]))
}

function server(name: string, child: ChildProcess, port: number, directory?: string): Server {
  return {
    name,
    pid: child.pid!,
    port,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await once(child, 'exit')
      if (directory !== undefined) rmSync(directory, { recursive: true, force: true })
    },
  }
}

async function printed(child: ChildProcess, pattern: RegExp): Promise<RegExpExecArray> {
  let output = ''
  for await (const piece of child.stdout!.iterator({ destroyOnReturn: false })) {
    output += piece
    const match = pattern.exec(output)
    if (match) {
      child.stdout!.resume()
      return match
    }
  }
  throw new Error(`the server ended before it was ready:\n${output}`)
}

export type LoadKind = 'keywords' | 'incr' | 'get' | 'items' | 'sadd' | 'count' | 'scard'

/** Runs a load (see load.ts) against a server from another process. @param size of a text in bytes, or of a batch in items */
export function load(kind: LoadKind, port: number, requests: number, size: number, first = 0): Promise<Load> {
  const file = new URL('load.ts', import.meta.url).pathname
  const args = [kind, port, requests, size, first].map(String)
  const child = spawn(process.execPath, ['--import', 'tsx', file, ...args], { stdio: ['ignore', 'pipe', 'inherit'] })
  return printed(child, /\{.*\}/).then((match) => JSON.parse(match[0]) as Load)
}
