// One segment file: room ahead, and what a sync that fails takes with it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { SEGMENT_HEADER_BYTES } from '../../lib/persistence/frame.ts'
import { Segment, segmentName, segmentStart } from '../../lib/persistence/segment.ts'
import { DIRECTORY, Machine, rejection } from './harness.ts'

const test = suite('persistence/segment')

async function begun(room = 1000) {
  const machine = new Machine()
  const disk = machine.disk.mount()
  const segment = await machine.settle(Segment.spare(disk, DIRECTORY, room))
  await machine.settle(segment.begin(disk, DIRECTORY, 5000, 1))
  return { machine, disk, segment }
}

test('names hold the position in sixteen digits, so that they sort', () => {
  assert.is(segmentName(12), 'log-0000000000000012')
  assert.is(segmentStart(segmentName(2 ** 53 - 1)), 2 ** 53 - 1)
  for (const name of ['log-12', 'log-spare', 'snapshot-0000000000000012', 'log-0000000000000012.tmp'])
    assert.is(segmentStart(name), undefined)
})

test('room is on disk before it is used, and a frame in it is where it belongs', async () => {
  const { machine, segment } = await begun()
  assert.is(segment.reserved, SEGMENT_HEADER_BYTES + 1000)
  await machine.settle(segment.write(new Uint8Array([1, 2, 3]), 5010))
  await machine.settle(segment.sync())
  await machine.powerCut(0)
  const bytes = machine.disk.bytesOf(`${DIRECTORY}/${segmentName(5000)}`)
  assert.is(bytes.length, segment.reserved)
  assert.equal([...bytes.subarray(SEGMENT_HEADER_BYTES + 9, SEGMENT_HEADER_BYTES + 14)], [0, 1, 2, 3, 0])
})

test('room that does not fit is given back', async () => {
  const { machine, segment } = await begun()
  machine.disk.capacity = 1500
  assert.is((await rejection(machine.settle(segment.reserve(4000)))).code, 'DISK_FULL')
  assert.is(segment.reserved, SEGMENT_HEADER_BYTES + 1000)
  assert.is(machine.disk.bytesOf(`${DIRECTORY}/${segmentName(5000)}`).length, segment.reserved)
})

test('of syncs that overlap all fail when one does, and all later ones', async () => {
  for (const failing of [0, 1]) {
    const { machine, segment } = await begun()
    let sync = 0
    machine.disk.plan = ({ kind }) => (kind === 'sync' && sync++ === failing ? 'EIO' : undefined)
    const results = await machine.settle(Promise.allSettled([segment.sync(), segment.sync()]))
    assert.equal(
      results.map(({ status }) => status),
      ['rejected', 'rejected'],
    )
    await rejection(machine.settle(segment.sync()))
  }
})

test('the file is closed when nothing is under way on it', async () => {
  const { machine, segment } = await begun()
  const write = segment.write(new Uint8Array(10), 5000)
  const sync = segment.sync()
  const close = segment.close()
  await machine.settle(Promise.all([write, sync, close]))
  assert.is(machine.disk.openCount, 0)
})

test.run()
