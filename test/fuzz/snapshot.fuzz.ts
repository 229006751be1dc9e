// Damaged snapshots, with their checksums left as they are and with them put right again: detected, or read as what they say.
//
//   node --import tsx test/fuzz/snapshot.fuzz.ts --runs 10000 --seed 7

import { parseArgs } from 'node:util'
import { crc32 } from 'node:zlib'
import { ByteWriter } from '../../lib/base/bytes.ts'
import { CounterError } from '../../lib/base/errors.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Notes } from '../../lib/persistence/notes.ts'
import { encodeSnapshot, joinInto, readSnapshot } from '../../lib/persistence/snapshot.ts'
import { encodeBatch, Replica } from '../../lib/storage/index.ts'
import { batchOf, hash, nameBytes, once, plainReply } from '../persistence/harness.ts'
import { bytesFile } from '../support/bytes-file.ts'
import { damaged } from './damage.ts'
import { checkCounts } from './delta.fuzz.ts'

const HEADER_BYTES = 52
const BLOCK_HEADER_BYTES = 9
const self = { node: 3, incarnation: 77 }

function resealed(bytes: Uint8Array): Uint8Array {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
  for (let at = HEADER_BYTES; at + BLOCK_HEADER_BYTES <= bytes.length; ) {
    const end = at + BLOCK_HEADER_BYTES + view.getUint32(at, true)
    if (end > bytes.length) break
    view.setUint32(at + 4, crc32(bytes.subarray(at + 8, end)), true)
    at = end
  }
  return bytes
}

export async function fuzzSnapshot(runs: number, seed: number): Promise<Map<string, number>> {
  const random = seededRandom(seed)
  const ends = new Map<string, number>()
  const state = () => ({
    replica: new Replica({ self, hash, namesMax: 0 }),
    notes: new Notes(),
  })
  const { replica, notes } = state()
  for (let index = 0; index < 20; index++) {
    replica.increment(batchOf({ hot: 1, [`op-${index}`]: 1, cold: -1 }), new ByteWriter())
    const kept = replica.replies.add(once(`k${index}`), plainReply(`reply ${index}`), { replica: self, seq: replica.seq }, true)
    if (index % 2 === 0) replica.tentative.add({ kept, batch: encodeBatch(batchOf({ hot: 1, cold: -1 })) })
    notes.change([[`n${index}`, Uint8Array.of(index)]], new ByteWriter())
    const changes = [
      { id: `item-${index}`, tenant: `t${index % 3}` },
      { id: `item-${index - 5}`, tenant: undefined },
    ]
    replica.changeItems(changes, 1000, new ByteWriter())
  }
  const pieces = encodeSnapshot({ self, from: 99, createdAt: 1 }, { replica, notes })
  const whole = new Uint8Array(Buffer.concat(Array.from(pieces, (piece) => piece.slice())))

  for (let run = 0; run < runs; run++) {
    const fix = random.uint32() % 2 === 0
    let bytes = damaged(fix ? whole.subarray(HEADER_BYTES) : whole, random)
    if (fix) bytes = resealed(new Uint8Array(Buffer.concat([whole.subarray(0, HEADER_BYTES), bytes])))
    const fail = (why: string): never => {
      throw new Error(`snapshot.fuzz --seed ${seed}, run ${run}${fix ? ', checksums put right' : ''}: ${why}`)
    }
    const to = state()
    let end = 'read'
    try {
      await readSnapshot(bytesFile(bytes), 'snapshot-1', joinInto(to), async () => {})
      if (!fix && Buffer.compare(bytes, whole) !== 0) fail('damage was not detected')
    } catch (error) {
      if (!(error instanceof CounterError)) throw error
      end = error.code
      // With checksums put right a name may have become another one's.
      if (fix && end === 'SNAPSHOT_INVALID') continue
      if (end !== 'SNAPSHOT_CORRUPT' && end !== 'SNAPSHOT_VERSION') fail(String(error))
    }
    // What was joined before the damage was found is true.
    if (!fix && Number(to.replica.value(nameBytes('hot'))) > 20) fail('more than was counted')
    for (let index = 0; !fix && index < 20; index++) {
      const item = to.replica.items.find(`item-${index}`)
      if (item !== undefined && item.tenant !== replica.items.find(item.id)?.tenant) fail(`${item.id} is of ${item.tenant}`)
    }
    checkCounts(to.replica)
    ends.set(end, (ends.get(end) ?? 0) + 1)
  }
  return ends
}

if (process.argv[1] === import.meta.filename) {
  const { values } = parseArgs({ options: { runs: { type: 'string', default: '1000' }, seed: { type: 'string', default: '1' } } })
  console.log(await fuzzSnapshot(Number(values.runs), Number(values.seed)))
}
