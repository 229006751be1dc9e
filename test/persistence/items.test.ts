// Items in the store: durable, once a key, refused when they are stamped too far ahead, listed page by page.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Store } from '../../lib/persistence/index.ts'
import type { ItemChange, Once } from '../../lib/storage/index.ts'
import { Machine, once, plainReply, rejection } from './harness.ts'

const test = suite('persistence/items')

const put = (machine: Machine, store: Store, changes: ItemChange[], key?: Once) =>
  machine.settle(store.changeItems(changes, () => plainReply('the reply'), key))
const tenantsOf = (machine: Machine, store: Store) =>
  machine.settle(store.tenants({ prefix: '', after: undefined, limit: 10 })).then(({ tenants }) => tenants)

test('items are there after every kind of end, from the log and from a snapshot, with moves and deletions', async () => {
  for (const snapshot of [false, true]) {
    for (const end of ['kill', 'powerCut', 'close'] as const) {
      const machine = new Machine()
      let store = await machine.open()
      await put(machine, store, [
        { id: 'a', tenant: 't1' },
        { id: 'b', tenant: 't1' },
        { id: 'c', tenant: 't2' },
      ])
      if (snapshot) await machine.settle(store.snapshot())
      await put(machine, store, [
        { id: 'a', tenant: 't2' },
        { id: 'b', tenant: undefined },
      ])
      if (end === 'close') await machine.settle(store.close())
      else await machine[end]()
      store = await machine.open()
      assert.equal([store.item('a')?.tenant, store.item('b'), store.item('c')?.tenant], ['t2', undefined, 't2'])
      assert.equal(await tenantsOf(machine, store), [{ tenant: 't2', count: 2 }])
      assert.equal([store.status().items, store.tenantCount('t2'), store.tenantCount('t1')], [2, 2, 0])
      await machine.kill()
    }
  }
})

test('a change is acknowledged when it is on disk, and what was shown before waits for it', async () => {
  const machine = new Machine()
  let store = await machine.open()
  let acknowledged = false
  const changed = store
    .changeItems([{ id: 'a', tenant: 't' }], () => plainReply())
    .then(() => {
      acknowledged = true
    })
  await new Promise(setImmediate)
  assert.is(store.tenantCount('t'), 1)
  assert.ok(store.settled())
  assert.not.ok(acknowledged)
  await machine.settle(changed)
  await machine.powerCut(0)
  store = await machine.open()
  assert.is(store.tenantCount('t'), 1)
})

test('a change with a key is made once, and answered again after a restart', async () => {
  const machine = new Machine()
  let store = await machine.open()
  const first = await put(machine, store, [{ id: 'a', tenant: 't' }], once('k'))
  assert.ok(first.stamp > 0)
  await put(machine, store, [{ id: 'a', tenant: 'later' }])
  await machine.kill()
  store = await machine.open()
  const again = await put(machine, store, [{ id: 'a', tenant: 't' }], once('k'))
  assert.equal([again.replayed, again.stamp, again.body, store.item('a')?.tenant], [true, 0, 'the reply', 'later'])
})

test('stamps go on growing when the clock goes back, also over a restart', async () => {
  const machine = new Machine()
  let store = await machine.open()
  const { stamp } = await put(machine, store, [{ id: 'a', tenant: 'first' }])
  machine.clock.wallMs -= 3_600_000
  const second = await put(machine, store, [{ id: 'a', tenant: 'second' }])
  assert.ok(second.stamp > stamp)
  await machine.kill()
  store = await machine.open()
  assert.ok((await put(machine, store, [{ id: 'b', tenant: 'third' }])).stamp > second.stamp)
  assert.is(store.item('a')?.tenant, 'second')
})

test('items that are stamped too far ahead are refused whole, and taken when the clock has come near', async () => {
  const [here, there] = [new Machine(), new Machine(2)]
  const store = await here.open()
  const other = await there.open({ nodeId: 2 })
  there.clock.wallMs = here.clock.wallMs + 61_000
  const changes: ItemChange[] = [{ id: 'a', tenant: 't' }]
  const { at, stamp } = await put(there, other, changes)
  const delta = other.itemsDelta(changes, at, stamp)
  const error = await rejection(here.settle(store.merge(delta)))
  assert.is(error.code, 'CLOCK_AHEAD')
  assert.match(error.message, /6[01] s ahead/)
  assert.equal([store.item('a'), store.status().items], [undefined, 0])
  here.clock.wallMs += 5000
  assert.is(await here.settle(store.merge(delta)), 1)
  assert.is(store.item('a')?.tenant, 't')
})

test('above the limit new items are refused and nothing of the batch is kept', async () => {
  const machine = new Machine()
  const store = await machine.open({ itemsMax: 2 })
  await put(machine, store, [
    { id: 'a', tenant: 't' },
    { id: 'b', tenant: 't' },
  ])
  const refused = store.changeItems(
    [
      { id: 'a', tenant: 'u' },
      { id: 'c', tenant: 'u' },
    ],
    () => plainReply(),
  )
  assert.is((await rejection(machine.settle(refused))).code, 'ITEMS_MAX')
  assert.equal([store.item('a')?.tenant, store.tenantCount('u')], ['t', 0])
  await put(machine, store, [{ id: 'a', tenant: undefined }])
  assert.is(store.tenantCount('t'), 1)
})

test.run()
