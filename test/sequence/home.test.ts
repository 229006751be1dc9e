// The home engine: as every engine, and what befalls a home.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { conformance, refusal } from './conformance.ts'
import { HomeWorld, homeOf, KEY_TTL_MS, wiped } from './home-world.ts'

const test = suite('sequence/home')

for (const count of [1, 3]) {
  conformance(test, async () => {
    const world = await homeOf(count)
    return {
      nodes: world.nodes,
      keyTtlMs: KEY_TTL_MS,
      settle: world.settle,
      // The network would time out over hours of a virtual clock, which the sequences do not look at.
      pass: async (ms: number) => {
        world.cluster.clock.wallMs += ms
      },
      restart: async () => {
        for (const { node } of world.places) node.kill()
        await world.settle(Promise.all(world.places.map((place) => world.start(place))))
        for (const sequencer of world.nodes) await world.eventually(() => sequencer.get('ready'))
        return world.nodes
      },
      end: world.end,
    }
  })
}

test('while the home is down nobody gives numbers, and it goes on where it was', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  for (let number = 1; number <= 5; number++) assert.is((await world.settle(one!.sequencer.next('a'))).last, number)
  home!.node.kill()
  const unknown = await refusal(world.settle(one!.sequencer.next('a')))
  assert.is(unknown.code, 'SEQUENCE_UNKNOWN', 'it was sent, and nobody knows')
  for (const place of [one!, two!, one!, two!]) {
    const refused = await refusal(world.settle(place.sequencer.next('a')))
    if (place === one) assert.is(refused.code, 'SEQUENCE_UNAVAILABLE', 'surely nothing was taken')
    assert.match(refused.message, 'node 0, the home of the sequences')
  }
  const down = await refusal(world.settle(one!.sequencer.get('a')))
  assert.is(down.code, 'SEQUENCE_UNAVAILABLE')
  assert.match(String(down.fix), 'Start node 0')
  assert.is((await world.settle(two!.sequencer.status())).reachable, false)
  await world.settle(world.start(home!))
  assert.is((await world.eventually(() => two!.sequencer.next('a'))).last, 6)
  await world.end()
})

test('a home that has lost its directory refuses, and says how to go on', async () => {
  const world = await homeOf(3)
  const [home, one] = world.places
  for (const place of world.places) await world.settle(place.sequencer.next('a', { count: 100 }))
  await world.settle(home!.sequencer.next('of the home alone', { count: 7 }))
  await world.pass(1000)
  await world.restart(home!, wiped)
  for (let round = 0; round < 20; round++) {
    for (const place of world.places) {
      const refused = await refusal(world.settle(place.sequencer.next('a')))
      assert.is(refused.code, 'SEQUENCE_UNAVAILABLE')
    }
    await world.pass(500)
  }
  const refused = await refusal(world.settle(one!.sequencer.next('a')))
  assert.match(refused.message, 'wiped or put back')
  assert.match(String(refused.fix), 'counter sequence recover --ahead 1000')
  assert.is((await refusal(world.settle(one!.sequencer.get('a')))).code, 'SEQUENCE_UNAVAILABLE', 'nor does it say what it lacks')

  await world.settle(one!.sequencer.recover(1000, { force: false }))
  assert.equal(await world.settle(one!.sequencer.next('a')), { first: 1301, last: 1301, replayed: false })
  assert.is(await world.settle(one!.sequencer.get('of the home alone')), 1007, 'which the others had been told')
  assert.is((await refusal(world.settle(one!.sequencer.recover(1, { force: false })))).code, 'SEQUENCE_SOUND')
  await world.restart(home!)
  assert.is((await world.eventually(() => one!.sequencer.next('a'))).last, 1302)
  await world.end()
})

test('a home whose disk was rolled back behind what a member has heard refuses', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(home!.sequencer.next('a', { count: 10 }))
  const image = home!.node.disk.image()
  assert.is((await world.settle(two!.sequencer.next('a'))).last, 11)
  await world.restart(home!, (disk) => disk.load(image))
  for (let round = 0; round < 10; round++) {
    for (const place of world.places) {
      assert.is((await refusal(world.settle(place.sequencer.next('a')))).code, 'SEQUENCE_UNAVAILABLE')
    }
    await world.pass(500)
  }
  assert.match((await refusal(world.settle(one!.sequencer.next('a')))).message, 'node 2 has heard of number 11')
  await world.settle(two!.sequencer.recover(5, { force: false }))
  assert.is((await world.settle(one!.sequencer.next('a'))).last, 17)
  await world.end()
})

