// What tests of clusters ask of running nodes: counts by the API of the original, the members, metrics; and waiting until an answer is as it
// should be, with a limit.

import { Assertion } from 'uvu/assert'
import { type NodeProcess, PATIENCE_MS } from '../support/process.ts'

export interface MemberView {
  readonly node: number
  readonly incarnation: number
  readonly state: 'alive' | 'suspect' | 'dead' | 'left'
  readonly self: boolean
  readonly address: string
  readonly url: string | null
  readonly heardSecondsAgo: number | null
  readonly lacks: { readonly changes: number; readonly seconds: number } | null
  readonly ahead: { readonly changes: number; readonly seconds: number } | null
}

export interface ClusterView {
  readonly node: number
  readonly incarnation: number
  readonly agreed: boolean
  readonly draining: boolean
  readonly members: readonly MemberView[]
}

type Asked = Pick<NodeProcess, 'url'>

/** GET /v1/cluster. */
export async function clusterOf({ url }: Asked): Promise<ClusterView> {
  return (await (await fetch(`${url}/v1/cluster`)).json()) as ClusterView
}

/** The states of the members as a node sees them, by node id. */
export async function statesOf(node: Asked): Promise<Record<number, string>> {
  const { members } = await clusterOf(node)
  return Object.fromEntries(members.map(({ node, state }) => [node, state]))
}

/** Posts a text as a user of the original does. @throws when it was not counted */
export async function post({ url }: Asked, text: string): Promise<void> {
  const reply = await fetch(`${url}/keywords`, { method: 'POST', body: text })
  if (reply.status !== 200) throw new Error(`${url} answered ${reply.status}: ${await reply.text()}`)
  await reply.arrayBuffer()
}

/** Reads as a user of the original does: word and count. */
export async function read({ url }: Asked, words: readonly string[]): Promise<Record<string, number>> {
  const reply = await fetch(`${url}/keywords?${words.map((word) => `keywords=${encodeURIComponent(word)}`).join('&')}`)
  const counts = (await reply.json()) as Array<{ key: string; count: number }>
  return Object.fromEntries(counts.map(({ key, count }) => [key, count]))
}

/** The value of a metric: of all its lines that have these labels, the sum. */
export async function metricOf({ url }: Asked, name: string, label = ''): Promise<number> {
  const text = await (await fetch(`${url}/metrics`)).text()
  const lines = text.split('\n').filter((line) => new RegExp(`^${name}[ {]`).test(line) && line.includes(label))
  return lines.reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0)
}

/**
 * Asks again and again until the answer is as it should be, and gives it. A question that fails is asked again, but for what is asserted: that must
 * never be.
 * @param what for the message: what was waited for
 * @throws Error when time is up, with the last answer
 * @throws Assertion of `ask` or `holds`, at once
 */
export async function until<T>(what: string, ask: () => T | Promise<T>, holds: (answer: T) => boolean): Promise<T> {
  const endMs = performance.now() + PATIENCE_MS
  for (;;) {
    let last: unknown
    try {
      const answer = await ask()
      if (holds(answer)) return answer
      last = JSON.stringify(answer)
    } catch (error) {
      if (error instanceof Assertion) throw error
      last = error
    }
    if (performance.now() > endMs) throw new Error(`${what}: not within ${PATIENCE_MS} ms. Last: ${last}`)
    await new Promise((done) => setTimeout(done, 25))
  }
}

/** Waits until each of the nodes reads the same. */
export async function untilAllRead(nodes: readonly Asked[], expected: Readonly<Record<string, number>>): Promise<void> {
  const words = Object.keys(expected)
  const wanted = JSON.stringify(nodes.map(() => expected))
  await until(
    `all read ${JSON.stringify(expected)}`,
    () => Promise.all(nodes.map((node) => read(node, words))),
    (all) => JSON.stringify(all) === wanted,
  )
}
