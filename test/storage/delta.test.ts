import { readdirSync, readFileSync } from 'node:fs'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { DecodedDelta, type Replica } from '../../lib/storage/index.ts'
import { checkDecoded, fuzzDelta } from '../fuzz/delta.fuzz.ts'
import {
  bytesOf,
  type Cell,
  cellsOf,
  decode,
  deltasSince,
  encodeCells,
  increment,
  itemLinesOf,
  lineOf,
  merge,
  replicaOf,
  replyLinesOf,
  SEED,
  stateOf,
  varint,
} from './harness.ts'

const test = suite('storage/delta')
const FIXTURES = ['test/fixtures/delta-v1', 'test/fixtures/delta-v2', 'test/fixtures/delta-v3']

const refused = (bytes: Uint8Array | number[], message?: RegExp) =>
  assert.throws(
    () => decode(Uint8Array.from(bytes)),
    (error: unknown) => error instanceof CounterError && error.code === 'DELTA_INVALID' && (message?.test(error.message) ?? true),
    `${message}`,
  )

/** A replica with columns of several nodes, N in some, names of all kinds and rows that are only a key. */
function manyReplicas(columns: number): Replica {
  const replica = replicaOf(0)
  for (let node = 0; node < columns; node++) {
    const other = node === 0 ? replica : replicaOf(node)
    const log = [
      increment(other, [
        ['shared', node + 1],
        [`only ${node}`, 2n ** 40n],
      ]),
      increment(other, [['ünïcödé 😀', node % 3 === 0 ? -1 : 1]]),
    ]
    if (node > 0) for (const delta of log) merge(replica, delta)
  }
  merge(replica, encodeCells([{ name: '#0102030405060708', replica: { node: 7, incarnation: 0 }, plus: 5n, minus: 0n, seq: 1 }]))
  return replica
}

