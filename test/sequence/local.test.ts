// The local engine: as every engine, and what a disk can do to it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { LocalSequencer, type NoteStore, type Numbers } from '../../lib/sequence/index.ts'
import { Machine, nameBytes } from '../persistence/harness.ts'
import { conformance, refusal } from './conformance.ts'

const test = suite('sequence/local')

const KEY_TTL_MS = 3_600_000
const limits = { keyTtlMs: KEY_TTL_MS, keysMax: 1000 }

async function openWorld() {
  const machine = new Machine()
  let store = await machine.open()
  const world = {
    machine,
    nodes: [new LocalSequencer({ notes: store, clock: machine.clock, ...limits })],
    keyTtlMs: KEY_TTL_MS,
    settle: <T>(promise: Promise<T>) => machine.settle(promise),
    pass: async (ms: number) => void (machine.clock.wallMs += ms),
    restart: async (how: 'kill' | 'powerCut' = 'powerCut') => {
      await machine[how]()
      store = await machine.open()
      world.nodes = [new LocalSequencer({ notes: store, clock: machine.clock, ...limits })]
      return world.nodes
    },
    end: () => machine.kill(),
    store: () => store,
  }
  return world
}

conformance(test, openWorld)

test('callers of a turn, and those who come while a record is written, share one', async () => {
  const { machine, nodes, settle, store } = await openWorld()
  const { logRecords } = store().status()
  const calls = Array.from({ length: 100 }, () => nodes[0]!.next('a'))
  await machine.step()
  calls.push(...Array.from({ length: 100 }, () => nodes[0]!.next('b')))
  await settle(Promise.all(calls))
  assert.is(store().status().logRecords - logRecords, 2)
})

test('no number is answered before it is durable, and a power cut at any place gives none twice', async () => {
  for (let seed = 1; seed <= 40; seed++) {
    const world = await openWorld()
    const answered: Numbers[] = []
    for (let life = 0; life < 4; life++) {
      for (let call = 0; call < 12; call++) {
        world.nodes[0]!.next('a', { count: 1 + (call % 3) }).then(
          (numbers) => void answered.push(numbers),
          () => {},
        )
        for (let step = (seed * 7 + call) % 5; step > 0; step--) await world.machine.step()
      }
      await world.restart(seed % 2 === 0 ? 'kill' : 'powerCut')
    }
    answered.sort((a, b) => a.first - b.first)
    for (const [index, { first }] of answered.entries()) {
      if (index > 0) assert.ok(first > answered[index - 1]!.last, `seed ${seed}: ${first} was given twice`)
    }
    assert.ok((await world.settle(world.nodes[0]!.get('a'))) >= (answered.at(-1)?.last ?? 0))
    await world.end()
  }
})

test('a full disk refuses, takes nothing, and numbers go on without a gap when there is room', async () => {
  const kept: unknown[] = []
  let full = true
  const notes: NoteStore = {
    notesUnder: () => [],
    settled: () => undefined,
    keepNotes: async (changes) => {
      if (full) throw Object.assign(new Error('no room'), { code: 'DISK_FULL' })
      kept.push(...changes)
    },
  }
  const machine = new Machine()
  const sequencer = new LocalSequencer({ notes, clock: machine.clock, ...limits })
  assert.is((await refusal(machine.settle(sequencer.next('a', { key: 'k' })))).code, 'DISK_FULL')
  full = false
  assert.equal(await machine.settle(sequencer.next('a', { key: 'k' })), { first: 1, last: 1, replayed: false })
  assert.is(kept.length, 2)
})

test('a refusal that rests on a change waits for it, and falls with it', async () => {
  const machine = new Machine()
  const pending: { resolve: () => void; reject: (error: Error) => void }[] = []
  const notes: NoteStore = {
    notesUnder: () => [],
    settled: () => undefined,
    keepNotes: () => new Promise((resolve, reject) => void pending.push({ resolve, reject })),
  }
  const sequencer = new LocalSequencer({ notes, clock: machine.clock, ...limits })
  const raised = refusal(sequencer.set('a', 10, { force: false }))
  const backwards = refusal(sequencer.set('a', 5, { force: false }))
  await machine.rest()
  pending[0]!.reject(Object.assign(new Error('the log failed'), { code: 'LOG_FAILED' }))
  assert.is((await raised).code, 'LOG_FAILED')
  assert.is((await backwards).code, 'LOG_FAILED', 'nobody may say that the sequence is at 10')
  assert.is(await machine.settle(sequencer.get('a')), 0)
})

test('keys beyond the limit are forgotten, the oldest first, and their notes go', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const sequencer = new LocalSequencer({ notes: store, clock: machine.clock, keyTtlMs: KEY_TTL_MS, keysMax: 10 })
  for (let index = 0; index < 30; index++) await machine.settle(sequencer.next('a', { key: `k${index}` }))
  assert.ok([...store.notesUnder('sequence/key/')].length <= 11)
  assert.is((await machine.settle(sequencer.next('a', { key: 'k29' }))).replayed, true)
  assert.is((await machine.settle(sequencer.next('a', { key: 'k0' }))).replayed, false)
  await machine.kill()
})

test('keys whose time is over leave the notes as others come', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const sequencer = new LocalSequencer({ notes: store, clock: machine.clock, ...limits })
  await machine.settle(Promise.all(Array.from({ length: 100 }, (_, index) => sequencer.next('a', { key: `k${index}` }))))
  machine.clock.wallMs += KEY_TTL_MS + 1
  await machine.settle(sequencer.next('a', { key: 'x' }))
  await machine.settle(sequencer.next('a', { key: 'y' }))
  assert.is([...store.notesUnder('sequence/key/')].length, 2)
  assert.equal(
    [...sequencer.keptKeys()].map(({ name, key }) => [name, key]),
    [
      ['a', 'x'],
      ['a', 'y'],
    ],
  )
  await machine.kill()
})

test('a note of a later version is refused with its name', async () => {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(store.keepNotes([['sequence/value/a', Uint8Array.of(2, 1)]]))
  assert.throws(() => new LocalSequencer({ notes: store, clock: machine.clock, ...limits }), /sequence\/value\/a.*v2/)
  await machine.settle(store.keepNotes([['sequence/value/a', nameBytes('')]]))
  assert.throws(() => new LocalSequencer({ notes: store, clock: machine.clock, ...limits }), /needs 1 more/)
  await machine.kill()
})

test.run()
