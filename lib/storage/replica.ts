// A replica: the table with a column for each replica it has heard of, of which one is its own to write.
// State changes in two ways only. `increment` adds a batch to the own column under the next sequence number, and `changeItems` sets items
// under it; `merge` joins a delta, cell by cell the larger, item by item the later. All are synchronous. `since` gives back what a
// vector does not cover.
// Invariant: a cell's P, N and seq never fall, and the own column's seq is written by nobody else.

import { assert } from '../base/assert.ts'
import { ByteReader, ByteWriter } from '../base/bytes.ts'
import { hashName, type NameHash } from '../base/hash.ts'
import type { Batch } from './batch.ts'
import { decodeBatch } from './batch-codec.ts'
import { Claims } from './claims.ts'
import { Column } from './column.ts'
import { DELTA_VERSION, type DecodedDelta, ITEMS_VERSION, PART_ITEMS, UNIFORM, writeBlockHead } from './delta.ts'
import { DeltaRows } from './delta-rows.ts'
import { digestsOf, encodeBuckets } from './digest.ts'
import { keyBytes, type PlainCell } from './encode-cells.ts'
import { foldRows } from './fold.ts'
import { type HeardTotals, type Hearing, hear } from './heard.ts'
import { Increments } from './increments.ts'
import { writeItems } from './item-delta.ts'
import { encodeItemsOfBuckets } from './item-digest.ts'
import { type ItemChange, Items } from './items.ts'
import { greatestIncarnation, type Known, lives, traces } from './lives.ts'
import { type KeptReply, Replies } from './replies.ts'
import { encodeSince, type SinceStart, type SinceStep } from './since.ts'
import { Slots } from './slots.ts'
import { LOOKUP_NAMES, Table } from './table.ts'
import { Tentative } from './tentative.ts'
import { type ChangedTotals, TotalsWalk } from './totals.ts'
import { type Count, Values } from './values.ts'
import { FOLDED, isWriter, type ReplicaId, replicaKey, SEQ_MAX, VersionVector, type WriteAt } from './vector.ts'

export interface ReplicaOptions {
  /** Who writes the own column. */
  readonly self: ReplicaId
  readonly hash: NameHash
  /** Names at most, from which on an increment of a new one is refused; 0 for no limit. Merged names are never refused. */
  readonly namesMax: number
  /** Ids of items at most, in the same way; 0 or nothing for no limit. */
  readonly itemsMax?: number
  /** Of writes with idempotency keys; without them none is forgotten. */
  readonly replies?: Replies
}

/** Cells are looked at for a batch of so many bytes. */
const HELD_BATCH_BYTES = 4096

export class Replica {
  readonly table: Table
  readonly items: Items
  /** Replies to writes with idempotency keys, of all replicas, and own writes of that kind that may be taken back. */
  readonly replies: Replies
  readonly tentative: Tentative
  readonly #claims: Claims
  readonly #columns: Column[] = []
  readonly #slots = new Slots(this.#columns)
  readonly #values: Values
  readonly #byReplica = new Map<string, Column>()
  /** What is known of the others. Of the own column everything is known, up to `#seq`. */
  readonly #vector = new VersionVector()
  #self: Column
  #seq = 0
  /** Cells that were news although the vector covered them. A start that replays its log counts some without cause. */
  hiddenCells = 0
  /** Cells of the own column that a merge has brought as news. */
  ownNews = 0
  readonly #increments: Increments
  readonly #deltaRows: DeltaRows

  constructor(options: ReplicaOptions) {
    this.table = new Table(options.hash)
    this.items = new Items(options.hash, options.itemsMax ?? 0)
    this.replies = options.replies ?? new Replies(UNLIMITED)
    this.tentative = new Tentative(this.replies, (at, batch) => this.#holdsEncoded(at, batch))
    this.#increments = new Increments(this.table, options.namesMax)
    this.#deltaRows = new DeltaRows(this.table)
    this.#claims = new Claims(this.table)
    this.#values = new Values(this.table, this.#claims, this.#slots)
    this.#self = this.#columnOf(options.self)
  }

  get self(): ReplicaId {
    return this.#self.replica
  }

  /** The sequence number of the last own write. */
  get seq(): number {
    return this.#seq
  }

  get columns(): readonly Column[] {
    return this.#columns
  }

  /** Bytes of all arrays, not counting the objects around them. */
  get byteLength(): number {
    const scratch = this.#increments.byteLength
    return this.#columns.reduce(
      (bytes, column) => bytes + column.byteLength,
      this.table.byteLength + this.items.byteLength + scratch,
    )
  }

