// Measures contestants side by side: all in one process, in turns, so that what slows one round slows every contestant of it.
// Time is CPU time of the process, so that waiting for a busy core does not count, but collecting garbage does.
// The first rounds warm up and do not count. Only ratios of one run hold on a shared machine; the best round is what the
// code costs, the median what the machine made of it.

export interface Contestant {
  name: string
  /** Does the work once. What it returns is only used to keep the work from being optimised away. */
  run: () => unknown
  /** Runs before each round, outside of the measured time. */
  before?: () => void
}

export interface Question {
  /** What is measured. */
  title: string
  /** How many units one run is, and what they are: `words`, `requests`. */
  units: number
  unit: string
  /** The first is ours; the last is the baseline that ratios are taken against. */
  contestants: readonly Contestant[]
  rounds: number
  warmUps: number
  /** What ours should be in terms of the baseline, at least. */
  target?: number
}

export interface Result {
  name: string
  /** Units a CPU second in the fastest and in the middle round. */
  best: number
  median: number
}

/** Runs the contestants in turns and prints a line for each: units a CPU second, nanoseconds a unit, times the baseline. */
export function measure(question: Question): Result[] {
  const { contestants, units } = question
  const times: number[][] = contestants.map(() => [])
  for (let round = -question.warmUps; round < question.rounds; round++) {
    for (const [index, contestant] of contestants.entries()) {
      sink = undefined
      contestant.before?.()
      const before = process.cpuUsage()
      sink = contestant.run()
      const { user, system } = process.cpuUsage(before)
      if (round >= 0) times[index]!.push((user + system) / 1000)
    }
  }
  const results = contestants.map(({ name }, index) => {
    const sorted = times[index]!.sort((a, b) => a - b)
    return { name, best: units / (sorted[0]! / 1000), median: units / (sorted[sorted.length >> 1]! / 1000) }
  })
  report(question, results)
  return results
}

/** Holds the last result, so that no compiler may drop the work. */
export let sink: unknown

function report(question: Question, results: readonly Result[]): void {
  const baseline = results.at(-1)!
  console.log(`\n${question.title} (${count(question.units)} ${question.unit}, ${question.rounds} rounds, per CPU second)`)
  for (const result of results) {
    const ratio =
      result === baseline
        ? 'baseline'
        : `${(result.median / baseline.median).toFixed(2)}x (best ${(result.best / baseline.best).toFixed(2)}x)`
    const rates = `best ${count(result.best)}/s  median ${count(result.median)}/s  ${(1e9 / result.median).toFixed(1)} ns each`
    console.log(`  ${result.name.padEnd(34)} ${rates.padEnd(60)} ${ratio}`)
  }
  if (question.target !== undefined) {
    const ratio = results[0]!.median / baseline.median
    console.log(`  target at least ${question.target}x: ${ratio >= question.target ? 'met' : 'MISSED'}`)
  }
}

/** A number with three digits that matter and a unit. */
function count(value: number): string {
  if (value >= 1e6) return `${(value / 1e6).toPrecision(3)} M`
  return value >= 1e3 ? `${(value / 1e3).toPrecision(3)} k` : value.toPrecision(3)
}
