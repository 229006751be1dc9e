// `counter cluster` against a public port whose cluster the test plays. Each case is a process of its own.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { peer } from '../publicapi/fake-cluster.ts'
import { Harness, withServer } from '../publicapi/harness.ts'
import { runToEnd } from '../support/process.ts'

const test = suite('cmd/cluster')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

const run = (...args: string[]) => runToEnd(['cluster', ...args, '--url', api.url])

test('it prints a line a member, with what is lacking in each direction', async () => {
  api.cluster.members = [
    peer(2, { state: 'dead', heardMsAgo: 65_000, lacks: undefined, ahead: { changes: 12, seconds: 61.04 }, publicUrl: '' }),
    peer(1, { self: true }),
    peer(3, { lacks: { changes: 4, seconds: 0.31 } }),
  ]
  const { code, stdout, stderr } = await run()
  assert.is(code, 0, stderr)
  assert.is(stderr, '')
  assert.is(
    stdout,
    `${[
      'node  state  heard       this node lacks   it lacks            sync address          API',
      '*1    alive  -           -                 -                   http://10.0.0.1:3001  http://10.0.0.1:3000',
      ' 2    dead   65.0 s ago  not known         12 changes, 61.0 s  http://10.0.0.2:3001  -',
      ' 3    alive  0.3 s ago   4 changes, 0.3 s  nothing             http://10.0.0.3:3001  http://10.0.0.3:3000',
      'node 1 and the members that are alive do not agree yet',
    ].join('\n')}\n`,
  )
})

test('as JSON it is what the node answers', async () => {
  const { code, stdout } = await run('--json')
  assert.is(code, 0)
  assert.equal(JSON.parse(stdout), await (await api.get('/v1/cluster')).json())
})

test('it asks the port of the settings, with their token', async () => {
  await withServer({ token: 'a-secret-of-our-own' }, async ({ port, cluster }) => {
    const env = { COUNTER_PUBLIC_PORT: String(port), COUNTER_TOKEN: 'a-secret-of-our-own', COUNTER_HOST: '0.0.0.0' }
    const shown = await runToEnd(['cluster'], { ...env, COUNTER_CLUSTER_SECRET: 'a-secret-of-the-cluster' })
    assert.is(shown.code, 0, shown.stderr)
    assert.match(shown.stdout, 'node 1 agrees with all members that are alive')
    const { COUNTER_TOKEN, COUNTER_HOST, ...open } = env
    const refused = await runToEnd(['cluster', 'remove', '2'], open)
    assert.is(refused.code, 1)
    assert.match(refused.stderr, '[unauthorized]')
    assert.match(refused.stderr, 'Authorization: Bearer')
    assert.equal(cluster.orders, [])
  })
})

test('a member is drained, and waited for on request', async () => {
  const told = await run('drain', '2')
  assert.is(told.code, 0, told.stderr)
  assert.match(told.stdout, /^node 2 is draining/)
  assert.equal(api.cluster.orders, ['drain 2'])

  const waiting = run('drain', '2', '--wait')
  const looks = () => api.log.filter(({ fields }) => fields.path === '/v1/cluster').length
  const before = looks()
  while (looks() < before + 2) await (await api.get('/livez')).text()
  api.cluster.members = api.cluster.members.map((member) => (member.node === 2 ? { ...member, state: 'left' } : member))
  const waited = await waiting
  assert.is(waited.code, 0, waited.stderr)
  assert.is(waited.stdout, 'node 2 has left\n')
  assert.is(waited.stderr, 'node 2 is draining\n')
})

test('the node that is asked may be the one that leaves: the others say when it has', async () => {
  await withServer({}, async (other) => {
    other.cluster.members = [peer(2, { self: true }), peer(1, { state: 'left' })]
    api.cluster.members = api.cluster.members.map((member) => ({ ...member, publicUrl: member.node === 2 ? other.url : '' }))
    const { code, stdout, stderr } = await run('drain', '1', '--wait')
    assert.is(code, 0, stderr)
    assert.is(stdout, 'node 1 has left\n')
    assert.equal(api.cluster.orders, ['drain 1'])
  })
})

test('a member that is gone is removed, one that lives is not', async () => {
  const removed = await run('remove', '3')
  assert.is(removed.code, 0, removed.stderr)
  assert.is(removed.stdout, 'node 3 is no member any more\n')
  assert.equal(api.cluster.orders, ['remove 3'])
  api.cluster.refusal = 'MEMBER_ALIVE'
  const refused = await run('remove', '2')
  assert.is(refused.code, 1)
  assert.is(refused.stdout, '')
  assert.match(refused.stderr, '[member-alive]')
  assert.match(refused.stderr, 'Drain it')
})

test('a node that does not answer ends it with 69, wrong use with 2, and wrong settings with 78', async () => {
  const gone = api.url
  await api.server.close()
  const [unreachable, noId, badUrl, noPort] = await Promise.all([
    runToEnd(['cluster', '--url', gone]),
    runToEnd(['cluster', 'drain', 'x']),
    runToEnd(['cluster', '--url', 'ftp://x']),
    runToEnd(['cluster'], { COUNTER_PUBLIC_PORT: '0' }),
  ])
  assert.is(unreachable.code, 69)
  assert.match(unreachable.stderr, 'Is the node running?')
  assert.is(noId.code, 2)
  assert.match(noId.stderr, 'expected a node id')
  assert.is(badUrl.code, 2)
  assert.is(noPort.code, 78)
  assert.match(noPort.stderr, '--url')
})

test.run()
