import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { peer } from './fake-cluster.ts'
import { Harness, problemOf, withServer } from './harness.ts'

const test = suite('publicapi/members')
let api: Harness

test.before.each(async () => {
  api = await new Harness().open()
})
test.after.each(() => api.server.close())

interface View {
  agreed: boolean
  draining: boolean
  members: Array<Record<string, unknown>>
}
const view = async (): Promise<View> => (await (await api.get('/v1/cluster')).json()) as View

test('the cluster is one object with stable keys, its members by node id', async () => {
  api.cluster.members = [
    peer(3, { state: 'dead', heardMsAgo: 61_234.56, lacks: undefined, ahead: { changes: 12, seconds: 61.23456 }, publicUrl: '' }),
    ...api.cluster.members.filter(({ node }) => node !== 3),
  ]
  assert.equal(await (await api.get('/v1/cluster')).json(), {
    node: 1,
    incarnation: 40,
    agreed: true,
    draining: false,
    members: [
      {
        node: 1,
        incarnation: 40,
        state: 'alive',
        self: true,
        address: 'http://10.0.0.1:3001',
        url: 'http://10.0.0.1:3000',
        heardSecondsAgo: null,
        lacks: null,
        ahead: null,
      },
      {
        node: 2,
        incarnation: 42,
        state: 'alive',
        self: false,
        address: 'http://10.0.0.2:3001',
        url: 'http://10.0.0.2:3000',
        heardSecondsAgo: 0.25,
        lacks: { changes: 0, seconds: 0 },
        ahead: { changes: 0, seconds: 0 },
      },
      {
        node: 3,
        incarnation: 43,
        state: 'dead',
        self: false,
        address: 'http://10.0.0.3:3001',
        url: null,
        heardSecondsAgo: 61.235,
        lacks: null,
        ahead: { changes: 12, seconds: 61.235 },
      },
    ],
  })
})

test('nodes agree when nothing is known to be lacking between them and those that live', async () => {
  const lag = { changes: 1, seconds: 0 }
  const self = api.cluster.members.find((member) => member.self)!
  const cases: Array<[agreed: boolean, others: Parameters<typeof peer>[1][]]> = [
    [true, []],
    [true, [{}]],
    [false, [{}, { lacks: lag }]],
    [false, [{ ahead: lag }]],
    [false, [{ lacks: undefined }]],
    [false, [{ ahead: undefined }]],
    [true, [{ ahead: lag, state: 'dead' }, { lacks: undefined, state: 'suspect' }, {}]],
    [true, [{ ahead: lag, state: 'left' }]],
  ]
  for (const [agreed, others] of cases) {
    api.cluster.members = [self, ...others.map((other, index) => peer(index + 2, other))]
    assert.is((await view()).agreed, agreed, JSON.stringify(others))
  }
  api.cluster.draining = true
  assert.is((await view()).draining, true)
})

test('a member is told to leave, or is removed', async () => {
  const drain = await api.post('/v1/cluster/members/2/drain', undefined)
  assert.is(drain.status, 202)
  assert.equal(await drain.json(), { node: 2, draining: true })
  const remove = await api.post('/v1/cluster/members/3/remove', undefined)
  assert.is(remove.status, 200)
  assert.equal(await remove.json(), { node: 3, left: true })
  assert.equal(api.cluster.orders, ['drain 2', 'remove 3'])
  assert.is(api.store.writes, 0)
  for (const path of ['/v1/cluster/members/2/drain', '/v1/cluster/members/2/remove']) {
    const response = await api.get(path)
    assert.is(response.status, 405)
    assert.is(response.headers.get('allow'), 'POST, OPTIONS')
  }
})

test('what cannot be done to a member has its problem', async () => {
  const cases = [
    ['MEMBER_UNKNOWN', 404, 'member-unknown', null],
    ['MEMBER_ALIVE', 409, 'member-alive', null],
    ['PEER_UNREACHABLE', 503, 'member-unreachable', '1'],
    ['PEER_REFUSED', 503, 'member-unreachable', '1'],
  ] as const
  for (const [code, status, type, retryAfter] of cases) {
    for (const order of ['drain', 'remove']) {
      api.cluster.refusal = code
      const problem = await problemOf(await api.post(`/v1/cluster/members/2/${order}`, undefined))
      assert.is(problem.status, status)
      assert.is(problem.type, `/problems/${type}`)
      assert.is(problem.retryAfter, retryAfter)
      assert.is(problem.applied, 'no')
    }
  }
})

test('what is no node id names the members there are', async () => {
  for (const id of ['x', '-1', '1.5', '2147483648', '99999999999', '1e3', '%32', '0x1']) {
    const problem = await problemOf(await api.post(`/v1/cluster/members/${id}/remove`, undefined))
    assert.is(problem.status, 404, id)
    assert.is(problem.type, '/problems/member-unknown')
    assert.match(problem.detail as string, 'the members are 1, 2, 3')
  }
  assert.equal(api.cluster.orders, [])
})

test('a page of another site gives no orders, and nobody does without the token', async () => {
  const foreign = await api.post('/v1/cluster/members/2/remove', undefined, { Origin: 'https://elsewhere.example' })
  assert.is((await problemOf(foreign)).type, '/problems/cross-site')
  assert.equal(api.cluster.orders, [])
  await withServer({ token: 'a secret' }, async (other) => {
    assert.is((await other.post('/v1/cluster/members/2/drain', undefined)).status, 401)
    assert.is((await other.get('/v1/cluster')).status, 401)
    assert.equal(other.cluster.orders, [])
    assert.is((await other.get('/v1/cluster', { Authorization: 'Bearer a secret' })).status, 200)
  })
})

test.run()
