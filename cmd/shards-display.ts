// What a person sees of the shards, and of a run that moves slots: a bar on a terminal, or else a line now and then, on stderr.

import { type Clock, systemClock } from '../lib/base/clock.ts'
import { SLOTS, type SlotMap } from '../lib/cluster/index.ts'
import type { Survey } from '../lib/sharding/index.ts'

const HEAD = ['shard', 'slots', 'share', 'names', 'items', 'replicas']
const BAR_CELLS = 30
const LINE_MS = 5_000
const CLEAR = '\r\x1b[K'

export function surveyTable({ map, seen, silent }: Survey): string {
  const rows = map.ranges.map((_, shard) => {
    const slots = map.sizeOf(shard)
    const view = seen[shard]![0]?.view
    const up = seen[shard]!.map(({ port }) => port.url)
    const down = silent[shard]!.map(({ url }) => `${url} (does not answer)`)
    return [
      String(shard),
      String(slots),
      `${((100 * slots) / SLOTS).toFixed(1)} %`,
      view === undefined ? '-' : String(view.names),
      view === undefined ? '-' : String(view.items),
      [...up, ...down].join(' | '),
    ]
  })
  const widths = HEAD.map((title, column) => Math.max(title.length, ...rows.map((row) => row[column]!.length)))
  const lines = [HEAD, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column]!))
      .join('  ')
      .trimEnd(),
  )
  const { moving } = map
  const size = moving?.ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0)
  const way =
    moving === undefined
      ? 'nothing is on its way'
      : `${size} slots are on their way from shard ${moving.from} to shard ${moving.to}; when nobody moves them now, run \`counter shards rebalance\``
  return `${lines.join('\n')}\nmap ${map.tag}; ${way}\n`
}

/** What is to be known of a shard without slots. @param formerMs how long it is asked about retries */
export function emptiedText(map: SlotMap, shard: number, formerMs: number): string {
  const times = map.former.filter((former) => former.shard === shard).map(({ atMs }) => atMs)
  if (map.partsOf(shard).length > 0) {
    return `shard ${shard} has no names left. It has a part of the one total (GET /total) still, and has to run for as long as that is in use.\n`
  }
  const rest = `shard ${shard} has nothing left: its names and its part of the one total (GET /total) are with the others. `
  if (times.length === 0) {
    return `${rest}Nobody asks it any more: it may be stopped. Keep its place in COUNTER_SHARDS.\n`
  }
  const end = new Date(Math.max(...times) + formerMs).toISOString()
  return `${rest}Retries with keys ask it until ${end} (COUNTER_IDEMPOTENCY_TTL): let it run. Run this again afterwards, and then stop it.\n`
}

export class ShardsDisplay {
  readonly #total: number
  readonly #screen: { readonly isTTY?: boolean; write(text: string): unknown }
  readonly #clock: Clock
  readonly #startMs: number
  #lineMs = Number.NEGATIVE_INFINITY
  #isOpen = false

  constructor(
    total: number,
    screen: { readonly isTTY?: boolean; write(text: string): unknown } = process.stderr,
    clock = systemClock,
  ) {
    this.#total = total
    this.#screen = screen
    this.#clock = clock
    this.#startMs = clock.monotonicMs()
  }

  /** @param left slots that have still to move */
  show(left: number): void {
    const total = Math.max(this.#total, left)
    if (total === 0) return
    const done = total - left
    const elapsedMs = this.#clock.monotonicMs() - this.#startMs
    const leftText = done === 0 || left === 0 ? '' : `, about ${Math.ceil((elapsedMs / done) * (left / 1000))} s left`
    const text = `${done} of ${total} slots have moved${leftText}`
    if (this.#screen.isTTY) {
      const cells = Math.floor((BAR_CELLS * done) / total)
      this.#screen.write(`${CLEAR}[${'#'.repeat(cells)}${'.'.repeat(BAR_CELLS - cells)}] ${text}`)
      this.#isOpen = true
    } else if (elapsedMs - this.#lineMs >= LINE_MS) {
      this.#lineMs = elapsedMs
      this.#screen.write(`${text}\n`)
    }
  }

  end(): void {
    if (this.#isOpen) this.#screen.write('\n')
    this.#isOpen = false
  }
}
