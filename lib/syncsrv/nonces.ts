// The nonces of the requests that were accepted within the time window, so that none is accepted twice. They are kept by the second in which
// their request says it was made, and a second that has left the window is dropped whole: what is older is refused by its time alone.
// Only true requests get here, so only a holder of the secret can fill it; when it is full, requests are refused until a second has passed.

const SECOND_MS = 1000

export class Nonces {
  readonly #windowMs: number
  readonly #countMax: number
  /** By second since 1970. */
  readonly #seconds = new Map<number, Set<string>>()
  #count = 0
  #droppedAtMs = Number.NEGATIVE_INFINITY

  /**
   * @param windowMs how far a request's time may be from now, before and after
   * @param countMax so many are kept at a time; about 100 bytes each
   */
  constructor(windowMs: number, countMax: number) {
    this.#windowMs = windowMs
    this.#countMax = countMax
  }

  get count(): number {
    return this.#count
  }

  /**
   * Keeps the nonce of a request.
   * @param timeMs when the request says it was made: within the window
   * @param nowMs the wall clock, in milliseconds since 1970
   * @returns new; replayed: it is known; full: it cannot be kept, so the request must not be accepted
   */
  take(nonce: string, timeMs: number, nowMs: number): 'new' | 'replayed' | 'full' {
    this.#drop(nowMs)
    const second = Math.floor(timeMs / SECOND_MS)
    const known = this.#seconds.get(second)
    if (known?.has(nonce)) return 'replayed'
    if (this.#count >= this.#countMax) return 'full'
    if (known === undefined) this.#seconds.set(second, new Set([nonce]))
    else known.add(nonce)
    this.#count++
    return 'new'
  }

  #drop(nowMs: number): void {
    // A clock that was set back looks anew, too.
    if (Math.abs(nowMs - this.#droppedAtMs) < SECOND_MS) return
    this.#droppedAtMs = nowMs
    for (const [second, nonces] of this.#seconds) {
      if ((second + 1) * SECOND_MS + this.#windowMs >= nowMs) continue
      this.#count -= nonces.size
      this.#seconds.delete(second)
    }
  }
}