test('what the members have heard outlives them', async () => {
  const world = await homeOf(2)
  const [home, one] = world.places
  await world.settle(home!.sequencer.next('a', { count: 10 }))
  await world.pass(1000)
  await world.restart(one!)
  home!.node.kill()
  wiped(home!.node.disk)
  await world.settle(world.start(home!))
  await world.pass(5000)
  assert.match((await refusal(world.settle(home!.sequencer.next('a')))).message, 'wiped or put back')
  await world.settle(home!.sequencer.recover(0, { force: false }))
  assert.is((await world.settle(home!.sequencer.next('a'))).last, 11)
  await world.end()
})

test('a home without a past waits for the nodes it is to find, and a wiped one that nobody answers gives nothing', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(one!.sequencer.next('a'))
  home!.node.kill()
  one!.node.kill()
  two!.node.kill()
  wiped(home!.node.disk)
  await world.settle(world.start(home!))
  await world.pass(30_000)
  assert.match((await refusal(world.settle(home!.sequencer.next('a')))).message, 'no other node has answered yet')
  await world.settle(world.start(two!))
  await world.pass(10_000)
  assert.match((await refusal(world.settle(home!.sequencer.next('a')))).message, /node 1 has not answered|wiped or put back/)
  await world.end()
})

test('a node that has seeds and is alone after all gives numbers when an operator says so', async () => {
  const world = new HomeWorld()
  const alone = world.add(0)
  world.cluster.seeds = [alone.node.address]
  await world.settle(world.start(alone))
  await world.pass(10_000)
  const refused = await refusal(world.settle(alone.sequencer.next('a')))
  assert.match(String(refused.fix), 'counter sequence recover --ahead 0 --force')
  assert.is((await refusal(world.settle(alone.sequencer.recover(0, { force: false })))).code, 'SEQUENCE_UNAVAILABLE')
  await world.settle(alone.sequencer.recover(0, { force: true }))
  assert.is((await world.settle(alone.sequencer.next('a'))).last, 1)
  await world.restart(alone)
  assert.is((await world.eventually(() => alone.sequencer.next('a'))).last, 2)
  await world.end()
})

test('a home that was only restarted needs no other node', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(one!.sequencer.next('a'))
  for (const place of world.places) place.node.kill()
  await world.settle(world.start(home!))
  assert.is((await world.eventually(() => home!.sequencer.next('a'))).last, 2)
  await world.settle(world.start(two!))
  assert.is((await world.eventually(() => two!.sequencer.next('a'))).last, 3)
  await world.end()
})

test('nodes whose settings name different homes have none, until they agree', async () => {
  const world = new HomeWorld()
  for (const [id, home] of [0, 1, 0].entries()) world.add(id, { home })
  world.cluster.seeds = world.places.map(({ node }) => node.address)
  await world.settle(Promise.all(world.places.map((place) => world.start(place))))
  await world.pass(10_000)
  for (const { sequencer } of world.places) {
    const refused = await refusal(world.settle(sequencer.next('a')))
    assert.is(refused.code, 'SEQUENCE_UNAVAILABLE')
    assert.match(String(refused.fix), 'COUNTER_SEQUENCE_HOME')
  }
  world.places[1]!.home = 0
  await world.restart(world.places[1]!)
  assert.is((await world.eventually(() => world.places[1]!.sequencer.next('a'))).last, 1)
  await world.end()
})

test('one node with other settings stops nobody', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(two!.sequencer.next('a'))
  one!.home = 1
  await world.restart(one!)
  await world.pass(10_000)
  assert.is((await world.settle(home!.sequencer.next('a'))).last, 2)
  assert.is((await world.settle(two!.sequencer.next('a'))).last, 3)
  assert.match((await refusal(world.settle(one!.sequencer.next('a')))).message, 'the settings of node 0 name node 0')
  await world.restart(home!)
  assert.is((await world.eventually(() => two!.sequencer.next('a'))).last, 4)
  await world.end()
})

