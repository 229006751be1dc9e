// The bytes of the log: what a frame is, and what is never taken for one.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import {
  decodeSegmentHeader,
  durableBehind,
  encodeSegmentHeader,
  FRAME_HEADER_BYTES,
  readFrame,
  readRecords,
  SEGMENT_HEADER_BYTES,
  sealFrame,
} from '../../lib/persistence/frame.ts'

const test = suite('persistence/frame')

function frameOf(payload: number[], position: number, durable: number): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length)
  bytes.set(payload, FRAME_HEADER_BYTES)
  sealFrame(bytes, position, durable)
  return bytes
}

/** A segment from position `start` with these frames, one after the other, and zeros. */
function segmentOf(start: number, ...frames: Uint8Array[]): Uint8Array {
  return Buffer.concat([encodeSegmentHeader({ start, node: 7 }), ...frames, new Uint8Array(64)])
}

function codeOf(action: () => unknown): string {
  try {
    action()
  } catch (error) {
    return (error as { code: string }).code
  }
  return 'none'
}

test('a sealed frame is read back', () => {
  const segment = segmentOf(1000, frameOf([9, 8, 7], 1000, 960))
  const frame = readFrame(segment, SEGMENT_HEADER_BYTES, 1000)!
  assert.equal([frame.position, frame.end, frame.durable, [...frame.payload]], [1000, 1027, 960, [9, 8, 7]])
})

test('a frame with any bit turned over is no frame', () => {
  const whole = segmentOf(1000, frameOf([9, 8, 7], 1000, 960))
  for (let bit = SEGMENT_HEADER_BYTES * 8; bit < (SEGMENT_HEADER_BYTES + 27) * 8; bit++) {
    const segment = whole.slice()
    segment[bit >>> 3]! ^= 1 << (bit & 7)
    assert.is(readFrame(segment, SEGMENT_HEADER_BYTES, 1000), undefined, `bit ${bit}`)
  }
})

test('a frame in another place than its own, cut off, or of no length is no frame', () => {
  const frame = frameOf([1], 1000, 0)
  assert.is(readFrame(segmentOf(999, frame), SEGMENT_HEADER_BYTES, 999), undefined)
  assert.is(readFrame(segmentOf(1000, frame).subarray(0, SEGMENT_HEADER_BYTES + 24), SEGMENT_HEADER_BYTES, 1000), undefined)
  assert.is(readFrame(segmentOf(0), SEGMENT_HEADER_BYTES, 0), undefined, 'zeros')
})

test('what a frame behind vouches for is found, at any distance', () => {
  for (const gap of [1, 24, 31]) {
    const segment = segmentOf(0, new Uint8Array(gap).fill(0xaa), frameOf([1, 2], gap, gap))
    assert.is(durableBehind(segment, SEGMENT_HEADER_BYTES, segment.length, 0), gap)
  }
  assert.is(durableBehind(segmentOf(0, new Uint8Array(40).fill(0xaa)), SEGMENT_HEADER_BYTES, 136, 0), 0)
})

test('a segment header is read back, and with any bit turned over refused', () => {
  const header = encodeSegmentHeader({ start: 2 ** 40 + 5, node: 2 ** 31 - 1 })
  assert.equal(decodeSegmentHeader(header, 'f'), { start: 2 ** 40 + 5, node: 2 ** 31 - 1 })
  for (let bit = 0; bit < header.length * 8; bit++) {
    const bad = header.slice()
    bad[bit >>> 3]! ^= 1 << (bit & 7)
    assert.is(
      codeOf(() => decodeSegmentHeader(bad, 'f')),
      'LOG_CORRUPT',
      `bit ${bit}`,
    )
  }
  assert.is(
    codeOf(() => decodeSegmentHeader(header.subarray(0, 31), 'f')),
    'LOG_CORRUPT',
  )
})

test('a record of an unknown kind, or longer than its frame, is refused', () => {
  const records = (payload: number[]) =>
    codeOf(() => [...readRecords(readFrame(segmentOf(0, frameOf(payload, 0, 0)), 32, 0)!, 'f')])
  assert.is(records([1, 1, 0, 0, 0, 5]), 'none')
  assert.is(records([3, 0, 0, 0, 0, 1, 2, 0, 0, 0, 5, 6]), 'none')
  assert.is(records([4, 2, 0, 0, 0, 1, 9]), 'none')
  assert.is(records([9, 0, 0, 0, 0]), 'LOG_CORRUPT')
  assert.is(records([0, 0, 0, 0, 0]), 'LOG_CORRUPT')
  assert.is(records([1, 2, 0, 0, 0, 5]), 'LOG_CORRUPT')
  assert.is(records([1, 1, 0]), 'LOG_CORRUPT')
})

test.run()