  /** A copy of what is known of each replica. */
  vector(): VersionVector {
    const vector = this.#vector.copy()
    vector.raise(this.self, this.#seq)
    return vector
  }

  /** Whether all that the replica has written up to there is known here. */
  knows({ replica, seq }: WriteAt): boolean {
    return replicaKey(replica) === replicaKey(this.self) ? seq <= this.#seq : seq <= this.#vector.get(replica)
  }

  /** Whether what a write has added is here: its cells come before the vector that says so. Cost: a probe a name, at most. */
  holds(at: WriteAt, { count, names, ends }: Batch): boolean {
    if (this.knows(at)) return true
    const column = this.#byReplica.get(replicaKey(at.replica))
    if (column === undefined) return false
    for (let index = 0; index < count; index++) {
      const row = this.#rowOf(names.subarray(ends[index - 1] ?? 0, ends[index]!))
      if (row === -1 || column.seqOf(row) < at.seq) return false
    }
    return true
  }

  /** The same; of a large batch only the vector is asked. */
  #holdsEncoded(at: WriteAt, batch: Uint8Array): boolean {
    if (this.knows(at)) return true
    if (batch.length > HELD_BATCH_BYTES) return false
    const reader = new ByteReader(batch, 0, batch.length, 'LOG_CORRUPT', 'batch of a tentative write')
    return this.holds(at, decodeBatch(reader, this.table.hash))
  }

