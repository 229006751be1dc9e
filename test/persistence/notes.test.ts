// Notes of a node: durable, all of a change or none of it, and there again after every kind of end.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteReader, ByteWriter } from '../../lib/base/bytes.ts'
import { Notes } from '../../lib/persistence/notes.ts'
import { Machine, nameBytes, rejection } from './harness.ts'

const test = suite('persistence/notes')

test('a note is there after a restart from the log and from a snapshot, changed ones as last said, and those taken away are not', async () => {
  for (const snapshot of [false, true]) {
    for (const end of ['kill', 'powerCut', 'close'] as const) {
      const machine = new Machine()
      let store = await machine.open()
      await machine.settle(
        store.keepNotes([
          ['a/1', nameBytes('one')],
          ['a/2', nameBytes('two')],
          ['b', nameBytes('')],
        ]),
      )
      if (snapshot) await machine.settle(store.snapshot())
      await machine.settle(
        store.keepNotes([
          ['a/1', undefined],
          ['a/2', nameBytes('zwei')],
        ]),
      )
      if (end === 'close') await machine.settle(store.close())
      else await machine[end]()
      store = await machine.open()
      assert.equal([...store.notesUnder('a/')], [['a/2', nameBytes('zwei')]])
      assert.equal(store.note('b'), nameBytes(''))
      assert.is(store.note('a/1'), undefined)
      await machine.kill()
    }
  }
})

test('changes that are kept together are there together', async () => {
  const machine = new Machine()
  let store = await machine.open()
  await machine.settle(
    store.keepNotes([
      ['x', nameBytes('0')],
      ['y', nameBytes('0')],
    ]),
  )
  for (let round = 1; round < 20; round++) {
    const value = nameBytes(String(round))
    const kept = store.keepNotes([
      ['x', value],
      ['y', value],
    ])
    kept.catch(() => {})
    await machine.powerCut(round * 7)
    store = await machine.open()
    assert.equal(store.note('x'), store.note('y'))
  }
})

test('a note says when it is durable, and refuses when the log does', async () => {
  const machine = new Machine()
  const store = await machine.open()
  const kept = store.keepNotes([['x', nameBytes('1')]])
  assert.ok(store.settled())
  await machine.settle(kept)
  assert.is(store.settled(), undefined)
  await machine.settle(store.close())
  assert.is((await rejection(store.keepNotes([['x', nameBytes('2')]]))).code, 'CLOSED')
})

test('bytes that are no notes are refused', () => {
  const read = (bytes: Uint8Array) => new Notes().restore(new ByteReader(bytes, 0, bytes.length, 'LOG_CORRUPT', 'note'))
  const writer = new ByteWriter()
  new Notes().change(
    [
      ['key', nameBytes('value')],
      ['gone', undefined],
    ],
    writer,
  )
  const whole = writer.written()
  read(whole)
  for (const length of [1, 2, 5, 7, 10]) assert.throws(() => read(whole.subarray(0, length)), /LOG_CORRUPT|note/)
  assert.throws(() => read(Uint8Array.of(2, 1, 65)), /flag 2/)
})

test.run()
