// A run in which the faults did not really happen proves nothing: each kind must have been met at least so often.

export type Faults = Map<string, number>

export function addFaults(sum: Faults, faults: ReadonlyMap<string, number>): void {
  for (const [what, count] of faults) sum.set(what, (sum.get(what) ?? 0) + count)
}

export function checkFaults(faults: ReadonlyMap<string, number>, wanted: readonly string[], least: number): string[] {
  return wanted
    .filter((what) => (faults.get(what) ?? 0) < least)
    .map((what) => `void: ${what} happened ${faults.get(what) ?? 0} times`)
}
