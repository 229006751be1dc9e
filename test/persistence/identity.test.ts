// Who writes the own column: resumed in the directory it was made in, and nowhere else.

import { crc32 } from 'node:zlib'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { DIRECTORY, Machine, rejection, valueOf } from './harness.ts'

const test = suite('persistence/identity')
const IDENTITY = `${DIRECTORY}/IDENTITY`

/** A machine whose node counted `hot` once and stopped, and its incarnation. */
async function stopped(): Promise<{ machine: Machine; incarnation: number }> {
  const machine = new Machine()
  const store = await machine.open()
  await machine.settle(machine.write(store, { hot: 1 }))
  const { incarnation } = store.self
  await machine.settle(store.close())
  return { machine, incarnation }
}

/** Starts, counts once more, checks that all counts are kept, and returns the incarnation. */
async function restarted(machine: Machine, overrides = {}): Promise<number> {
  const store = await machine.open(overrides)
  assert.is(valueOf(store, 'hot'), 1)
  await machine.settle(machine.write(store, { hot: 1 }))
  assert.is(valueOf(store, 'hot'), 2)
  return store.self.incarnation
}

test('a restart resumes the incarnation', async () => {
  const { machine, incarnation } = await stopped()
  assert.is(await restarted(machine), incarnation)
})

test('a copy of the directory goes on under a new incarnation, and keeps it', async () => {
  const { machine, incarnation } = await stopped()
  machine.disk.copyDirectory(DIRECTORY, '/copy')
  const second = await restarted(machine, { directory: '/copy' })
  assert.is.not(second, incarnation)
  assert.is(await restarted(machine), incarnation)
  await machine.kill()
  const third = await machine.open({ directory: '/copy' })
  assert.is(third.self.incarnation, second)
  assert.is(third.recovered.incarnationIsNew, false)
})

test('a backup that is put back over the directory goes on under a new incarnation', async () => {
  const { machine, incarnation } = await stopped()
  machine.disk.copyDirectory(DIRECTORY, '/backup')
  machine.disk.copyDirectory('/backup', DIRECTORY)
  assert.is.not(await restarted(machine), incarnation)
})

test('files that are put back into the same directory are a copy too', async () => {
  const { machine, incarnation } = await stopped()
  const bytes = machine.disk.bytesOf(IDENTITY)
  machine.disk.drop(IDENTITY)
  machine.disk.put(IDENTITY, bytes)
  assert.is.not(await restarted(machine), incarnation)
})

test('times of birth are compared where both are known', async () => {
  //  noted        found now     resumed
  for (const [noted, found, resumes] of [
    ['', '', true],
    ['.5', '', true],
    ['', '.5', true],
    ['.5', '.5', true],
    ['.5', '.6', false],
  ] as const) {
    const { machine, incarnation } = await stopped()
    const [json] = /^\{.*\}/.exec(Buffer.from(machine.disk.bytesOf(IDENTITY)).toString()) as unknown as [string]
    const { directory, file, ...fields } = JSON.parse(json)
    const line = JSON.stringify({ ...fields, directory: directory + noted, file: file + noted })
    machine.disk.put(IDENTITY, Buffer.from(`${line} ${crc32(line).toString(16).padStart(8, '0')}\n`))
    machine.disk.births = found
    assert.is((await restarted(machine)) === incarnation, resumes, `${noted} ${found}`)
  }
})

test('a wiped identity gives a new incarnation', async () => {
  const { machine, incarnation } = await stopped()
  machine.disk.drop(IDENTITY)
  assert.is.not(await restarted(machine), incarnation)
})

test('another node id gives a new incarnation', async () => {
  const { machine, incarnation } = await stopped()
  const store = await machine.open({ nodeId: 8 })
  assert.is(store.self.node, 8)
  assert.is.not(store.self.incarnation, incarnation)
})

test('a damaged identity is refused at every bit, and changes nothing', async () => {
  const { machine } = await stopped()
  const whole = machine.disk.bytesOf(IDENTITY)
  for (let bit = 0; bit < whole.length * 8; bit++) {
    machine.disk.flip(IDENTITY, bit)
    const error = await rejection(machine.open())
    assert.is(error.code, 'IDENTITY_INVALID', `bit ${bit}`)
    assert.match(error.message, IDENTITY)
    machine.disk.flip(IDENTITY, bit)
  }
  for (const length of [0, 1, whole.length - 1]) {
    machine.disk.put(IDENTITY, whole.slice(0, length))
    assert.is((await rejection(machine.open())).code, 'IDENTITY_INVALID')
  }
})

