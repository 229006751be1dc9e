// `counter sequence` against a public port over sequences in memory. Each case is a process of its own.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EXIT } from '../../cmd/exit.ts'
import { withServer } from '../publicapi/harness.ts'
import { runToEnd } from '../support/process.ts'

const test = suite('cmd/sequence')

test('it takes, shows, sets and lists numbers, for people and for programs', () =>
  withServer({}, async ({ url }) => {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await runToEnd(['sequence', '--url', url, ...args])
      assert.is(code, EXIT.ok, stderr)
      return stdout
    }
    assert.is(await run('next', 'orders'), '1\n')
    assert.is(await run('next', 'orders', '--count', '3'), '2 4\n')
    assert.is(await run('get', 'orders'), '4\n')
    assert.is(await run('set', 'orders', '10'), 'the next number of orders is 11\n')
    assert.is(await run('list', '--prefix', 'o'), 'orders 10\n')
    const engine = JSON.parse(await run('--json'))
    assert.is(engine.engine, 'local')
    assert.match(await run('status'), /^engine +local\ngives numbers +yes\nfault tolerant +no\n/)
  }))

test('orders are carried out, and refusals say what to do', () =>
  withServer({}, async ({ url, sequences }) => {
    const run = (...args: string[]) => runToEnd(['sequence', '--url', url, ...args])
    assert.match((await run('recover', '--ahead', '500')).stdout, '500 above')
    assert.equal(sequences.recoveries, [{ ahead: 500, force: false }])
    const moved = await run('migrate')
    assert.match(moved.stdout, '2 sequences and 1 idempotency keys are in etcd; further there already: a')
    assert.match(moved.stdout, 'COUNTER_SEQUENCE=etcd')
    await sequences.set('a', 9, { force: false })
    const backwards = await run('set', 'a', '3')
    assert.is(backwards.code, EXIT.failure)
    assert.match(backwards.stderr, 'force')
    sequences.failure = 'SEQUENCE_UNAVAILABLE'
    assert.match((await run('next', 'a')).stderr, 'Ask the test.')
    assert.is((await run('next', 'a', '--count', 'many')).code, EXIT.usage)
    assert.is((await run('recover')).code, EXIT.usage)
  }))

test.run()