  /** The greatest incarnation of the node that is known here, in a column or the vector, and was not made of a list; or 0. */
  greatestIncarnation(node: number): number {
    return greatestIncarnation(this.#known(), node)
  }

  /** See traces in lives.ts. */
  tracesOf(self: ReplicaId): VersionVector {
    return traces(this.#known(), this.replies, self)
  }

  /** See lives in lives.ts. */
  livesOf(node: number): VersionVector {
    return lives(this.#known(), node)
  }

  #known(): Known {
    return { vector: this.vector(), columns: this.#columns, items: this.items }
  }

  /**
   * Goes on under another own column; the one before becomes an ordinary column of somebody else.
   * The caller has made sure that nothing of the new one is missing here: its next number is above all that are known.
   * @param isWhole whether nothing speaks against that all is here which the former column has. Else none of its writes is tentative any more
   */
  become(self: ReplicaId, isWhole = false): void {
    if (isWhole) this.tentative.suspend({ replica: this.self, seq: this.#seq })
    else this.tentative.clear()
    this.#vector.raise(this.self, this.#seq)
    this.#self = this.#columnOf(self)
    const ofItems = this.items.highest[this.items.originOf(self)]!
    this.#seq = this.#self.highest.reduce((highest, seq) => Math.max(highest, seq), Math.max(ofItems, this.#vector.get(self)))
  }

  /**
   * Says what the other members know, each as far as all that it had counted by then is known here; nothing of one that was not heard yet.
   * Writes with idempotency keys that all of them know are not taken back any more.
   */
  settle(known: readonly VersionVector[]): void {
    const { tentative } = this
    const { suspended } = tentative
    if (suspended !== undefined) {
      // Somebody brought more of the former column than was here, or a later one: what was taken back is among that, or is not.
      if (this.#vector.get(suspended.replica) > suspended.seq || this.#hasBeenSince(suspended.replica)) tentative.clear()
      else if (known.every(({ size }) => size > 0)) tentative.resume()
    }
    tentative.settle(known)
  }

  /** Whether the node has had an incarnation after that one, other than the present one: of which this directory knew nothing. */
  #hasBeenSince({ node, incarnation }: ReplicaId): boolean {
    for (const { replica } of this.#vector) {
      const isLater = replica.node === node && isWriter(replica) && replica.incarnation > incarnation
      if (isLater && replica.incarnation !== this.self.incarnation) return true
    }
    return false
  }

  /** How many of the batch's names in [from, to) have no row yet. Cost: a probe a name. */
  countMissing(batch: Batch, from: number, to: number): number {
    return this.#increments.countMissing(batch, from, to)
  }

  /** Gives the batch's names in [from, to) rows, so that an increment of a large batch later finds them all. */
  addNames(batch: Batch, from: number, to: number): void {
    this.#increments.addNames(batch, from, to)
  }

  /** @throws CounterError NAMES_MAX when `more` new names would be too many */
  checkNamesMax(more: number): void {
    this.#increments.checkNamesMax(more)
  }

  /**
   * Adds the batch to the own column and appends the delta of it to `writer`.
   * All or nothing: what throws has changed no count, and what is refused has added no name.
   * @throws CounterError NAMES_MAX, or COUNT_OVERFLOW when a count would pass 2^64 - 1
   * Cost: one probe a name, no allocation but for new names.
   */
  increment(batch: Batch, writer: ByteWriter): void {
    assert(this.#seq < SEQ_MAX, 'sequence numbers do not run out')
    this.#increments.add(batch, this.#self, this.#seq + 1, writer)
    this.#seq++
  }

  /**
   * Sets items under the next sequence number and appends the delta of it to `writer`. All or nothing, as increment.
   * @param nowMs the wall clock
   * @returns the stamp of the write
   * @throws CounterError ITEMS_MAX
   * Cost: a probe an item.
   */
  changeItems(changes: readonly ItemChange[], nowMs: number, writer: ByteWriter): number {
    this.items.checkRoom(changes)
    assert(this.#seq < SEQ_MAX, 'sequence numbers do not run out')
    const stamp = this.items.nextStamp(nowMs)
    const rows = this.items.change(changes, this.self, ++this.#seq, stamp)
    writeItemsDelta(writer, this.items, rows, this.self, this.#seq)
    return stamp
  }

  /** The delta that changeItems writes under this place and stamp, on whichever node. */
  itemsDelta(changes: readonly ItemChange[], replica: ReplicaId, seq: number, stamp: number): Uint8Array {
    const items = new Items(this.table.hash, 0)
    const rows = items.change(changes, replica, seq, stamp)
    const writer = new ByteWriter()
    writeItemsDelta(writer, items, rows, replica, seq)
    return writer.written()
  }

  /**
   * Joins a delta. Commutative, associative and idempotent, so deltas may repeat and arrive in any order.
   * Cells of the own column are taken too: that is how a start replays its log.
   * @returns how many cells were news
   * @throws CounterError NAMES_MAX when the names take more memory than can be addressed
   * Cost: one probe a row, no allocation when nothing is new.
   */
  merge(delta: DecodedDelta): number {
    const { cellCount, cellRow, cellColumn, cellSeq, cellWords } = delta
    // A column is made when its first cell comes: to be named is not enough.
    const columns = new Array<Column | undefined>(delta.columns.length).fill(undefined)
    /** Of each column the sequence number that was covered before. */
    const covered = new Array<number>(delta.columns.length).fill(0)
    const seqBefore = this.#seq
    let news = 0
    let cell = 0
    for (const kept of delta.replies) this.joinReply(kept)
    for (let first = 0; first < delta.rowCount; first += LOOKUP_NAMES) {
      const last = Math.min(first + LOOKUP_NAMES, delta.rowCount)
      const rows = this.#deltaRows.locate(delta, first, last)
      for (; cell < cellCount && cellRow[cell]! < last; cell++) {
        const at = cell * 4
        const seq = cellSeq[cell]!
        const number = cellColumn[cell]!
        let column = columns[number]
        if (column === undefined) {
          // Cells of an incarnation that is folded are known, as part of another column.
          if (this.#vector.isFolded(delta.columns[number]!)) continue
          column = this.#columnOf(delta.columns[number]!)
          columns[number] = column
          covered[number] = column === this.#self ? seqBefore : this.#vector.get(column.replica)
        }
        const row = rows[cellRow[cell]! - first]!
        if (column.join(row, cellWords[at]!, cellWords[at + 1]!, cellWords[at + 2]!, cellWords[at + 3]!, seq)) {
          news++
          if (seq <= covered[number]!) this.hiddenCells++
          if (column === this.#self) this.ownNews++
        }
        if (column === this.#self && seq > this.#seq) this.#seq = seq
      }
    }
    news += this.#mergeItems(delta, seqBefore)
    if (delta.vector !== undefined) {
      this.#vector.merge(delta.vector)
      if (!delta.vector.isFolded(this.self)) this.#seq = Math.max(this.#seq, delta.vector.get(this.self))
      this.#dropFolded()
    }
    return news
  }

  /** Keeps a reply that came with its write, or before it. */
  joinReply(kept: KeptReply): void {
    const { origin } = kept
    if (origin !== undefined && replicaKey(origin.replica) === replicaKey(this.self)) this.#seq = Math.max(this.#seq, origin.seq)
    this.replies.join(kept)
    this.tentative.heard(kept)
  }

  #mergeItems({ items: delta }: DecodedDelta, seqBefore: number): number {
    if (delta.count === 0) return 0
    const { origins } = this.items
    const self = this.items.originOf(this.self)
    const covered = new Map<number, number>()
    let news = 0
    this.items.merge(delta, (origin, seq, isNews) => {
      if (origin === self && seq > this.#seq) this.#seq = seq
      if (!isNews) return
      news++
      let known = covered.get(origin)
      if (known === undefined) {
        known = origin === self ? seqBefore : this.#vector.get(origins[origin]!)
        covered.set(origin, known)
      }
      if (seq <= known) this.hiddenCells++
      if (origin === self) this.ownNews++
    })
    return news
  }

  /** Lets go of the columns that folded ones include. */
  #dropFolded(): void {
    for (let at = this.#columns.length - 1; at >= 0; at--) {
      const { replica } = this.#columns[at]!
      if (!this.#vector.isFolded(replica)) continue
      this.#columns.splice(at, 1)
      this.#byReplica.delete(replicaKey(replica))
    }
  }

  /**
   * Folds all incarnations of a node up to `mark` into one column, in steps of a few milliseconds; docs/decisions/0007. The caller
   * has made sure that every member knows all of them, and notes the fold in the log in the turn of the last step.
   * Writes, merges and reads may go on between the steps. A fold that is not finished changes no value, and may be begun again;
   * only the last step says in the vector that it is done, so that nobody is told of what is not held.
   * @throws CounterError COUNT_OVERFLOW when a sum would pass 2^64 - 1: they then stay apart
   */
  *fold(node: number, mark: number): Generator<void, void> {
    const target = { node, incarnation: FOLDED }
    if (mark <= this.#vector.get(target)) return
    const sources = this.#columns.filter(
      ({ replica: { node: of, incarnation } }) => of === node && incarnation > FOLDED && incarnation <= mark,
    )
    sources.sort((left, right) => left.replica.incarnation - right.replica.incarnation)
    if (sources.length > 0) yield* foldRows(this.#columnOf(target), sources, this.table)
    this.#vector.raise(target, mark)
    this.#dropFolded()
  }

  /** Up to which incarnation a delta, were it merged, would take the own node's to be folded, the present one included; else 0. */
  outlivedBy(delta: DecodedDelta): number {
    const { node, incarnation } = this.self
    let mark = delta.vector?.get({ node, incarnation: FOLDED }) ?? 0
    const isOwn = (replica: ReplicaId): boolean => replica.node === node && replica.incarnation === FOLDED
    if (delta.columns.some(isOwn)) {
      for (let cell = 0; cell < delta.cellCount; cell++)
        if (isOwn(delta.columns[delta.cellColumn[cell]!]!)) mark = Math.max(mark, delta.cellSeq[cell]!)
    }
    return mark >= incarnation ? mark : 0
  }

  /**
   * Puts what a column holds under another incarnation of its node, and leaves the first empty: for a life that the members have
   * outlived. Returns whether there was anything. Idempotent, so that a log may say it over a fuzzy snapshot.
   * Cost: a pass over the column, in one turn.
   */
  move(node: number, from: number, to: number): boolean {
    const ofItems = this.items.move({ node, incarnation: from }, { node, incarnation: to })
    this.replies.move({ node, incarnation: from }, { node, incarnation: to })
    // When a log is read there is no column of a life that has only changed items.
    const source = this.#byReplica.get(replicaKey({ node, incarnation: from }))
    if ((source === undefined || source.cells.length === 0) && ofItems === 0) return false
    const target = this.#columnOf({ node, incarnation: to })
    let last = ofItems
    if (source !== undefined) {
      target.joinAll(source)
      last = source.highest.reduce((highest, seq) => Math.max(highest, seq), source === this.#self ? this.#seq : ofItems)
    }
    if (target === this.#self) this.#seq = Math.max(this.#seq, last)
    else this.#vector.raise(target.replica, last)
    if (source === undefined) return true
    // Walks that are under way still read the old one.
    this.#columns.splice(this.#columns.indexOf(source), 1)
    this.#byReplica.delete(replicaKey(source.replica))
    if (source === this.#self) this.#self = this.#columnOf(source.replica)
    return true
  }

  /** The sums of all cells by bucket; see lib/storage/digest.ts. */
  digests(): Generator<void, Uint32Array> {
    return digestsOf(this.table, this.#columns.slice(), this.items)
  }

  /** All cells of the buckets that are set, as deltas without a vector. */
  *cellsOfBuckets(buckets: readonly boolean[]): Generator<Uint8Array, void> {
    yield* encodeBuckets(this.table, this.#columns.slice(), buckets)
    yield* encodeItemsOfBuckets(this.items, buckets)
  }

  /**
   * Joins a delta that was read from the own log or a snapshot. A delta that is a whole write says that its number is known,
   * and so does a row of them: columns that this node has written under earlier incarnations are covered to their end, and a
   * write without names keeps its number.
   */
  replay(delta: DecodedDelta): void {
    this.merge(delta)
    if (delta.write === undefined || !isWriter(delta.write.replica)) return
    const { replica, seq } = delta.write
    if (replicaKey(replica) === replicaKey(this.self)) this.#seq = Math.max(this.#seq, seq)
    else if (seq === this.#vector.get(replica) + 1) this.#vector.raise(replica, seq)
  }

  /** Of the cells, as they would stand in the column of `replica`, those whose P or N is more than what is known. */
  newCells(replica: ReplicaId, cells: readonly PlainCell[]): PlainCell[] {
    const column = this.#byReplica.get(replicaKey(replica))
    return cells.filter(({ name, plus, minus }) => {
      const row = typeof name === 'bigint' ? this.table.findKeyed(keyBytes(name), 0) : this.#rowOf(name)
      if (row === -1 || column === undefined) return true
      return plus > column.exactPlusOf(row) || minus > column.exactMinusOf(row)
    })
  }

  #rowOf(name: Uint8Array): number {
    return this.table.find(hashName(this.table.hash, name, 0, name.length), name, 0, name.length)
  }

  #columnOf(replica: ReplicaId): Column {
    const key = replicaKey(replica)
    let column = this.#byReplica.get(key)
    if (column === undefined) {
      column = new Column(replica)
      this.#byReplica.set(key, column)
      this.#columns.push(column)
    }
    return column
  }

  /**
   * What `known` does not cover, as encoded deltas: blocks of cells, and the vector in the last one.
   * The vector is the one of the beginning; cells that change meanwhile are given as they then are, so the sum of the
   * deltas holds at least all that the vector says. Each step is a few milliseconds of work; a view of scratch memory,
   * to be used before the next step.
   * @param known is read at once
   * @param start where to go on, when an earlier answer of this life was cut off: from where its last step says,
   *   and the last delta says the vector of that answer's beginning
   * Cost: a comparison for each chunk and column, and of the chunks with news for each span; then one for each cell of a span with news.
   */
  since(known: VersionVector, start?: SinceStart): Generator<SinceStep, void> {
    const columns = this.#columns.slice()
    const beyond = columns.map((column) => known.get(column.replica))
    const answer = { vector: start?.vector.copy() ?? this.vector(), from: start?.chunk ?? 0 }
    return encodeSince({ table: this.table, columns, beyond }, this, known.copy(), answer)
  }

  /**
   * What an original node has said, as a delta to be merged before this is called again; docs/decisions/0008.
   * @param isOurs whether a node id is one of this cluster's
   */
  hear(heard: HeardTotals, isOurs: (node: number) => boolean): Hearing {
    const { incarnation } = this.self
    return hear(heard, { table: this.table, slots: this.#slots, vector: this.#vector, incarnation, isOurs })
  }

  /** What the nodes have counted under each key that `known` does not cover; see lib/storage/totals.ts. */
  changedTotals(known: VersionVector): Generator<ChangedTotals, void> {
    return new TotalsWalk({ table: this.table, claims: this.#claims, slots: this.#slots, columns: this.#columns, known }).steps()
  }

  /** How many rows without a name are read as part of one. Cost: a probe for each row, none without such rows. */
  claimedCount(): number {
    return this.#claims.count()
  }

  /** The value of a name, over all replicas; 0 when it was never counted. */
  value(name: Uint8Array): Count {
    return this.#values.of(name, this.#rowOf(name))
  }

  /** The value of a row, over all replicas; of a row without a name, without the name that has claimed it. */
  valueOf(row: number): Count {
    return this.#values.ofRow(row)
  }
}

/** The delta of a write of items. One without any is that of a write without names, so that its number is known too. */
function writeItemsDelta(writer: ByteWriter, items: Items, rows: Uint32Array, replica: ReplicaId, seq: number): void {
  if (rows.length === 0) {
    writer.uint8(DELTA_VERSION)
    writeBlockHead(writer, UNIFORM, [{ replica }], 0, () => seq)
    return
  }
  writer.uint8(ITEMS_VERSION)
  writer.uint8(PART_ITEMS)
  writeItems(writer, items, rows, true)
}

const UNLIMITED = { clock: { now: () => 0 }, ttlMs: Number.POSITIVE_INFINITY, max: Number.POSITIVE_INFINITY }
