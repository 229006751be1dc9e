// The command line as a user meets it: help, mistakes, exit codes, and `counter config`. Each case is a process of its own.

import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { runToEnd, temporaryDirectory } from '../support/process.ts'

const test = suite('cmd/counter')

test('alone it shows its help, examples first', async () => {
  const run = await runToEnd([])
  assert.is(run.code, 0)
  assert.match(run.stdout, /^Examples:\n {2}counter serve/)
  assert.match(run.stdout, /\bserve\b.*run a node/)
  assert.is(run.stderr, '')
})

test('the version is that of the package', async () => {
  assert.match((await runToEnd(['--version'])).stdout, /^\d+\.\d+\.\d+\n$/)
})

test('the help of serve names each setting with its variable and default', async () => {
  const run = await runToEnd(['serve', '--help'])
  assert.is(run.code, 0)
  const text = run.stdout.replace(/\s+/g, ' ')
  assert.match(text, '--data-dir <value>')
  assert.match(text, '[COUNTER_DATA_DIR, default ./data]')
  assert.match(text, '[COUNTER_TOKEN]')
})

test('a command or flag that does not exist ends with 2 and the one that was meant', async () => {
  const command = await runToEnd(['srve'])
  assert.is(command.code, 2)
  assert.match(command.stderr, 'serve')
  const flag = await runToEnd(['serve', '--data-dri', 'x'])
  assert.is(flag.code, 2)
  assert.match(flag.stderr, 'Did you mean --data-dir?')
})

test('config prints each setting and where it came from, with the secret masked', async () => {
  const folder = temporaryDirectory()
  try {
    const file = join(folder.path, 'counter.env')
    writeFileSync(file, 'COUNTER_NODE_ID=4\n')
    const env = { COUNTER_TOKEN: 'a-secret-of-our-own', COUNTER_FSYNC: 'never' }
    const run = await runToEnd(['config', '--config', file, '--public-port', '0'], env)
    assert.is(run.code, 0, run.stderr)
    assert.match(run.stdout, /^COUNTER_NODE_ID +4 +file .*counter\.env$/m)
    assert.match(run.stdout, /^COUNTER_PUBLIC_PORT +0 +flag$/m)
    assert.match(run.stdout, /^COUNTER_FSYNC +never +environment$/m)
    assert.match(run.stdout, /^COUNTER_DATA_DIR +\.\/data-4 +default$/m)
    assert.match(run.stdout, /^COUNTER_TOKEN +\*+ +environment$/m)
    assert.not.match(run.stdout, 'a-secret')

    const json = JSON.parse((await runToEnd(['config', '--json', '--config', file], env)).stdout)
    assert.equal(json.COUNTER_NODE_ID, { value: '4', origin: `file ${file}` })
    assert.equal(json.COUNTER_TOKEN, { value: '********', origin: 'environment' })
    assert.equal(json.COUNTER_SEEDS, { value: null, origin: 'default' })
  } finally {
    folder.remove()
  }
})

test('wrong settings end config and serve with 78 and every problem at once', async () => {
  const env = { COUNTER_NODE_ID: 'x', COUNTER_HOST: '0.0.0.0', COUNTER_NODEID: '1' }
  for (const command of ['config', 'serve']) {
    const run = await runToEnd([command], env)
    assert.is(run.code, 78)
    assert.is(run.stdout, '')
    assert.match(run.stderr, '3 settings are wrong')
    assert.match(run.stderr, 'Did you mean COUNTER_NODE_ID?')
    assert.match(run.stderr, /COUNTER_TOKEN=[\w-]{43}/)
    assert.not.match(run.stderr, /\n {4}at /)
  }
})

test.run()