const golden = FIXTURES.flatMap((folder) => readdirSync(folder).map((name) => `${folder}/${name}`))
for (const file of golden.filter((name) => name.endsWith('.hex'))) {
  test(`golden bytes decode for ever: ${file.slice('test/fixtures/'.length)}`, () => {
    const [hex, expected] = readFileSync(file, 'utf8').split('\n\n') as [string, string]
    const delta = decode(Buffer.from(hex.replace(/#.*|\s/g, ''), 'hex'))
    const vector = [...(delta.vector ?? [])].map(({ replica, seq }) => `vector ${replica.node}.${replica.incarnation} ${seq}`)
    const lines = [...cellsOf(delta).map(lineOf), ...itemLinesOf(delta), ...replyLinesOf(delta), ...vector]
    assert.equal(lines, expected.trim().split('\n').filter(Boolean))
  })
}

test('a write is one uniform block, byte by byte as docs/FORMATS.md has it', () => {
  const replica = replicaOf(5)
  increment(replica, [['ab', 1]])
  const delta = increment(replica, [
    ['ab', 299],
    ['c', 1],
  ])
  //     version block UNIFORM columns node incarnation baseSeq rows lengths names P
  const expected = [1, 1, 1, 1, 5, 1, 2, 2, 2, 1, 0x61, 0x62, 0x63, 0xac, 0x02, 0x01]
  assert.equal([...delta], expected)
})

test('a write of items is one whole part, byte by byte as docs/FORMATS.md has it', () => {
  const replica = replicaOf(5)
  increment(replica, [['x', 1]])
  const writer = new ByteWriter()
  const changes = [
    { id: 'ab', tenant: 't' },
    { id: 'c', tenant: undefined },
  ]
  replica.changeItems(changes, 0.1, writer)
  //     version items WHOLE origins node incarnation tenants lengths names rows lengths ids
  const head = [2, 3, 1, 1, 5, 1, 1, 1, 0x74, 2, 2, 1, 0x61, 0x62, 0x63]
  //     of each the difference of the number, of the stamp, and the tenant
  assert.equal([...writer.written()], [...head, 4, ...varint(200), 1, 0, 0, 0])
  assert.equal(decode(writer.written()).write, { replica: replica.self, seq: 2 })
})

test('a reply is told before its cells, byte by byte as docs/FORMATS.md has it', () => {
  const replica = replicaOf(5)
  increment(replica, [['ab', 1]])
  const reply = { status: 201, contentType: 't', body: 'ü' }
  replica.replies.add({ key: 'k', fingerprint: new Uint8Array(32).fill(7) }, reply, { replica: replica.self, seq: 1 }, true)
  const [first] = deltasSince(replica)
  const [at] = decode(first!).replies.map((kept) => kept.at)
  const atBytes = [...Buffer.from(BigUint64Array.of(BigInt(at!)).buffer)]
  //            version replies count node incarnation seq TENTATIVE key
  const head = [3, 4, 1, 5, 1, 1, 1, 1, 0x6b, ...new Array(32).fill(7), ...atBytes]
  //     status content type body, and a block of one cell
  assert.equal([...first!], [...head, ...varint(201), 1, 0x74, 2, 0xc3, 0xbc, 1, 0, 1, 5, 1, 0, 1, 2, 0x61, 0x62, 2, 1])
})

test('what since gives comes back whole, for 1, 2, 31, 32 and 40 columns', () => {
  for (const columns of [1, 2, 31, 32, 40]) {
    const source = manyReplicas(columns)
    const target = replicaOf(99)
    const cells: Cell[] = []
    for (const delta of deltasSince(source)) {
      const decoded = decode(delta)
      checkDecoded(decoded, 0, delta.length)
      cells.push(...cellsOf(decoded))
      target.merge(decoded)
    }
    assert.is(cells.length, 3 * columns + 1)
    assert.equal(stateOf(target), stateOf(source))
    assert.is(target.value(bytesOf('shared')), (columns * (columns + 1)) / 2)
  }
})

test('sequence numbers may jump between 1 and 2^52 - 1 from cell to cell', () => {
  const replica = replicaOf(0)
  const seqs = [2 ** 52 - 1, 1, 2 ** 52 - 2, 2, 2 ** 32, 2 ** 31]
  const cells = seqs.map((seq, at) => ({
    name: `n${at}`,
    replica: { node: 1, incarnation: 2 ** 53 - 1 },
    plus: 1n,
    minus: 0n,
    seq,
  }))
  merge(replica, encodeCells(cells))
  const given = deltasSince(replica).flatMap((delta) => cellsOf(decode(delta)))
  assert.equal(given.map(lineOf), cells.map(lineOf))
})

test('a block ends when its names reach a mebibyte', () => {
  const source = replicaOf(0)
  const names = Array.from({ length: 50 }, (_, index) => `${index} `.padEnd(65_535, 'x'))
  increment(
    source,
    names.map((name) => [name, 1] as const),
  )
  const deltas = deltasSince(source)
  assert.equal(
    deltas.map((delta) => decode(delta).rowCount),
    [17, 17, 16, 0],
  )
  const target = replicaOf(1)
  for (const delta of deltas) merge(target, delta)
  assert.equal(stateOf(target), stateOf(source))
})

test('a block holds a few thousand cells at most, however many columns there are', () => {
  const source = replicaOf(0)
  const names = Array.from({ length: 2000 }, (_, index) => [`n${index}`, 1] as const)
  for (let node = 1; node <= 40; node++) merge(source, increment(replicaOf(node), names))
  const counts = deltasSince(source).map((delta) => decode(delta).cellCount)
  assert.is(
    counts.reduce((sum, count) => sum + count),
    80_000,
  )
  assert.ok(Math.max(...counts) <= 8192 + 31, `the largest block has ${Math.max(...counts)} cells`)
})

test('a small delta that is cut anywhere, or has any bit flipped, is refused or decodes to something valid', () => {
  const deltas = [
    ...deltasSince(manyReplicas(3)),
    increment(replicaOf(1), [
      ['a', 1],
      ['ü', 2n ** 63n],
    ]),
    encodeCells(
      [
        { name: 'a', replica: { node: 1, incarnation: 1 }, plus: 1n, minus: 2n ** 64n - 1n, seq: 2 ** 40 },
        { name: '#ffffffffffffffff', replica: { node: 1, incarnation: 0 }, plus: 1n, minus: 0n, seq: 1 },
      ],
      [[{ node: 1, incarnation: 1 }, 2 ** 40]],
    ),
  ]
  const scratch = new DecodedDelta()
  let refusals = 0
  const judge = (bytes: Uint8Array) => {
    try {
      checkDecoded(decode(bytes, scratch), 0, bytes.length)
      merge(replicaOf(9), bytes)
    } catch (error) {
      if (!(error instanceof CounterError) || error.code !== 'DELTA_INVALID') throw error
      refusals++
    }
  }
  for (const delta of deltas) {
    for (let length = 0; length < delta.length; length++) judge(delta.subarray(0, length))
    for (let bit = 0; bit < delta.length * 8; bit++) {
      const flipped = delta.slice()
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      judge(flipped)
    }
  }
  assert.ok(refusals > 100, `${refusals} were refused`)
})

test('what is out of range is refused, each by name', () => {
  const big = 2n ** 53n - 1n
  const head = [1, 1, 0, 1, 0, 1, 0] // Version, block, no flags, one column: node 0, incarnation 1, from 0.
  const cases: Array<[string, RegExp, number[]]> = [
    ['nothing', /needs 1 more bytes/, []],
    ['version 0', /version 0, expected at most 3/, [0]],
    ['items in version 1', /unknown part 3/, [1, 3, 0, 0, 0, 0]],
    ['unknown flags of items', /unknown flags 2/, [2, 3, 2, 0, 0, 0]],
    ['very many origins', /origins do not fit/, [2, 3, 0, ...varint(big)]],
    ['very many tenants', /tenants do not fit/, [2, 3, 0, 0, ...varint(big)]],
    ['very many items', /items do not fit/, [2, 3, 0, 0, 0, ...varint(big)]],
    ['an item without an origin', /origin 0 of 0/, [2, 3, 0, 0, 0, 1, 1, 0x61, 0, 2, 2, 0]],
    ['an item of write 0', /sequence number 0/, [2, 3, 0, 1, 7, 1, 0, 1, 1, 0x61, 0, 2, 0]],
    ['an item without a stamp', /stamp 0/, [2, 3, 0, 1, 7, 1, 0, 1, 1, 0x61, 2, 0, 0]],
    ['a negative stamp', /stamp -1/, [2, 3, 0, 1, 7, 1, 0, 1, 1, 0x61, 2, 1, 0]],
    ['an item of a tenant that is not there', /tenant 1 of 0/, [2, 3, 0, 1, 7, 1, 0, 1, 1, 0x61, 2, 2, 1]],
    ['an item without an id', /name of 0 bytes/, [2, 3, 0, 1, 7, 1, 0, 1, 0, 2, 2, 0]],
    ['an id that is not UTF-8', /not UTF-8/, [2, 3, 0, 1, 7, 1, 0, 1, 1, 0xff, 2, 2, 0]],
    ['version 4', /version 4, expected at most 3/, [4]],
    ['replies in version 2', /unknown part 4/, [2, 4, 0]],
    ['more replies than bytes', /9 replies do not fit/, [3, 4, 9, 1]],
    ['a reply of write 0', /sequence number 0/, [3, 4, 1, 1, 2, 0, 0, ...new Uint8Array(60)]],
    ['a reply of status 0', /status 0 of a reply/, [3, 4, 1, 1, 2, 1, 0, ...new Uint8Array(60)]],
    ['unknown flags of a reply', /unknown flags 2/, [3, 4, 1, 1, 2, 1, 2, ...new Uint8Array(60)]],
    ['an unknown part', /unknown part 3/, [1, 3]],
    ['an unknown flag', /unknown flags 4/, [1, 1, 4, 1, 0, 1, 0, 0]],
    ['no columns', /block of 0 columns/, [1, 1, 0, 0, 0]],
    ['32 columns', /block of 32 columns/, [1, 1, 0, 32, ...new Array(96).fill(1), 0]],
    ['a slot of 2^16', /node id 2147549184/, [1, 1, 0, 1, ...varint(2 ** 31 + 2 ** 16), 1, 0, 0]],
    ['an incarnation of 2^53', /2\^53/, [1, 1, 0, 1, 0, ...varint(2n ** 53n), 0, 0]],
    ['a first sequence number of 2^52', /sequence number 4503599627370496/, [1, 1, 0, 1, 0, 1, ...varint(2 ** 52), 0]],
    ['sequence number 0', /sequence number 0/, [...head, 1, 1, 0x61, 0, 1]],
    ['a negative sequence number', /sequence number -1/, [...head, 1, 1, 0x61, 1, 1]],
    ['sequence number 2^52', /sequence number 4503599627370496/, [1, 1, 0, 1, 0, 1, 1, 1, 1, 0x61, ...varint(2n ** 53n - 2n), 1]],
    ['more rows than bytes', /rows do not fit/, [...head, ...varint(big), 1, 0x61, 2, 1]],
    ['a name of 65,536 bytes', /name of 65536 bytes/, [...head, 1, ...varint(65_536), 0x61, 2, 1]],
    ['a name that goes beyond the end', /needs 65535 more bytes/, [...head, 1, ...varint(65_535), 0x61, 2, 1]],
    ['a name that is not UTF-8', /not UTF-8/, [...head, 1, 1, 0xff, 2, 1]],
    ['a character shared by two names', /inside a character/, [...head, 2, 1, 1, 0xc3, 0xbc, 2, 1, 2, 1]],
    ['half a character before a key', /not UTF-8/, [...head, 2, 1, 0, 0xc3, 1, 2, 3, 4, 5, 6, 7, 8, 2, 1, 2, 1]],
    ['a count of 2^64', /2\^64/, [...head, 1, 1, 0x61, 2, ...varint(2n ** 64n)]],
    ['a row of no columns', /mask 0 of 2/, [1, 1, 1, 2, 0, 1, 1, 1, 1, 1, 1, 1, 0x61, 0, 1]],
    ['a row of columns that are not there', /mask 4 of 2/, [1, 1, 1, 2, 0, 1, 1, 1, 1, 1, 1, 1, 0x61, 4, 1]],
    ['a vector that is cut off', /cut off/, [1, 2, 1, 0, 1, 0x80]],
    ['a vector of more entries than bytes', /2 entries does not fit/, [1, 2, 2, 0, 1, 1, 0, 2]],
    ['a vector of very many entries', /does not fit/, [1, 2, ...varint(big), 0, 1, 1]],
    ['a sequence number of 2^52 in a vector', /sequence number 4503599627370496/, [1, 2, 1, 0, 1, ...varint(2 ** 52)]],
  ]
  for (const [what, message, bytes] of cases) {
    refused(bytes, message)
    // The right part before the wrong one has not been applied, and the decoder is as good as new.
    const replica = replicaOf(0)
    const before = stateOf(replica)
    const right = encodeCells([{ name: 'right', replica: { node: 3, incarnation: 1 }, plus: 1n, minus: 0n, seq: 1 }])
    const scratch = new DecodedDelta()
    if (bytes.length > 1)
      assert.throws(() => replica.merge(decode(Uint8Array.from([...right, ...bytes.slice(1)]), scratch)), undefined, what)
    assert.equal(stateOf(replica), before, what)
    assert.equal(cellsOf(decode(right, scratch)).map(lineOf), ['right 3.1 +1 -0 @1'])
  }
})

test('bytes before and after the range are not read', () => {
  const delta = increment(replicaOf(0), [['a', 1]])
  assert.equal(
    cellsOf(decode(Buffer.concat([Buffer.from('xx'), delta, Buffer.from('yy')]).subarray(2, 2 + delta.length))).map(lineOf),
    ['a 0.1 +1 -0 @1'],
  )
})

test(`30,000 deltas that are nearly right are refused or valid, with seed ${SEED}`, () => {
  const outcome = fuzzDelta(30_000, SEED)
  const { refused, accepted, cells, items, replies, due } = outcome
  assert.ok(Math.min(refused, accepted, cells, items) > 5000 && replies > 2000 && due > 10, JSON.stringify(outcome))
})

test.run()
