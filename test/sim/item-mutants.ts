// Faults of items and notes that are planted in a copy of the source, one at a time; see mutants.ts.
//
//   npm run mutants -- items:      these alone

import type { Mutant } from './mutants.ts'

const CELLS = 'lib/storage/items.ts'
const LOG = 'lib/storage/item-log.ts'
const ORDER = 'lib/storage/item-order.ts'
const REPLICA = 'lib/storage/replica.ts'
const LIVES = 'lib/storage/lives.ts'
const SINCE = 'lib/storage/item-since.ts'
const STORE = 'lib/persistence/store.ts'

const UNITS = 'test/storage/items.test.ts'
const REPLAY = 'test/storage/replay.test.ts'
const ITEM_LOG = 'test/storage/item-log.test.ts'
const LAWS = 'test/storage/item-laws.test.ts'

const PLANTED: readonly Mutant[] = [
  // Which change is the later.
  {
    name: 'a tie of stamps is left as it came',
    file: ORDER,
    from: '  const ours = items.origins[cells.originOf(row)]!\n',
    to: '  if (stamp > 0) return 0\n  const ours = items.origins[cells.originOf(row)]!\n',
    cluster: true,
  },
  {
    name: 'a tie of one node is left as it came',
    file: ORDER,
    from: '  if (cells.seqOf(row) !== delta.seq[item]!) return cells.seqOf(row) - delta.seq[item]!\n',
    to: '',
    test: LAWS,
  },
  {
    name: 'a deletion gives way to a tenant',
    file: ORDER,
    from: 'return theirs - ours\n',
    to: 'return ours - theirs\n',
    test: LAWS,
  },
  {
    name: 'a stamp is the time alone',
    file: CELLS,
    from: 'Math.max(Math.floor(nowMs * MICROSECONDS), this.#clock + 1)',
    to: 'Math.floor(nowMs * MICROSECONDS)',
  },
  {
    name: 'own stamps are not remembered',
    file: CELLS,
    from: '    if (stamp > this.#clock) this.#clock = stamp\n',
    to: '',
  },
  {
    name: 'what is stamped far ahead is taken',
    file: 'lib/persistence/merges.ts',
    from: '      this.checkStamp(this.#decoded.items.stampMax)\n',
    to: '',
    test: 'test/persistence/items.test.ts',
  },
  // What is kept.
  {
    name: 'who is left still counts an item that moves',
    file: CELLS,
    from: 'this.#counts[before - 1]!--',
    to: 'this.#counts[before - 1]!',
  },
  {
    name: 'of an id that is named twice the first counts',
    file: CELLS,
    from: '      for (let at = first; at < end; at++) {\n        const row',
    to: '      for (let at = end - 1; at >= first; at--) {\n        const row',
  },
  {
    name: 'a deletion of what is not there is passed over',
    file: CELLS,
    from: '        const row = this.#idTexts.rowOrNewAt(at - first)\n',
    to: `        if (changes[at]!.tenant === undefined && this.#idTexts.rowAt(at - first) === -1) continue
        const row = this.#idTexts.rowOrNewAt(at - first)\n`,
  },
  {
    name: 'deletions are not given away',
    file: SINCE,
    from: '(row: number): boolean => cells.seqOf(row)',
    to: '(row: number): boolean => cells.tenantOf(row) > 0 && cells.seqOf(row)',
  },
  {
    name: 'a list of tenants does not wait for the disk',
    file: 'lib/persistence/tenant-pages.ts',
    from: '      await this.#log.settled()\n      return page',
    to: '      return page',
  },
  {
    name: 'items are not in snapshots and exchanges',
    file: 'lib/storage/since.ts',
    from: 'of itemsSince(items, known, nextChunk - ITEMS_FROM)) {',
    to: 'of itemsSince(items, answer.vector, nextChunk - ITEMS_FROM)) {',
  },
  {
    name: 'notes are not in snapshots',
    file: 'lib/persistence/snapshot.ts',
    from: '    [BLOCK_NOTES, notes.encoded(block)],\n',
    to: '',
  },
  {
    name: 'notes are not in the log',
    file: STORE,
    from: 'this.#log.append(RECORD_NOTES, (writer) => this.#notes.change(changes, writer))',
    to: `this.#log.append(RECORD_NOTES, (writer) => {
      const { length } = writer
      this.#notes.change(changes, writer)
      writer.length = length
    })`,
  },
  {
    name: 'a note that is taken away stays',
    file: 'lib/persistence/notes.ts',
    from: 'if (value === undefined) this.#notes.delete(key)\n    else this',
    to: 'if (value !== undefined) this',
  },
  // What is given away.
  {
    name: 'rows that change during a walk are passed over',
    file: SINCE,
    from: 'if (at >= end && isNewer(left)) step',
    to: 'if (at < 0 && isNewer(left)) step',
    test: UNITS,
  },
  {
    name: 'rows that change among those of a write are passed over',
    file: SINCE,
    from: 'if (cells.placeOf(row) !== place) this.left.push(row)\n',
    to: 'if (cells.placeOf(row) !== place) continue\n',
    test: UNITS,
  },
  {
    name: 'a row that changes during a walk goes without its write',
    file: SINCE,
    from: 'step.takeLate(log.startOf(at))',
    to: 'step.takeLate(at)',
    test: UNITS,
  },
  {
    name: 'a write is split over two deltas',
    file: SINCE,
    from: 'else if (log.isSameWrite(row, first)) this.#add(row)',
    to: 'else if (log.isSameWrite(row, first) && !this.isFull) this.#add(row)',
    test: UNITS,
  },
  {
    name: 'an answer that is resumed leaves out a row',
    file: 'lib/storage/since.ts',
    from: 'nextChunk = ITEMS_FROM + next\n',
    to: 'nextChunk = ITEMS_FROM + next + 1\n',
    test: UNITS,
  },
  {
    name: 'cleaning loses rows',
    file: LOG,
    from: '      this.#append(row)\n      last = row\n',
    to: '      last = row\n',
    test: ITEM_LOG,
  },
  {
    name: 'cleaning tears a write in two',
    file: LOG,
    from: 'last !== -1 && place < stop',
    to: 'last < -1 && place < stop',
    test: ITEM_LOG,
  },
  {
    name: 'a walk does not see that the log was cleaned',
    file: SINCE,
    from: '      end = log.end\n      place = Math.max(place, log.first)\n',
    to: '      place = Math.max(place, log.first)\n',
    test: UNITS,
  },
  {
    name: 'a chunk is passed over although something in it is newer',
    file: LOG,
    from: '    if (seq > (highest[origin] ?? 0)) highest[origin] = seq\n',
    to: '    highest[origin] ??= seq\n',
    test: UNITS,
  },
  // What is known.
  {
    name: 'any items say that they are a whole write',
    file: 'lib/storage/item-delta.ts',
    from: 'writer.uint8(isWhole ? WHOLE : 0)',
    to: 'writer.uint8(isWhole || true ? WHOLE : 0)',
    test: REPLAY,
  },
  {
    name: 'a write of items does not say that it is one',
    file: REPLICA,
    from: '  writeItems(writer, items, rows, true)\n',
    to: '  writeItems(writer, items, rows, false)\n',
    test: REPLAY,
  },
  {
    name: 'single items are forgotten in the traces of a life',
    file: LIVES,
    from: 'const traces = reached(known, ',
    to: 'const traces = reached({ ...known, items: { origins: [], highest: [] } as never }, ',
    test: REPLAY,
  },
  {
    name: 'single items are forgotten when lives are folded',
    file: LIVES,
    from: 'return reached(known, ',
    to: 'return reached({ ...known, items: { origins: [], highest: [] } as never }, ',
    test: REPLAY,
  },
  {
    name: 'a life that is moved leaves its items behind',
    file: CELLS,
    from: '    this.origins[number] = to\n',
    to: '',
    test: UNITS,
  },
  {
    name: 'digests leave items out',
    file: 'lib/storage/digest.ts',
    from: '  yield* addItemDigests(items, sums)\n',
    to: '',
    test: UNITS,
  },
  {
    name: 'an item that is known counts as news',
    file: CELLS,
    from: 'this.origins[origin]!) >= 0) return false',
    to: 'this.origins[origin]!) > 0) return false',
    test: LAWS,
  },
]

export const ITEM_MUTANTS: readonly Mutant[] = PLANTED.map((mutant) => ({ ...mutant, name: `items: ${mutant.name}` }))
