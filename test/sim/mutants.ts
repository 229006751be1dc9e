// biome-ignore-all lint/suspicious/noTemplateCurlyInString: the patches are source text.
// Faults planted in a copy of the source, one at a time: the simulator or a unit test must catch each of them. This is how it is
// known that they can. Ends with 1 when one survives, or when its place in the source is not found.
//
//   npm run mutants                 all, a few minutes
//   npm run mutants -- ack copy     those with one of these words in their names

import { spawn } from 'node:child_process'
import { cpSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { BATCH_MUTANTS } from './batch-mutants.ts'
import { CLUSTER_MUTANTS } from './cluster-mutants.ts'
import { ITEM_MUTANTS } from './item-mutants.ts'
import { KEYED_MUTANTS } from './keyed-mutants.ts'

export interface Mutant {
  readonly name: string
  readonly file: string
  /** Text that stands in the file once, and what takes its place. */
  readonly from: string
  readonly to: string
  /** A test file that is tried before the simulator. */
  readonly test?: string
  /** Whether it takes a cluster to see it. */
  readonly cluster?: true
}

const LOG = 'lib/persistence/log.ts'
const SEGMENT = 'lib/persistence/segment.ts'
const ADMISSION = 'lib/persistence/admission.ts'
const OWN_WRITES = 'lib/persistence/own-writes.ts'
const SNAPSHOTS = 'lib/persistence/snapshots.ts'

export const MUTANTS: readonly Mutant[] = [
  {
    name: 'ack before sync',
    file: LOG,
    from: `      await this.#segment.sync()
      this.#durable = this.#end
    }
    this.groups++`,
    to: `      this.#segment.sync().catch(() => {})
      this.#durable = this.#end
    }
    this.groups++`,
  },
  { name: 'a failed write is acknowledged', file: LOG, from: "this.#fail('writing', error)", to: 'this.#writing.succeed()' },
  {
    name: 'reads do not wait for the log',
    file: LOG,
    from: 'return this.#busy ? this.#writing.settled : undefined',
    to: 'return undefined',
  },
  { name: 'reads do not wait for the open group', file: LOG, from: 'if (!this.#open.empty) return this.#open.settled', to: '' },
  {
    name: 'the next segment begins before the last is on disk',
    file: LOG,
    from: `    await this.#segment.sync()
    this.#durable = this.#end
    await spare.begin`,
    to: `    this.#durable = this.#end
    await spare.begin`,
  },
  {
    name: 'a full disk while the segment changes fails the log',
    file: LOG,
    from: `    while (this.#extending) await this.#extending.catch(() => {})
    const { disk, directory, node }`,
    to: `    while (this.#extending) await this.#extending
    const { disk, directory, node }`,
    test: 'test/persistence/log.test.ts',
  },
  {
    name: 'a frame says that it is durable itself',
    file: LOG,
    from: 'sealFrame(frame, this.#end, this.#durable)',
    to: 'sealFrame(frame, this.#end, this.#end + frame.length)',
  },
  {
    name: 'close does not write what waits',
    file: LOG,
    from: '      await this.settled()\n      await this.#segment.sync()',
    to: '      await this.#segment.sync()',
  },
  {
    name: 'no directory sync for a new segment',
    file: SEGMENT,
    from: '/${segmentName(start)}`)\n    await disk.syncDirectory(directory)',
    to: '/${segmentName(start)}`)',
  },
  {
    name: 'no directory sync at a start',
    file: SEGMENT,
    from: '      await disk.syncDirectory(directory)\n      return segment',
    to: '      return segment',
    test: 'test/persistence/recover.test.ts',
  },
  {
    name: 'the torn tail stays',
    file: SEGMENT,
    from: 'if ((await file.size()) > end) await file.truncate(end)',
    to: '',
    test: 'test/persistence/recover.test.ts',
  },
  {
    name: 'a start does not write again what nothing vouches for',
    file: SEGMENT,
    from: 'for (let at = vouched; at < end; )',
    to: 'for (let at = end; at < end; )',
  },
  {
    name: 'a start does not sync what it has read',
    file: SEGMENT,
    from: '      await segment.sync()\n',
    to: '',
    test: 'test/persistence/recover.test.ts',
  },
  {
    name: 'a failed sync is forgotten by the next',
    file: SEGMENT,
    from: 'this.#syncError ??= error',
    to: 'throw error',
    test: 'test/persistence/segment.test.ts',
  },
  {
    name: 'a segment gets its name before its header is on disk',
    file: SEGMENT,
    from: '    await this.sync()\n    await disk.rename',
    to: '    await disk.rename',
  },
  {
    name: 'a short write is taken for a whole one',
    file: 'lib/persistence/disk.ts',
    from: '    done += written',
    to: '    done += bytes.length + 0 * written',
  },
  {
    name: 'the crc of a frame is not checked',
    file: 'lib/persistence/frame.ts',
    from: 'if (readUint32(segment, at + 4) !== crc32(segment.subarray(at + 8, end))) return undefined',
    to: '',
    test: 'test/persistence/frame.test.ts',
  },
  {
    name: 'the durable field is ignored',
    file: 'lib/persistence/recover.ts',
    from: 'if (durableBehind(bytes, at, written, start) > end)',
    to: 'if (durableBehind(bytes, at, written, start) > end && end < 0)',
  },
  {
    name: 'the first frame behind a snapshot is skipped',
    file: 'lib/persistence/recover.ts',
    from: 'if (frame.end > from)',
    to: 'if (frame.position > from)',
  },
  {
    name: 'a damaged snapshot is not passed over',
    file: 'lib/persistence/recover.ts',
    from: "if (!(error instanceof CounterError) || error.code !== 'SNAPSHOT_CORRUPT') throw error",
    to: 'throw error',
    test: 'test/persistence/snapshots.test.ts',
  },
  {
    name: 'the crc of a snapshot block is not checked',
    file: 'lib/persistence/snapshot.ts',
    from: "if (crc32(payload, crc32(Uint8Array.of(kind))) !== crc) fail(name, start, 'bad crc of the block')",
    to: '',
    test: 'test/persistence/snapshot.test.ts',
  },
  { name: 'a snapshot is published before the log is on disk', file: SNAPSHOTS, from: '      await log.vouch()\n', to: '' },
  { name: 'a snapshot is published before it is on disk', file: SNAPSHOTS, from: '      await file.sync()\n', to: '' },
  {
    name: 'the log is removed up to the newest snapshot',
    file: SNAPSHOTS,
    from: 'const oldest = good[KEPT - 1]',
    to: 'const oldest = good[0]',
    test: 'test/persistence/snapshots.test.ts',
  },
  {
    name: 'the log is removed before the snapshot is published',
    file: SNAPSHOTS,
    from: '      await disk.rename(`${directory}/${name}.tmp`, `${directory}/${name}`)\n',
    to: [
      '      const { segments } = await listDirectory(disk, directory)',
      '      for (const start of segments.slice(0, -1)) await disk.remove(`${directory}/${segmentName(start)}`)',
      '      await disk.syncDirectory(directory)',
      '      await disk.rename(`${directory}/${name}.tmp`, `${directory}/${name}`)\n',
    ].join('\n'),
  },
  {
    name: 'one snapshot is kept, without the log behind the one before',
    file: SNAPSHOTS,
    from: 'const KEPT = 2',
    to: 'const KEPT = 1',
    test: 'test/persistence/snapshots.test.ts',
  },
  {
    name: 'a damaged snapshot counts as one that is kept',
    file: SNAPSHOTS,
    from: 'snapshots.filter((name) => !this.#damaged.includes(name))',
    to: 'snapshots',
    test: 'test/persistence/snapshots.test.ts',
  },
  {
    name: 'the incarnation is resumed in a copy',
    file: 'lib/persistence/start.ts',
    from: 'identity?.original === true &&',
    to: 'identity !== undefined &&',
  },
  {
    name: 'the incarnation is resumed after a life that may have lost writes',
    file: 'lib/persistence/start.ts',
    from: 'identity.node === options.nodeId && !identity.relaxed',
    to: 'identity.node === options.nodeId',
  },
  {
    name: 'the identity does not say that a life may lose writes',
    file: 'lib/persistence/start.ts',
    from: 'writeIdentity(options.disk, options.directory, replica.self, relaxed)',
    to: 'writeIdentity(options.disk, options.directory, replica.self, false)',
  },
  {
    name: 'writes go to the old column while a new one is opened',
    file: ADMISSION,
    from: 'if (this.#renewal.isDue) return this.#renewal.complete()',
    to: '',
    test: 'test/persistence/replicate.test.ts',
  },
  {
    name: 'a new incarnation is put to use before it is on disk',
    file: 'lib/persistence/renewal.ts',
    from: "      await writeIdentity(disk, directory, self, fsync !== 'always')",
    to: "      this.#replica.become(self)\n      await writeIdentity(disk, directory, self, fsync !== 'always')",
    test: 'test/persistence/replicate.test.ts',
  },
  {
    name: 'no reply is kept with the change',
    file: 'lib/persistence/keyed-writes.ts',
    from: '    this.#log.append(keptBatch === undefined ? RECORD_ONCE : RECORD_TENTATIVE, (writer) => {\n',
    to: '    this.#log.append(RECORD_DELTA, (writer) => {\n      if (writer.length >= 0) return writer.raw(aside.written())\n',
  },
  {
    name: 'a key is free while its request is under way',
    file: 'lib/storage/replies.ts',
    from: '    this.#inFlight.add(kept)\n',
    to: '',
    test: 'test/persistence/store.test.ts',
  },
  {
    name: 'replies are not in snapshots',
    file: 'lib/persistence/snapshot.ts',
    from: '    [BLOCK_REPLIES, unplacedReplies(replica, block)],\n',
    to: '',
    test: 'test/persistence/snapshot.test.ts',
  },
  {
    name: 'writes are not admitted by the room in the log',
    file: ADMISSION,
    from: 'return this.#log.hasRoom(bytes) ? undefined : this.#log.makeRoom(bytes)',
    to: 'return this.#log.hasRoom(0) ? undefined : undefined',
  },
  {
    name: 'a write is answered before the log has it',
    file: OWN_WRITES,
    from: '      await this.#log.settled()\n      return { ...answer',
    to: '      return { ...answer',
  },
  {
    name: 'a write with a key is answered before the log has it',
    file: OWN_WRITES,
    from: '    await this.#log.settled()\n    this.#keyed.landed(kept)',
    to: '    this.#keyed.landed(kept)',
  },
  {
    name: 'a reply is given again before the log has its write',
    file: OWN_WRITES,
    from: '    await this.#log.settled()\n    return { ...reply',
    to: '    return { ...reply',
    test: 'test/persistence/keyed.test.ts',
  },
  {
    name: 'a merge is answered before the log has it',
    file: 'lib/persistence/merges.ts',
    from: '    await log.settled()\n    return news',
    to: '    return news',
    test: 'test/persistence/replicate.test.ts',
  },
  {
    name: 'own numbers that another has used are used again',
    file: 'lib/storage/replica.ts',
    from: 'if (column === this.#self && seq > this.#seq) this.#seq = seq',
    to: '',
    test: 'test/storage/replay.test.ts',
  },
  {
    name: 'sequence numbers start again',
    file: 'lib/storage/replica.ts',
    from: 'this.#seq = Math.max(this.#seq, seq)\n    else if',
    to: 'this.#seq = this.#vector.get(replica)\n    else if',
  },
  {
    name: 'a gap before a write is not seen',
    file: 'lib/storage/replica.ts',
    from: 'seq === this.#vector.get(replica) + 1',
    to: 'seq > this.#vector.get(replica)',
    test: 'test/storage/replay.test.ts',
  },
  {
    name: 'marks of rows do not rise with a merge',
    file: 'lib/storage/column.ts',
    from: '      if (seq > this.marks[row >>> SPAN_SHIFT]!) this.marks[row >>> SPAN_SHIFT] = seq\n',
    to: '',
    test: 'test/storage/since.test.ts',
  },
  {
    name: 'merge adds up',
    file: 'lib/storage/column.ts',
    from: '      cells[at] = plusLow\n',
    to: '      cells[at] += plusLow\n',
  },
]

/** Histories after which a mutant counts as one that survived, of a node and of a cluster. */
const RUNS = 400
const CLUSTER_RUNS = 3000

/** Plants the fault and returns what caught it, or undefined. */
export async function catchMutant(mutant: Mutant, runs = mutant.cluster ? CLUSTER_RUNS : RUNS): Promise<string | undefined> {
  const folder = mkdtempSync(join(tmpdir(), 'counter-mutant-'))
  try {
    for (const part of ['lib', 'test', 'package.json', 'tsconfig.json']) cpSync(part, join(folder, part), { recursive: true })
    symlinkSync(resolve('node_modules'), join(folder, 'node_modules'))
    const path = join(folder, mutant.file)
    const source = readFileSync(path, 'utf8')
    if (source.split(mutant.from).length !== 2) throw new Error(`${mutant.name}: its place is not in ${mutant.file} once`)
    writeFileSync(
      path,
      source.replace(mutant.from, () => mutant.to),
    )
    if (mutant.test && (await fails(folder, [mutant.test]))) return mutant.test
    const kind = mutant.cluster ? ['--cluster'] : []
    const seed = await fails(folder, ['test/sim/run.ts', ...kind, '--runs', String(runs), '--partial'])
    return (
      seed &&
      `the simulator, ${/seed (\d+)/.exec(seed)?.[0] ?? 'at once'}: ${/VIOLATION (.{0,90})/.exec(seed)?.[1] ?? seed.slice(-200)}`
    )
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** A test that takes longer does not end any more. */
const TEST_MS_MAX = 240_000

/** What the program printed when it failed, or that it did not end. */
function fails(folder: string, args: string[]): Promise<string | undefined> {
  return new Promise((done) => {
    const child = spawn(process.execPath, ['--import', 'tsx', ...args], { cwd: folder, stdio: ['ignore', 'pipe', 'pipe'] })
    let output = ''
    for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text) => (output += text))
    const isTest = args.some((arg) => arg.endsWith('.test.ts'))
    const timer = isTest ? setTimeout(() => child.kill('SIGKILL'), TEST_MS_MAX) : undefined
    child.on('close', (code) => {
      clearTimeout(timer)
      done(code === 0 ? undefined : output || 'it did not end')
    })
  })
}

if (process.argv[1] === import.meta.filename) {
  const words = process.argv.slice(2)
  const all = [...MUTANTS, ...ITEM_MUTANTS, ...BATCH_MUTANTS, ...CLUSTER_MUTANTS, ...KEYED_MUTANTS]
  const chosen = all.filter(({ name }) => words.length === 0 || words.some((word) => name.includes(word)))
  let survived = 0
  for (const mutant of chosen) {
    const caught = await catchMutant(mutant)
    if (caught === undefined) survived++
    console.log(`${caught === undefined ? 'SURVIVED' : 'caught  '}  ${mutant.name}${caught ? ` (${caught})` : ''}`)
  }
  console.log(`${chosen.length} mutants, ${survived} survived`)
  process.exitCode = survived > 0 ? 1 : 0
}
