// Faults of agreement that are planted in a copy of the source, one at a time; see mutants.ts.
//
//   npm run mutants -- cluster      these alone

import type { Mutant } from './mutants.ts'

const CLIENT = 'lib/syncsrv/exchange-client.ts'
const FOLDING = 'lib/cluster/folding.ts'
const JOIN = 'lib/syncsrv/join.ts'
const LEVELS = 'lib/syncsrv/levels.ts'
const MEMBERSHIP = 'lib/cluster/membership.ts'
const SERVER = 'lib/syncsrv/exchange-server.ts'
const SINCE = 'lib/storage/since.ts'

const PLANTED: readonly Omit<Mutant, 'cluster'>[] = [
  {
    name: 'the vector comes first',
    file: SINCE,
    from: '  if (answer.from < ITEMS_FROM) yield*',
    to: `  const early = new ByteWriter()
  early.uint8(DELTA_VERSION)
  writeVector(early, answer.vector)
  yield { delta: early.written(), cells: 0, nextChunk: answer.from }
  if (answer.from < ITEMS_FROM) yield*`,
  },
  {
    name: 'an answer that is resumed says the vector of now',
    file: SERVER,
    from: '{ ...start, vector: view.shown(start.vector) }',
    to: '{ ...start, vector: view.own }',
  },
  {
    name: 'an answer goes on one step too far',
    file: CLIENT,
    from: 'this.#resumes.set(node, { ...resume, chunk: nextChunk })',
    to: 'this.#resumes.set(node, { ...resume, chunk: nextChunk + 1 })',
  },
  {
    name: 'an answer does not wait for the disk',
    file: SERVER,
    from: 'await (store.settled() ?? nextTurn(clock))',
    to: 'await nextTurn(clock)',
  },
  {
    name: 'a vector is told before it is on disk',
    file: 'lib/syncsrv/site.ts',
    from: '    await this.options.store.settled()\n    return vector',
    to: '    return vector',
  },
  {
    name: 'what is newer by one is not sent',
    file: SINCE,
    from: 'if ((columns[at]!.highest[chunk] ?? 0) > beyond[at]!) newer',
    to: 'if ((columns[at]!.highest[chunk] ?? 0) > beyond[at]! + 1) newer',
  },
  {
    name: 'the incarnation is kept although a member does not answer',
    file: JOIN,
    from: '    if (this.#missing.size === 0) return undefined\n',
    to: '    if (this.#missing.size >= 0) return undefined\n',
  },
  {
    name: 'the incarnation is kept although a member knows more',
    file: JOIN,
    from: '    if (this.#knowsMore) return this.#knowsMore\n',
    to: '',
  },
  {
    name: 'the incarnation is kept although another process may write',
    file: JOIN,
    from: '      this.#unproven = address\n',
    to: '      this.#unproven ??= undefined && address\n',
    test: 'test/syncsrv/join.test.ts',
  },
  {
    name: 'a clone of a living node starts',
    file: JOIN,
    from: '    if (!holdsId && sender.life > this.#site.life) return\n',
    to: '    if (holdsId || sender.life > this.#site.life) return\n',
  },
  {
    name: 'members are not saved',
    file: 'lib/persistence/members.ts',
    from: 'await replaceFile(disk, directory, MEMBERS_NAME, async () => whole)',
    to: 'await Promise.resolve([replaceFile, disk, directory, whole])',
  },
  {
    name: 'a node counts twice for its level',
    file: LEVELS,
    from: 'const reached = holders.length + 1',
    to: 'const reached = holders.length + 2',
  },
  {
    name: 'only living members count for a level',
    file: LEVELS,
    from: 'const others = roster.others()\n    const holders',
    to: "const others = roster.others().filter(({ state }) => state === 'alive')\n    const holders",
  },
  {
    name: 'a session is not waited for',
    file: LEVELS,
    from: '(vector: { get(replica: ReplicaId): number }, entries: readonly WriteAt[]): boolean {\n',
    to: '(vector: { get(replica: ReplicaId): number }, entries: readonly WriteAt[]): boolean {\n  if (entries.length > 1) return true\n',
  },
  {
    name: 'digests are not compared',
    file: 'lib/syncsrv/upkeep.ts',
    from: 'if (digestIntervalMs > 0)',
    to: 'if (digestIntervalMs < 0)',
  },
  {
    name: 'a node leaves before the others know all',
    file: 'lib/syncsrv/handover.ts',
    from: 'return living.length > 0 && missing.length === 0 ? undefined : missing',
    to: 'return living.length > 0 ? undefined : missing',
  },
  {
    name: 'a node folds what not all know',
    file: FOLDING,
    from: '    if (others.some((other) => other.get(replica) !== seq)) break\n',
    to: '',
  },
  {
    name: 'a node folds what it does not know whole',
    file: FOLDING,
    from: 'return open.length === known.size && open.every(({ incarnation, seq }) => known.get(incarnation) === seq)',
    to: 'return open.length >= 0 || known.size > 0',
  },
  {
    name: 'what is folded counts twice',
    file: 'lib/storage/fold.ts',
    from: 'if (incarnation <= before || source.seqOf(row) === 0) continue',
    to: 'if (source.seqOf(row) === 0) continue',
  },
  {
    name: 'folds are not done',
    file: FOLDING,
    from: 'if (agreed.length < FOLD_AT_LEAST || unknown) return undefined',
    to: 'if (agreed.length >= 0 || unknown) return undefined',
  },
  {
    name: 'a new incarnation is that of the clock alone',
    file: 'lib/persistence/identity.ts',
    from: 'timely > above ? timely : above + 1 + bits',
    to: 'timely > 0 ? timely : above + 1 + bits',
  },
  {
    name: 'a removed node is not told',
    file: SERVER,
    from: '    if (!roster.removed(node, incarnation)) return undefined\n',
    to: '    if (incarnation >= 0) return undefined\n',
  },
  {
    name: 'an accusation is not refuted',
    file: MEMBERSHIP,
    from: 'const edition = agrees ? member.edition : Math.min(member.edition + 1, EDITION_MAX)',
    to: 'const edition = member.edition',
    test: 'test/cluster/membership.test.ts',
  },
  {
    name: 'who left comes back by a greater edition',
    file: 'lib/cluster/precedence.ts',
    from: "    Number(a.state === 'left') - Number(b.state === 'left') ||\n",
    to: '',
    test: 'test/cluster/membership.test.ts',
  },
  {
    name: 'an earlier life speaks for the present one',
    file: 'lib/syncsrv/peers.ts',
    from: 'const sameLife = before?.life === life',
    to: 'const sameLife = before !== undefined',
  },
]

export const CLUSTER_MUTANTS: readonly Mutant[] = PLANTED.map((mutant) => ({
  ...mutant,
  name: `cluster: ${mutant.name}`,
  cluster: true,
}))
