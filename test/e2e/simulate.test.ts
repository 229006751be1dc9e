// `npm run simulate`: it comes to its end, and it notices when a node has something else than it should.
// time limit: 600 s

import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { cleanEnvironment } from '../support/process.ts'
import { buildCounter } from './built.ts'

const test = suite('e2e/simulate')
const [, program] = await buildCounter()

/** @param onOutput is shown all that was printed, each time that there is more */
async function simulate(args: string[], onOutput: (stdout: string) => void = () => {}) {
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/simulate.ts', '--program', program!, ...args], {
    env: cleanEnvironment(),
    stdio: 'pipe',
  })
  let [stdout, stderr] = ['', '']
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text
    onOutput(stdout)
  })
  child.stderr.setEncoding('utf8').on('data', (text) => (stderr += text))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout, stderr }
}

test('three nodes count the same items before and after one of them is stopped, and two', async () => {
  const { code, stdout, stderr } = await simulate(['--items', '30', '--limit', '120'])
  assert.is(code, 0, `${stdout}${stderr}`)
  // 30 each to three nodes, two, one, one, and at last with the acceptance of all; ten have moved.
  assert.match(stdout, 'node 2  counts red 30  green 30  blue 30\n')
  assert.match(
    stdout,
    /node 0 {2}counts red 50 {2}green 50 {2}blue 50 .*\n {2}node 1 {2}counts red 50 {2}green 50 {2}blue 50\n\n5\./,
  )
  assert.match(stdout, /node 2 {2}counts red 66 {2}green 67 {2}blue 67 {2}gold 10 {3}as expected/)
  assert.match(stdout, /node 2 {2}counts red 76 {2}green 77 {2}blue 77 {2}gold 10\n\nAll three have the same 240 items/)
})

test('a node that has an item more than it should is found', async () => {
  let isPlanted = false
  const { code, stdout, stderr } = await simulate(['--items', '3', '--limit', '8'], (output) => {
    const url = /node 1 {2}runs on (\S+)/.exec(output)?.[1]
    if (isPlanted || url === undefined) return
    isPlanted = true
    void fetch(`${url}/items`, { method: 'POST', body: '[{"id":"stray","tenant":"red"}]' })
  })
  assert.is(code, 1, stdout)
  assert.match(stderr, /the counts differ: expected red 3 .*node 0 has red 4/)
})

test.run()
