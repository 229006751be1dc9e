// A digest of counters and items that does not depend on their order: the sum of a hash of each. Two replicas that hold the same say the same,
// whatever has come to them first.

import { createHash } from 'node:crypto'
import type { Digest } from './port.ts'

const LANES = 4
const LANE_BYTES = 6
const LANE = 2 ** (8 * LANE_BYTES)

export class DigestSum {
  #counters = 0
  #items = 0
  readonly #lanes = new Array<number>(LANES).fill(0)

  /** @param digits of its value */
  counter(name: Uint8Array, digits: string): void {
    this.#counters++
    this.#add(name, `counter ${name.length} `, digits)
  }

  item(id: Uint8Array, tenant: Uint8Array): void {
    this.#items++
    this.#add(id, `item ${id.length} `, tenant)
  }

  get digest(): Digest {
    const sum = this.#lanes.map((lane) => lane.toString(16).padStart(2 * LANE_BYTES, '0')).join('')
    return { counters: this.#counters, items: this.#items, sum }
  }

  #add(name: Uint8Array, head: string, value: string | Uint8Array): void {
    const hash = createHash('sha256').update(head).update(name).update(value).digest()
    for (let lane = 0; lane < LANES; lane++) {
      // Below 2^49, and so exact.
      this.#lanes[lane] = (this.#lanes[lane]! + hash.readUIntLE(lane * LANE_BYTES, LANE_BYTES)) % LANE
    }
  }
}
