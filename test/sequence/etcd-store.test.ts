// What etcd asks of its clients: a user and a password, certificates, and that its past be compacted before its room is used up.

import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { systemClock } from '../../lib/base/clock.ts'
import { EtcdGateway } from '../../lib/sequence/etcd-gateway.ts'
import { EtcdKv, type EtcdOptions } from '../../lib/sequence/index.ts'
import { ask, type Etcd, etcdProgram, startEtcd } from '../support/etcd.ts'
import { refusal } from './conformance.ts'
import { enginesOn } from './etcd-cluster.ts'

const test = suite('sequence/etcd-store')

const fixture = (name: string): string => fileURLToPath(new URL(`../fixtures/tls/${name}`, import.meta.url))

async function withEtcd(options: Parameters<typeof startEtcd>[0], work: (etcd: Etcd) => Promise<void>): Promise<void> {
  const etcd = await startEtcd({ members: 1, ...options })
  try {
    await work(etcd)
  } finally {
    await etcd.close()
  }
}

const kvOf = (etcd: Etcd, options: Partial<EtcdOptions> = {}): EtcdKv =>
  new EtcdKv({ endpoints: etcd.urls, deadlineMs: 1000, clock: systemClock, ...options })

/** So many times as many bytes are written as etcd has room for. */
const ROOM_BYTES = 2 * 1024 * 1024
const ROUNDS = 60
/** Sequences that take a number in a round, with long names, so that there is much to forget. */
const NAMES = Array.from({ length: 64 }, (_, index) => `${index}-${'x'.repeat(500)}`)

for (const compactRevisions of [500, 0]) {
  const what =
    compactRevisions > 0
      ? 'an etcd that nobody compacts goes on for ever'
      : 'without compaction etcd refuses, and that is said with what to do'
  etcdProgram.test(test, what, () =>
    withEtcd({ args: ['--quota-backend-bytes', String(ROOM_BYTES), '--auto-compaction-retention', '0'] }, async (etcd) => {
      const [engine] = enginesOn(etcd, 1, 'room/', { compactRevisions, timeoutMs: 3000 })
      let [rounds, failure] = [0, undefined as unknown]
      while (rounds < ROUNDS && failure === undefined) {
        await Promise.all(NAMES.map((name) => engine!.next(name))).then(
          () => rounds++,
          (error) => {
            failure = error
          },
        )
      }
      if (compactRevisions > 0) {
        assert.is(failure, undefined)
        assert.is(await engine!.get(NAMES[0]!), ROUNDS)
        const { bytes, alarms } = await kvOf(etcd).status()
        assert.equal(alarms, [])
        assert.ok(bytes < ROOM_BYTES, `${bytes} bytes`)
      } else {
        const { code, message, fix } = failure as { code: string; message: string; fix: string }
        assert.is(code, 'SEQUENCE_UNAVAILABLE', 'surely no number was taken')
        assert.match(message, /database space exceeded/)
        assert.match(fix, /compact.*defrag.*disarm/)
        assert.match((await engine!.status()).detail, /NOSPACE/)
      }
      await engine!.close()
    }),
  )
}

/** How etcd makes tokens. Simple ones lie in the memory of a member; the others are signed, and are of the users as they were. */
const TOKENS = {
  simple: 'simple',
  signed: `jwt,pub-key=${fixture('node.pem')},priv-key=${fixture('node.key')},sign-method=ES256,ttl=10m`,
}

