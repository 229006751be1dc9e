// From a home to etcd: numbers come from there only when all that was given before is there.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalSequencer, migrate, Succession } from '../../lib/sequence/index.ts'
import { refusal } from './conformance.ts'
import { type HomeWorld, homeOf, KEY_TTL_MS } from './home-world.ts'
import { VirtualEtcd } from './virtual.ts'

const test = suite('sequence/succession')

/** The nodes of a home, as they are when they are started with etcd instead; two worlds with a clock each. */
function successors(world: HomeWorld, etcd: VirtualEtcd) {
  return world.places.map(({ node }, index) => {
    const local = new LocalSequencer({ notes: node.store, clock: node.clock, keyTtlMs: KEY_TTL_MS, keysMax: 1000 })
    return { local, succession: new Succession({ etcd: etcd.nodes[index]!.engine, local, notes: node.store }) }
  })
}

async function settled<T>(world: HomeWorld, etcd: VirtualEtcd, promise: Promise<T>): Promise<T> {
  let isOver = false
  const watched = promise.finally(() => {
    isOver = true
  })
  watched.catch(() => {})
  while (!isOver) {
    await world.pass(1)
    await etcd.pass(1)
  }
  return watched
}

test('who forgot to move the sequences is told so, on every node that has heard of any', async () => {
  const [world, etcd] = [await homeOf(3), new VirtualEtcd({ nodes: 3 })]
  for (const { sequencer } of world.places) await world.settle(sequencer.next('a', { count: 10, key: 'k' }))
  await world.settle(world.places[0]!.sequencer.next('b'))
  await world.pass(1000)
  const before = successors(world, etcd)
  for (const { succession } of before) {
    const refused = await refusal(settled(world, etcd, succession.next('new')))
    assert.is(refused.code, 'SEQUENCE_UNAVAILABLE')
    assert.match(String(refused.fix), 'counter sequence migrate')
    const { reachable, detail } = await settled(world, etcd, succession.status())
    assert.is(reachable, false)
    assert.match(detail, 'counter sequence migrate')
  }
  const moved = await settled(world, etcd, migrate(before[0]!.local, etcd.nodes[0]!.engine))
  assert.equal(moved, { sequences: 2, keys: 1, ahead: [] })
  for (const [index, { succession }] of before.entries()) {
    assert.is((await settled(world, etcd, succession.next('a'))).last, 11 + index)
    assert.equal(await settled(world, etcd, succession.next('a', { count: 10, key: 'k' })), {
      first: 1,
      last: 10,
      replayed: true,
    })
  }
  await world.end()
})

test('after a move values may be taken back, also over a restart; what a home gave after it was thawed is looked for again', async () => {
  const [world, etcd] = [await homeOf(3), new VirtualEtcd({ nodes: 3 })]
  const [home, one] = world.places
  await world.settle(one!.sequencer.next('a', { count: 10 }))
  await world.pass(1000)
  let nodes = successors(world, etcd)
  await settled(world, etcd, migrate(nodes[0]!.local, etcd.nodes[0]!.engine))
  for (const { succession } of nodes) await settled(world, etcd, succession.get('a'))
  await settled(world, etcd, nodes[1]!.succession.set('a', 3, { force: true }))
  nodes = successors(world, etcd)
  for (const { succession } of nodes) assert.is(await settled(world, etcd, succession.get('a')), 3)

  // Back to the home, which is frozen as the move has left it.
  await world.restart(home!)
  assert.is((await refusal(world.eventually(() => home!.sequencer.next('a'), 0))).code, 'SEQUENCE_FROZEN')
  await world.settle(home!.sequencer.thaw())
  assert.is((await world.settle(one!.sequencer.next('a'))).last, 11)
  await world.pass(1000)
  for (const { succession } of successors(world, etcd)) {
    assert.is((await refusal(settled(world, etcd, succession.next('a')))).code, 'SEQUENCE_UNAVAILABLE')
  }
  await world.end()
})

test('a node that has heard of no sequence uses etcd at once', async () => {
  const [world, etcd] = [await homeOf(1), new VirtualEtcd({ nodes: 1 })]
  const { succession } = successors(world, etcd)[0]!
  assert.is((await settled(world, etcd, succession.next('a'))).last, 1)
  await world.end()
})

test.run()
