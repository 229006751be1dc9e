// Who writes the own column: resumed in the directory it was made in, and nowhere else.

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