for (const [kind, tokens] of Object.entries(TOKENS)) {
  etcdProgram.test(test, `a user and a password are shown, and again when etcd no longer takes a ${kind} token`, () =>
    withEtcd({ args: ['--auth-token', tokens] }, async (etcd) => {
      const { port } = etcd.members[0]!
      await ask(port, '/v3/auth/user/add', { name: 'root', password: 'secret' })
      await ask(port, '/v3/auth/role/add', { name: 'root' })
      await ask(port, '/v3/auth/user/grant', { user: 'root', role: 'root' })
      // All that a node needs: to read and write what begins with its prefix.
      const text = (plain: string): string => Buffer.from(plain).toString('base64')
      await ask(port, '/v3/auth/user/add', { name: 'counter', password: 'secret' })
      await ask(port, '/v3/auth/role/add', { name: 'counter' })
      await ask(port, '/v3/auth/role/grant', {
        name: 'counter',
        perm: { permType: 'READWRITE', key: text('auth/'), range_end: text('auth0') },
      })
      await ask(port, '/v3/auth/user/grant', { user: 'counter', role: 'counter' })
      await ask(port, '/v3/auth/enable', {})
      const good = kvOf(etcd, { user: 'counter', password: 'secret' })
      const [engine, stranger, nobody] = [
        enginesOn(etcd, 1, 'auth/', { kv: good })[0]!,
        enginesOn(etcd, 1, 'auth/', { kv: kvOf(etcd, { user: 'counter', password: 'wrong' }), timeoutMs: 500 })[0]!,
        enginesOn(etcd, 1, 'auth/', { kv: kvOf(etcd), timeoutMs: 500 })[0]!,
      ]
      assert.is((await engine.next('a', { key: 'k' })).first, 1)
      const { reachable, members, leader } = await engine.status()
      assert.equal([reachable, members?.length, leader], [true, 1, 'm0'])
      assert.is((await engine.list({ prefix: '', after: undefined, limit: 9 })).sequences.length, 1)
      await good.compact(2)
      await etcd.members[0]!.kill()
      etcd.members[0]!.start()
      assert.is((await engine.next('a')).first, 2)
      assert.is(await engine.get('a'), 2)
      const root = new EtcdGateway({
        endpoints: etcd.urls,
        user: 'root',
        password: 'secret',
        deadlineMs: 1000,
        clock: systemClock,
      })
      await root.ask('/v3/auth/user/add', { name: 'another', password: 'x' })
      await root.close()
      assert.is((await engine.next('a')).first, 3)
      const refused = await refusal(stranger.next('a'))
      assert.is(refused.code, 'SEQUENCE_UNAVAILABLE')
      assert.match(`${refused.message} ${refused.fix}`, /does not let in the user counter.*password/)
      assert.is((await refusal(nobody.next('a'))).code, 'SEQUENCE_UNAVAILABLE')
      await Promise.all([engine, stranger, nobody].map((one) => one.close()))
    }),
  )
}

etcdProgram.test(test, 'https is spoken with an authority of its own, and nothing is sent to a stranger', () =>
  withEtcd({ tls: { cert: fixture('node.pem'), key: fixture('node.key') } }, async (etcd) => {
    const ca = readFileSync(fixture('authority.pem'))
    const [engine] = enginesOn(etcd, 1, 'tls/', { kv: kvOf(etcd, { tls: { ca } }), timeoutMs: 20_000 })
    assert.is((await engine!.next('a')).first, 1)
    const foreign = kvOf(etcd, { tls: { ca: readFileSync(fixture('foreign-authority.pem')) } })
    const [other] = enginesOn(etcd, 1, 'tls/', { kv: foreign, timeoutMs: 300 })
    assert.is((await refusal(other!.next('a'))).code, 'SEQUENCE_UNAVAILABLE')
    assert.is(await engine!.get('a'), 1)
    await Promise.all([engine!.close(), other!.close()])
  }),
)

etcdProgram.test(test, 'thousands of sequences at a time wait for each other, and each gets its number', () =>
  withEtcd({}, async (etcd) => {
    const [engine] = enginesOn(etcd, 1, 'many/', { timeoutMs: 60_000 })
    const numbers = await Promise.all(Array.from({ length: 1000 }, (_, index) => engine!.next(`s${index}`)))
    for (const { first } of numbers) assert.is(first, 1)
    // What cannot be sent in time was surely not sent.
    etcd.members[0]!.pause()
    const [hurried] = enginesOn(etcd, 1, 'many/', { timeoutMs: 500 })
    const ends = await Promise.allSettled(Array.from({ length: 300 }, (_, index) => hurried!.next(`s${index}`)))
    etcd.members[0]!.resume()
    const codes = ends.map((end) => (end.status === 'rejected' ? (end.reason as { code: string }).code : 'given'))
    assert.ok(codes.includes('SEQUENCE_UNAVAILABLE'), [...new Set(codes)].join())
    assert.not.ok(codes.includes('given'))
    await Promise.all([engine!.close(), hurried!.close()])
  }),
)

etcdProgram.test(test, 'something else that speaks HTTP there is no etcd', () =>
  withEtcd({}, async (etcd) => {
    const kv = kvOf(etcd, { endpoints: [`http://127.0.0.1:${etcd.members[0]!.peerPort}`] })
    const [engine] = enginesOn(etcd, 1, 'else/', { kv, timeoutMs: 300 })
    assert.is((await refusal(engine!.get('a'))).code, 'SEQUENCE_UNAVAILABLE')
    await engine!.close()
  }),
)

test.run()