test('the home moves with the settings, and takes the values along', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  for (let turn = 0; turn < 3; turn++) {
    const value = await world.eventually(() => two!.sequencer.get('a'))
    await world.settle(home!.sequencer.next('a', { count: 10 }))
    await world.settle(two!.sequencer.next('b'))
    const next = (turn + 1) % 3
    for (const place of world.places) {
      place.home = next
      await world.restart(place)
    }
    for (const place of world.places) assert.is(await world.eventually(() => place.sequencer.get('a')), value + 10)
    assert.is((await world.settle(one!.sequencer.status())).leader, String(next))
    assert.is((await world.settle(home!.sequencer.next('b'))).last, 2 * turn + 2)
  }
  await world.end()
})

test('a node on its own gives numbers whatever its id, and gives them over to a home that joins', async () => {
  const world = new HomeWorld()
  const lone = world.add(7, { seeksOthers: false })
  await world.settle(world.start(lone))
  assert.is((await world.settle(lone.sequencer.next('a', { count: 5 }))).last, 5)
  assert.is((await world.settle(lone.sequencer.status())).engine, 'local')
  await world.restart(lone)
  assert.is((await world.settle(lone.sequencer.next('a'))).last, 6)
  const home = world.add(0)
  world.cluster.seeds = [lone.node.address]
  await world.settle(world.start(home))
  assert.is((await world.eventually(() => home.sequencer.next('a'))).last, 7)
  assert.is((await world.eventually(() => lone.sequencer.next('a'))).last, 8)
  assert.is((await world.settle(lone.sequencer.status())).engine, 'home')
  await world.end()
})

test('of a value that was taken back nobody has heard too much', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(one!.sequencer.next('a', { count: 500, key: 'k' }))
  await world.pass(1000)
  await world.settle(two!.sequencer.set('a', 10, { force: true }))
  assert.is((await world.settle(one!.sequencer.next('a'))).last, 11)
  assert.is((await world.settle(one!.sequencer.next('a', { count: 500, key: 'k' }))).replayed, true)
  await world.pass(5000)
  await world.restart(home!)
  assert.is((await world.eventually(() => two!.sequencer.next('a'))).last, 12)
  await world.end()
})

test('a home that is gone for good is replaced when an operator says where to go on', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(two!.sequencer.next('a', { count: 10 }))
  await world.pass(1000)
  home!.node.kill()
  await world.pass(30_000)
  await world.settle(one!.node.replication.remove(0))
  await world.pass(5000)
  for (const place of [one!, two!]) {
    place.home = 1
    await world.restart(place)
  }
  await world.pass(10_000)
  assert.match((await refusal(world.settle(two!.sequencer.next('a')))).message, 'node 0, which has held the sequences so far')
  await world.settle(two!.sequencer.recover(100, { force: false }))
  assert.is((await world.settle(two!.sequencer.next('a'))).last, 111)
  world.places.shift()
  await world.end()
})

test('a copied directory waits for every member', async () => {
  const world = await homeOf(3)
  const [home, one, two] = world.places
  await world.settle(one!.sequencer.next('a'))
  one!.node.kill()
  home!.doubtful = true
  await world.restart(home!)
  await world.pass(10_000)
  assert.match((await refusal(world.settle(two!.sequencer.next('a')))).message, 'node 1 has not answered yet')
  await world.settle(world.start(one!))
  assert.is((await world.eventually(() => two!.sequencer.next('a'))).last, 2)
  await world.end()
})

test('when nobody uses sequences nothing is noted and nobody is asked', async () => {
  const world = new HomeWorld()
  for (const id of [0, 1]) world.add(id)
  world.cluster.seeds = world.places.map(({ node }) => node.address)
  await world.settle(Promise.all(world.places.map((place) => world.start(place))))
  await world.pass(10_000)
  for (const { node } of world.places) assert.equal([...node.store.notesUnder('')], [])
  assert.is(world.cluster.network.passages.filter(({ path }) => path === '/v1/call').length, 0)
  await world.end()
})

test.run()
