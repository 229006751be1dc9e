// The notes of a store in memory: durable when the test says so.

export class MemoryNotes {
  readonly notes = new Map<string, Uint8Array>()
  /** What the next keepNotes() rejects with. */
  failure: Error | undefined

  note(key: string): Uint8Array | undefined {
    return this.notes.get(key)
  }

  settled(): undefined {}

  async keepNotes(changes: readonly (readonly [key: string, value: Uint8Array | undefined])[]): Promise<void> {
    await Promise.resolve()
    if (this.failure !== undefined) throw this.failure
    for (const [key, value] of changes) {
      if (value === undefined) this.notes.delete(key)
      else this.notes.set(key, value)
    }
  }
}
