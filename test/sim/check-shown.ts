// What was shown stays: no name ever reads less than it was read before.

export class CheckShown {
  readonly #shown = new Map<string, number>()

  shown(name: string, value: number): string[] {
    const before = this.#shown.get(name) ?? 0
    this.#shown.set(name, Math.max(before, value))
    return value < before ? [`${name} was shown as ${before} and then as ${value}`] : []
  }

  /** Counts may have gone back, as they may with a restored backup. */
  forget(): void {
    this.#shown.clear()
  }
}
