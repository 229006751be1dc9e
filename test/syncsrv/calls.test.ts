// Calls of one part of the program to its like on another node.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import { RefusedError } from '../../lib/syncsrv/exchange-client.ts'
import { clusterOf, type Node, rejection } from './cluster.ts'

const test = suite('syncsrv/calls')
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const textOf = (payload: Uint8Array): string => new TextDecoder().decode(payload)

test('a call is answered by the service it names, which knows who asks', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.replication.serve('echo', async (payload, node) => bytes(`${textOf(payload)} of ${node}`))
  b.replication.serve('nothing', async () => new Uint8Array(0))
  const answer = await cluster.settle(a.replication.call(2, 'echo', bytes('a question'), { timeoutMs: 1000 }))
  assert.is(textOf(answer), 'a question of 1')
  assert.is((await cluster.settle(a.replication.call(2, 'nothing', new Uint8Array(0), { timeoutMs: 1000 }))).length, 0)
  await cluster.end()
})

test('what a service throws is told to the caller, shortened to what fits', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.replication.serve('full', async () => {
    throw new CounterError('DISK_FULL', `no room${'\u{1f4be}'.repeat(4000)}`)
  })
  const refused = await cluster.settle(rejection(a.replication.call(2, 'full', bytes('x'), { timeoutMs: 1000 })))
  assert.instance(refused, RefusedError)
  assert.is((refused as RefusedError).why, 'DISK_FULL')
  assert.match(refused.message, 'no room')
  const unknown = await cluster.settle(rejection(a.replication.call(2, 'none', bytes('x'), { timeoutMs: 1000 })))
  assert.is((unknown as RefusedError).why, 'SERVICE_UNKNOWN')
  await cluster.end()
})

test('who does not answer in time, or is no member, is not waited for', async () => {
  const { cluster, nodes } = await clusterOf([1, 2])
  const [a, b] = nodes as [Node, Node]
  b.replication.serve('slow', () => new Promise(() => {}))
  const slow = await cluster.settle(rejection(a.replication.call(2, 'slow', bytes('x'), { timeoutMs: 50 })))
  assert.is(slow.code, 'PEER_UNREACHABLE')
  assert.is(
    (await cluster.settle(rejection(a.replication.call(7, 'slow', bytes('x'), { timeoutMs: 50 })))).code,
    'MEMBER_UNKNOWN',
  )
  b.kill()
  assert.is(
    (await cluster.settle(rejection(a.replication.call(2, 'slow', bytes('x'), { timeoutMs: 50 })))).code,
    'PEER_UNREACHABLE',
  )
  await cluster.end()
})

test.run()
