// What a node says when it is ready: what it is, what it found, where it answers, and one line to try.

export interface BannerFacts {
  readonly version: string
  readonly nodeId: number
  readonly dataDir: string
  readonly names: number
  readonly items: number
  /** What recovery took, in milliseconds. */
  readonly recoveredMs: number
  /** The base URL of the public port. */
  readonly url: string
  /** The base URL of the sync port. */
  readonly syncUrl: string
  readonly hasToken: boolean
  readonly fsync: string
  readonly seeds: readonly string[]
}

export function banner(facts: BannerFacts): string {
  const header = facts.hasToken ? ' -H "Authorization: Bearer $COUNTER_TOKEN"' : ''
  const lines = [
    `counter ${facts.version}  node ${facts.nodeId}  data ${facts.dataDir} (${foundBy(facts)})`,
    `  API        ${facts.url}/v1`,
    `  Swagger    ${facts.url}/swagger`,
    `  Metrics    ${facts.url}/metrics`,
    `  Sync       ${facts.syncUrl}  ${seedsOf(facts)}`,
    `  Try        curl${header} -d 'to be or not to be' ${facts.url}/keywords`,
    ...warnings(facts).map((warning) => `  Note       ${warning}`),
  ]
  return `${lines.join('\n')}\n`
}

function foundBy({ names, items, recoveredMs }: BannerFacts): string {
  if (names + items === 0) return 'empty'
  const counted = `${names.toLocaleString('en')} names${items > 0 ? `, ${items.toLocaleString('en')} items` : ''}`
  return `${counted}, read in ${(recoveredMs / 1000).toFixed(1)} s`
}

function seedsOf({ seeds }: BannerFacts): string {
  return seeds.length === 0 ? '(no seeds: others may join)' : `(seeds: ${seeds.join(', ')})`
}

/** What the operator should know although nothing is wrong; logged as well. */
export function warnings({ fsync }: Pick<BannerFacts, 'fsync'>): string[] {
  return fsync === 'always' ? [] : [`With COUNTER_FSYNC=${fsync} a power cut may lose acknowledged increments.`]
}
