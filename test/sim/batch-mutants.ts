// Faults of batches that all members keep or none, planted in a copy of the source, one at a time; see mutants.ts. Each names the test that
// must see it. Faults that are planted in a running cluster: test/syncsrv/batch-faults.ts.
//
//   npm run mutants -- batches      these alone

import type { Mutant } from './mutants.ts'

const BALLOT = 'lib/cluster/ballot.ts'
const COORDINATOR = 'lib/syncsrv/acceptance.ts'
const PREPARED = 'lib/syncsrv/acceptance-prepared.ts'
const BALLOT_TEST = 'test/cluster/ballot.test.ts'
const TEST = 'test/syncsrv/acceptance.test.ts'
const HISTORY = 'test/syncsrv/acceptance-history.test.ts'

const PLANTED: readonly Omit<Mutant, 'cluster'>[] = [
  {
    name: 'who is silent has accepted',
    file: BALLOT,
    from: 'this.refuse({ node, code, reason })',
    to: 'this.accept(node)',
    test: BALLOT_TEST,
  },
  {
    name: 'half of the members are a majority',
    file: BALLOT,
    from: 'Math.floor(members / 2)',
    to: 'Math.floor((members - 1) / 2)',
    test: BALLOT_TEST,
  },
  {
    name: 'who is dead does not count in a majority',
    file: BALLOT,
    from: 'asked.length + absent.length + 1',
    to: 'asked.length + 1',
    test: BALLOT_TEST,
  },
  {
    name: 'a batch that was refused is written',
    file: COORDINATOR,
    from: "if (ballot.verdict === 'refused') {",
    to: "if (ballot.verdict === 'open') {",
    test: HISTORY,
  },
  {
    name: 'who is dead is asked',
    file: COORDINATOR,
    from: ".filter(({ state }) => state !== 'dead')",
    to: '.filter(() => true)',
    test: TEST,
  },
  {
    name: 'who is suspect is not asked',
    file: COORDINATOR,
    from: ".filter(({ state }) => state !== 'dead')",
    to: ".filter(({ state }) => state === 'alive')",
    test: TEST,
  },
  {
    name: 'nobody is told of an abort',
    file: COORDINATOR,
    from: 'encodeAbort(transaction), {',
    to: 'new Uint8Array(0), {',
    test: TEST,
  },
  {
    name: 'what could not be written is not aborted',
    file: COORDINATOR,
    from: 'if (!isUnknown) this.#abort(transaction, ballot)',
    to: 'if (isUnknown) this.#abort(transaction, ballot)',
    test: TEST,
  },
  {
    name: 'two requests with one key are put to the vote',
    file: COORDINATOR,
    from: 'const under = this.#keys.get(key)',
    to: 'const under = undefined as Uint8Array | undefined',
    test: TEST,
  },
  { name: 'a key stays taken', file: COORDINATOR, from: '      this.#keys.delete(once.key)\n', to: '', test: TEST },
  { name: 'anybody speaks of a batch', file: COORDINATOR, from: 'if (node !== from)', to: 'if (node === -1)', test: TEST },
  { name: 'a promise is given before its note is kept', file: PREPARED, from: '      await kept\n', to: '', test: TEST },
  { name: 'a promise never expires', file: PREPARED, from: '      this.#run(this.#drop(key))\n', to: '', test: TEST },
  {
    name: 'promises are forgotten at a restart',
    file: PREPARED,
    from: 'this.#restore(key, value)\n',
    to: 'void [key, value, this.#restore]\n',
    test: TEST,
  },
  {
    name: 'an abort does not wait for the note',
    file: PREPARED,
    from: '    await prepared.kept.catch(() => {})\n    await this.#forget(key)',
    to: '    await this.#forget(key)',
    test: TEST,
  },
  {
    name: 'a commit does not wait for the note',
    file: PREPARED,
    from: '    await prepared?.kept.catch(() => {})\n',
    to: '',
    test: TEST,
  },
  {
    name: 'a commit leaves the note',
    file: PREPARED,
    from: '    this.#run(this.#forget(key))\n    await merged',
    to: '    await merged',
    test: TEST,
  },
  {
    name: 'a commit makes more known than it is',
    file: PREPARED,
    from: 'known.get(at.replica) === at.seq - 1',
    to: 'known.get(at.replica) < at.seq',
    test: HISTORY,
  },
  {
    name: 'a commit does not make known what it is',
    file: PREPARED,
    from: 'known.get(at.replica) === at.seq - 1',
    to: 'known.get(at.replica) === at.seq',
    test: TEST,
  },
  {
    name: 'promised room is not counted',
    file: PREPARED,
    from: '      promisedItems += promised.newItems\n',
    to: '',
    test: TEST,
  },
  { name: 'the own room is not counted', file: PREPARED, from: '    this.#promised.add(promised)\n', to: '', test: TEST },
  {
    name: 'room that was promised is never given back',
    file: PREPARED,
    from: '    this.#promised.delete(prepared)\n',
    to: '',
    test: TEST,
  },
  { name: 'stamps are not looked at', file: PREPARED, from: '    store.checkStamp(stamp)\n', to: '    void stamp\n', test: TEST },
  {
    name: 'a node that ends goes on promising',
    file: PREPARED,
    from: 'if (this.#ending) throw',
    to: 'if (this.#kept.size < 0) throw',
    test: TEST,
  },
]

export const BATCH_MUTANTS: readonly Mutant[] = PLANTED.map((mutant) => ({
  ...mutant,
  name: `batches: ${mutant.name}`,
  cluster: true,
}))