for (const fsync of ['interval', 'never'] as const) {
  test(`a life with fsync ${fsync} that did not end cleanly is followed by a new incarnation, and one that did is resumed`, async () => {
    const machine = new Machine()
    let store = await machine.open({ fsync })
    let { incarnation } = store.self
    // Whatever the mode of the next life is.
    for (const [end, next, isNew] of [
      ['powerCut', fsync, true],
      ['kill', fsync, true],
      ['close', fsync, false],
      ['powerCut', 'always', true],
      ['powerCut', fsync, false],
      ['close', 'always', false],
      ['kill', 'always', false],
    ] as const) {
      await machine.settle(machine.write(store, { hot: 1 }))
      if (end === 'close') await machine.settle(store.close())
      await machine[end === 'close' ? 'kill' : end]()
      store = await machine.open({ fsync: next })
      assert.is(store.recovered.incarnationIsNew, isNew, `${end}, then ${next}`)
      assert.is(store.self.incarnation > incarnation, isNew)
      incarnation = store.self.incarnation
    }
  })

  test(`with fsync ${fsync} no number of a write that a power cut has taken is given again`, async () => {
    for (let seed = 1; seed <= 40; seed++) {
      const machine = new Machine(seed)
      const given = new Set<string>()
      for (let life = 0; life < 4; life++) {
        const store = await machine.open({ fsync })
        for (let write = 0; write < 3; write++) {
          const { at } = await machine.settle(machine.write(store, { [`${life} ${write}`]: 1 }))
          const place = `${at.replica.incarnation}:${at.seq}`
          assert.not(given.has(place), `seed ${seed}: ${place} was given before`)
          given.add(place)
        }
        if (life === 1) await machine.settle(store.snapshot())
        await machine.powerCut(seed % 3 === 0 ? 0 : 0.5)
      }
    }
  })
}

test('a crash at any step of the end with fsync interval is followed by a start that gives no number again', async () => {
  for (let steps = 0; steps < 60; steps++) {
    const machine = new Machine(steps + 1)
    let store = await machine.open({ fsync: 'interval' })
    const { at } = await machine.settle(machine.write(store, { hot: 1 }))
    store.close().catch(() => {})
    for (let step = 0; step < steps; step++) await machine.step()
    await machine.powerCut(0.3)
    store = await machine.open({ fsync: 'interval' })
    if (!store.recovered.incarnationIsNew) {
      assert.equal(store.self, at.replica)
      assert.is(store.vector().get(store.self), 1, 'what is resumed has all its writes')
    }
    await machine.kill()
  }
})

test('with a full disk a life of fsync never starts, shows all, and opens a new incarnation before its first write', async () => {
  const machine = new Machine()
  let store = await machine.open({ fsync: 'never' })
  await machine.settle(machine.write(store, { hot: 1 }))
  const { incarnation } = store.self
  await machine.settle(store.close())
  machine.disk.capacity = 0
  store = await machine.open({ fsync: 'never' })
  assert.is(valueOf(store, 'hot'), 1)
  assert.is((await rejection(machine.settle(machine.write(store, { hot: 1 })))).code, 'DISK_FULL')
  machine.disk.capacity = Number.POSITIVE_INFINITY
  await machine.pass(3000)
  assert.ok((await machine.settle(machine.write(store, { hot: 1 }))).at.replica.incarnation > incarnation)
})

test('a new incarnation is greater than the ones before, also when the clock has gone back or the identity was wiped', async () => {
  const { machine, incarnation } = await stopped()
  machine.clock.wallMs = 1000
  machine.disk.copyDirectory(DIRECTORY, '/copy')
  machine.disk.drop(IDENTITY)
  const first = await restarted(machine)
  const second = await restarted(machine, { directory: '/copy' })
  assert.ok(first > incarnation && second > incarnation)
  assert.is.not(first, second)
})

test('the identity of a later version, or one that says something else, is refused', async () => {
  const { machine } = await stopped()
  const json = Buffer.from(machine.disk.bytesOf(IDENTITY)).toString().slice(0, -10)
  const wrong = [
    ['"version":2', '"version":3'],
    ['"version":2', '"version":1'],
    ['"relaxed":false', '"relaxed":1'],
    ['"node":1', '"node":-1'],
  ] as const
  for (const [from, to] of wrong) {
    const text = json.replace(from, to)
    assert.is.not(text, json)
    machine.disk.put(IDENTITY, Buffer.from(`${text} ${crc32(text).toString(16).padStart(8, '0')}\n`))
    assert.is((await rejection(machine.open())).code, 'IDENTITY_INVALID', to)
  }
})

test('a crash at any step of the first start leaves a directory that starts', async () => {
  for (let steps = 0; steps < 80; steps++) {
    const machine = new Machine(steps + 1)
    machine.open().catch(() => {})
    for (let step = 0; step < steps; step++) await machine.step()
    if (steps % 2 === 0) await machine.powerCut(0.5)
    else await machine.kill()
    const store = await machine.open()
    await machine.settle(machine.write(store, { hot: 1 }))
    await machine.kill()
  }
})

test.run()
