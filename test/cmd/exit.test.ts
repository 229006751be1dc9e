// How errors become exit codes and sentences.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { EXIT, exitCodeOf, explain } from '../../cmd/exit.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { ClientError } from '../../lib/client/index.ts'

const test = suite('cmd/exit')

const refused = Object.assign(new Error('connect ECONNREFUSED 127.0.0.1:3000'), { code: 'ECONNREFUSED' })

test('each kind of error has its exit code', () => {
  assert.is(exitCodeOf(new CounterError('CONFIG_INVALID', 'x')), EXIT.config)
  assert.is(exitCodeOf(new CounterError('DIRECTORY_LOCKED', 'x')), EXIT.failure)
  assert.is(exitCodeOf(refused), EXIT.unreachable)
  assert.is(exitCodeOf(new TypeError('fetch failed', { cause: refused })), EXIT.unreachable)
  assert.is(exitCodeOf(new ClientError('unreachable', 0, 'x', {})), EXIT.unreachable)
  assert.is(exitCodeOf(new ClientError('member-alive', 409, 'x', {})), EXIT.failure)
  assert.is(exitCodeOf(new Error('x')), EXIT.failure)
  assert.is(exitCodeOf('x'), EXIT.failure)
})

test('an operating error is explained with its code, its cause and its fix, without a stack', () => {
  const error = new CounterError('PORT_UNUSABLE', 'cannot listen', {
    cause: new Error('EADDRINUSE'),
    fix: 'Set COUNTER_PUBLIC_PORT.',
  })
  assert.is(explain(error), 'counter: cannot listen [PORT_UNUSABLE]\n  because: EADDRINUSE\nSet COUNTER_PUBLIC_PORT.')
})

test('a fix is shown as a sentence, however it was written', () => {
  assert.match(explain(new CounterError('NODE_ID_TAKEN', 'x', { fix: 'stop the other one' })), /\nStop the other one\.$/)
})

test('what a node has refused is explained with its type and its fix', () => {
  const error = new ClientError('member-alive', 409, 'node 2 answers', { fix: 'Drain it.' })
  assert.is(explain(error), 'counter: node 2 answers [member-alive]\nDrain it.')
})

test('a fault of ours is explained with its stack', () => {
  assert.match(explain(new Error('oops')), /oops\n {4}at /)
})

test.run()
