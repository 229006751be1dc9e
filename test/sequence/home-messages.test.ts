// What nodes say to each other about the sequences of a home: it comes over as it was sent, and nothing else is taken for it.

import fc from 'fast-check'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import {
  decodeRequest,
  decodeResults,
  encodeRequest,
  encodeResults,
  type Operation,
  type Request,
  type Result,
} from '../../lib/sequence/home-messages.ts'
import { decodeAgreement, decodeOpinion, encodeAgreement, encodeOpinion } from '../../lib/sequence/home-opinions.ts'

const test = suite('sequence/home-messages')
const SEED = Number(process.env.SEED ?? 1)

const TENURE = { term: 7, life: '00ff00ff00ff00ff', home: 3 }
const OPERATIONS: readonly Operation[] = [
  { kind: 'next', name: 'ü/\0', count: 1_000_000, key: 'k'.repeat(255) },
  { kind: 'next', name: 'a', count: 1, key: undefined },
  { kind: 'get', name: 'a' },
  { kind: 'set', name: 'a', value: Number.MAX_SAFE_INTEGER, force: true },
  { kind: 'freeze' },
  { kind: 'thaw' },
  { kind: 'look' },
  { kind: 'recover', ahead: 1000, force: false },
  { kind: 'migrate' },
]
const REQUESTS: readonly Request[] = [
  { kind: 'operations', tenure: undefined, operations: [] },
  { kind: 'operations', tenure: TENURE, operations: OPERATIONS },
  { kind: 'operations', tenure: TENURE, operations: [{ kind: 'list', prefix: '', after: 'b', limit: 1000 }] },
  { kind: 'ask', from: 70_000 },
  { kind: 'tell', tenure: TENURE, values: [{ name: 'a', value: 2 ** 50 }] },
]
const RESULTS: readonly Result[] = [
  { kind: 'numbers', first: 5, last: 9, replayed: true },
  { kind: 'value', value: 0 },
  { kind: 'page', sequences: [{ name: 'a', value: 1 }], more: true },
  { kind: 'done' },
  { kind: 'seen', frozen: false, trouble: 'why' },
  { kind: 'seen', frozen: true, trouble: undefined },
  { kind: 'moved', sequences: 3, keys: 2, ahead: ['a'] },
]
const OPINION = {
  home: 0,
  tenure: TENURE,
  holding: 'ceded' as const,
  members: [0, 1, 2],
  total: 5,
  marks: [['a', { term: 7, value: 9 }]] as const,
}

test('what is sent is what comes', () => {
  for (const request of REQUESTS) assert.equal(decodeRequest(encodeRequest(request)), request)
  assert.equal(decodeResults(encodeResults({ tenure: TENURE, results: RESULTS })), { tenure: TENURE, results: RESULTS })
  assert.equal(decodeOpinion(encodeOpinion(OPINION)), OPINION)
  for (const agrees of [true, false]) assert.is(decodeAgreement(encodeAgreement(agrees)), agrees)
})

test('a refusal keeps its code, words and fix; of a code that is not known nobody can say what it did', () => {
  const sent = [
    new CounterError('SEQUENCE_UNAVAILABLE', 'why', { fix: 'so' }),
    new CounterError('KEY_REUSED', 'x'.repeat(10_000)),
    new CounterError('SNAPSHOT_CORRUPT', 'what no operation fails with'),
  ]
  const results = sent.map((error): Result => ({ kind: 'failure', error }))
  const came = decodeResults(encodeResults({ tenure: undefined, results })).results.map((result) =>
    result.kind === 'failure' ? result.error : undefined,
  )
  assert.equal(
    came.map((error) => error?.code),
    ['SEQUENCE_UNAVAILABLE', 'KEY_REUSED', 'SEQUENCE_UNKNOWN'],
  )
  assert.equal([came[0]!.message, came[0]!.fix], ['why', 'so'])
  assert.is(came[1]!.message.length, 2000)
})

test('what is no message is refused, with nothing read beyond its end', () => {
  const decoders = [decodeRequest, decodeResults, decodeOpinion, decodeAgreement]
  const messages = [
    ...REQUESTS.map(encodeRequest),
    encodeResults({ tenure: TENURE, results: RESULTS }),
    encodeOpinion(OPINION),
  ].map((bytes) => bytes.slice())
  const total = (bytes: Uint8Array): void => {
    for (const decode of decoders) {
      try {
        decode(bytes)
      } catch (error) {
        assert.is((error as CounterError).code, 'SYNC_INVALID')
      }
    }
  }
  for (const bytes of messages) {
    for (let length = 0; length < bytes.length; length++) total(bytes.subarray(0, length))
    assert.throws(() => decodeRequest(Uint8Array.of(...bytes, 0)))
    for (let bit = 0; bit < bytes.length * 8; bit++) {
      const flipped = bytes.slice()
      flipped[bit >>> 3]! ^= 1 << (bit & 7)
      total(flipped)
    }
  }
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 60 }), (bytes) => {
      total(bytes)
    }),
    { numRuns: 5000, seed: SEED },
  )
})

test('limits hold before memory is taken', () => {
  const asked = (operation: Operation, times = 1): Uint8Array =>
    encodeRequest({ kind: 'operations', tenure: undefined, operations: Array.from({ length: times }, () => operation) }).slice()
  const most = decodeRequest(asked({ kind: 'freeze' }, 1024))
  assert.is(most.kind === 'operations' && most.operations.length, 1024)
  assert.throws(() => decodeRequest(asked({ kind: 'freeze' }, 1025)), /1025 entries/)
  const list: Operation = { kind: 'list', prefix: '', after: undefined, limit: 1 }
  assert.throws(() => decodeRequest(asked(list, 2)), /a list among others/)
  for (const bad of [
    { kind: 'next', name: 'a', count: 0, key: undefined },
    { kind: 'next', name: 'a', count: 1_000_001, key: undefined },
    { kind: 'next', name: 'a', count: 1, key: '' },
    { kind: 'next', name: 'a', count: 1, key: 'k'.repeat(256) },
    { ...list, limit: 0 },
    { ...list, limit: 1001 },
  ] as Operation[]) {
    assert.throws(() => decodeRequest(asked(bad)), undefined, JSON.stringify(bad))
  }
})

test.run()
