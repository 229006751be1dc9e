// The share of items in digests (digest.ts): buckets by the key of an id, and of each item a hash of what all nodes must agree on: id,
// tenant or deleted, stamp and node. Incarnations and numbers of writes are left out, as folding and moving change them.

import { ByteWriter } from '../base/bytes.ts'
import { finishHash, hashName } from '../base/hash.ts'
import { ITEMS_VERSION, PART_ITEMS } from './delta.ts'
import { writeItems } from './item-delta.ts'
import type { Items } from './items.ts'
import { PUBLIC_HASH, RowKeys } from './row-keys.ts'

/** Rows of a step, and of a delta. */
const STEP_ROWS = 4096
const STEP_NAME_BYTES = 1 << 20
const WORD = 0x1_0000_0000

/** Adds all items to the sums, a few milliseconds of work a step. */
export function* addItemDigests({ ids, tenants, cells, origins }: Items, sums: Uint32Array): Generator<void, void> {
  const keys = new RowKeys(ids)
  for (let row = 0; row < ids.rowCount; ) {
    const end = Math.min(row + STEP_ROWS, ids.rowCount)
    for (let nameBytes = 0; row < end && nameBytes < STEP_NAME_BYTES; row++) {
      nameBytes += ids.nameLength(row)
      const at = 2 * keys.at(row)
      const stamp = cells.stampOf(row)
      const tenant = cells.tenantOf(row)
      const name = tenant === 0 ? new Uint8Array(0) : tenants.nameOf(tenant - 1)
      let hash = finishHash(keys.low ^ 0x517cc1b7)
      hash = finishHash(hash ^ keys.high)
      hash = finishHash(hash ^ keys.name)
      hash = finishHash(hash ^ hashName(PUBLIC_HASH, name, 0, name.length))
      hash = finishHash(hash ^ (stamp | 0))
      hash = finishHash(hash ^ Math.imul(Math.floor(stamp / WORD), 0x9e3779b1))
      hash = finishHash(hash ^ Math.imul(origins[cells.originOf(row)]!.node | 0, 0x85ebca77))
      sums[at]! += hash
      sums[at + 1]! += finishHash(hash ^ 0x27d4eb2f ^ keys.name)
    }
    yield
  }
}

/** All items of the buckets that are wanted, as deltas; scratch, to be used before the next step. */
export function* encodeItemsOfBuckets(items: Items, wanted: readonly boolean[]): Generator<Uint8Array, void> {
  const { ids } = items
  const writer = new ByteWriter(1 << 12)
  const keys = new RowKeys(ids)
  const rows = new Uint32Array(STEP_ROWS)
  for (let row = 0; row < ids.rowCount; ) {
    const end = Math.min(row + STEP_ROWS, ids.rowCount)
    let count = 0
    for (let nameBytes = 0; row < end && nameBytes < STEP_NAME_BYTES; row++) {
      nameBytes += ids.nameLength(row)
      if (wanted[keys.at(row)]) rows[count++] = row
    }
    writer.length = 0
    writer.uint8(ITEMS_VERSION)
    if (count > 0) {
      writer.uint8(PART_ITEMS)
      writeItems(writer, items, rows.subarray(0, count), false)
    }
    // Also when there is nothing to give: the walk has taken its time.
    yield writer.written()
  }
}
