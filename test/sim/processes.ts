// Histories of a cluster in several processes, so that they use all cores.

import { spawn } from 'node:child_process'
import { addFaults, type Faults } from './check-faults.ts'
import { CLUSTER, checkRun, type RunResult } from './run.ts'

/** Runs histories [first, first + count) of a cluster in so many processes. Each stops at its first with violations. */
export async function runClusterHistories(first: number, count: number, processes: number): Promise<RunResult> {
  const share = Math.ceil(count / processes)
  const firsts = Array.from({ length: processes }, (_, index) => first + index * share)
  const results = await Promise.all(firsts.map((seed) => runInProcess(seed, Math.min(share, first + count - seed))))
  const faults: Faults = new Map()
  for (const result of results) addFaults(faults, result.faults)
  const failure = results.find(({ failed }) => failed !== undefined)
  return failure ? { ...failure, faults } : { failed: undefined, violations: checkRun(CLUSTER, faults, count), faults }
}

function runInProcess(seed: number, count: number): Promise<RunResult> {
  const args = [
    '--import',
    'tsx',
    'test/sim/run.ts',
    '--cluster',
    '--json',
    '--partial',
    '--seed',
    `${seed}`,
    '--runs',
    `${count}`,
  ]
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text) => {
    output += text
  })
  return new Promise((resolve, reject) => {
    child.on('close', (code) => {
      try {
        const { failed, violations, faults } = JSON.parse(output)
        resolve({ failed, violations, faults: new Map(faults) })
      } catch {
        reject(new Error(`histories from seed ${seed} on ended with ${code}: ${output}`))
      }
    })
  })
}
