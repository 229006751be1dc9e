// Time and chance for the client, from what every runtime with fetch has. The client is published on its own and cannot use the
// clock and the randomness of the node, so this is the one file of it that touches the real ones.

/** Random in [0, 1). */
export const chance = (): number => crypto.getRandomValues(new Uint32Array(1))[0]! / 2 ** 32

/** A key that nobody else has. */
export const freshKey = (): string => crypto.randomUUID()

/** Resolves after `ms`; rejects with the signal's reason when that comes first. */
export function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', stop, { once: true })
    function done(): void {
      signal?.removeEventListener('abort', stop)
      resolve()
    }
    function stop(): void {
      clearTimeout(timer)
      reject(signal!.reason)
    }
  })
}
