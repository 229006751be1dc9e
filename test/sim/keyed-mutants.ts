// Faults of writes with idempotency keys that are planted in a copy of the source, one at a time; see mutants.ts.
//
//   npm run mutants -- keys:      these alone

import type { Mutant } from './mutants.ts'

const REPLIES = 'lib/storage/replies.ts'
const SETTLING = 'lib/syncsrv/settling.ts'
const SINCE = 'lib/storage/since.ts'
const SNAPSHOT = 'lib/persistence/snapshot.ts'
const WRITES = 'lib/persistence/keyed-writes.ts'
const TENTATIVE = 'lib/storage/tentative.ts'
const WITHDRAWALS = 'lib/persistence/withdrawals.ts'
const KEYED_TEST = 'test/persistence/keyed.test.ts'
const ORDER_TEST = 'test/storage/tentative.test.ts'

const PLANTED: readonly Omit<Mutant, 'cluster'>[] = [
  { name: 'replies are not told', file: SINCE, from: 'if (isLast) head = delta', to: 'if (isLast) head = EMPTY' },
  {
    name: 'the vector is told before the replies',
    file: SINCE,
    from: '  let head: Uint8Array = EMPTY\n',
    to: `  const early = new ByteWriter()
  early.uint8(DELTA_VERSION)
  writeVector(early, answer.vector)
  yield { delta: early.written(), cells: 0, nextChunk: answer.from }
  let head: Uint8Array = EMPTY
`,
  },
  {
    name: 'a reply is given again before what was counted is here',
    file: REPLIES,
    from: '    return known\n',
    to: '    return kept\n',
    test: KEYED_TEST,
  },
  {
    name: 'writes with a key are never tentative',
    file: WRITES,
    from: 'if (!this.#hasOthers) return undefined',
    to: 'if (!this.#hasOthers || batch.count > 0) return undefined',
  },
  {
    name: 'what may have been counted elsewhere is counted for good when there is no room',
    file: WRITES,
    from: '    if (!failover) return undefined\n',
    to: '    if (!failover || bytesMax > 0) return undefined\n',
    test: KEYED_TEST,
  },
  {
    name: 'what is known to be counted elsewhere is counted for good when there is no room',
    file: WRITES,
    from: 'isTold || replies.peek(key) !== undefined',
    to: 'isTold || replies.peek(key) === null',
    test: KEYED_TEST,
  },
  { name: 'of two that are tentative both stay', file: TENTATIVE, from: 'return compare(left, right) < 0', to: 'return false' },
  { name: 'of two that are tentative none stays', file: TENTATIVE, from: 'return compare(left, right) < 0', to: 'return true' },
  {
    name: 'of two at one time both stay',
    file: TENTATIVE,
    from: 'return left.at - right.at || comparePlaces(left.origin!, right.origin!)',
    to: 'return left.at - right.at',
    test: ORDER_TEST,
  },
  {
    name: 'one that cannot be taken back does not make others be',
    file: TENTATIVE,
    from: '  if (!left.tentative) return !isSameWrite(left.origin!, right.origin!)\n',
    to: '',
    test: ORDER_TEST,
  },
  {
    name: 'a key that was forgotten is the same for ever',
    file: TENTATIVE,
    from: ' && Math.abs(left.at - right.at) <= this.#replies.ttlMs',
    to: '',
    test: ORDER_TEST,
  },
  {
    name: 'another request under the same key is taken for the same',
    file: TENTATIVE,
    from: 'return Buffer.compare(left.fingerprint, right.fingerprint) === 0',
    to: 'return left.fingerprint.length === right.fingerprint.length',
    test: ORDER_TEST,
  },
  {
    name: 'a write is taken back before the other one is here',
    file: TENTATIVE,
    from: 'return this.#lost.get(write)?.some((other) => this.#holds(other, write.batch)) ?? false',
    to: 'return this.#lost.has(write)',
    test: KEYED_TEST,
  },
  {
    name: 'a write waits for ever for one that is lost',
    file: TENTATIVE,
    from: 'if (!this.isDue(write)) this.#forget(write)',
    to: 'if (!this.#lost.has(write)) this.#forget(write)',
    test: KEYED_TEST,
  },
  {
    name: 'what one member knows is settled',
    file: TENTATIVE,
    from: 'if (known.some((vector) => vector.get(replica) < seq)) break',
    to: 'if (known.every((vector) => vector.get(replica) < seq)) break',
    test: ORDER_TEST,
  },
  {
    name: 'a write is settled before all is here that a member had counted',
    file: SETTLING,
    from: '    if (!own.covers(heard.ahead)) return\n',
    to: '',
  },
  {
    name: 'members that were not heard are not waited for',
    file: SETTLING,
    from: 'others.map((node) => this.#heard.get(node)?.settled ?? NOTHING)',
    to: 'others.map((node) => this.#heard.get(node)?.settled ?? options.store.vector())',
  },
  {
    name: 'what an earlier life of a member knew is settled',
    file: SETTLING,
    from: 'if (heard?.life !== life) heard',
    to: 'if (heard === undefined) heard',
    test: 'test/syncsrv/settling.test.ts',
  },
  {
    name: 'writes stay tentative',
    file: SETTLING,
    from: 'heard.settled = own.covers(vector) ? vector : heard.ahead',
    to: 'heard.settled = own.covers(vector) ? NOTHING : heard.ahead',
  },
  {
    name: 'what is taken back stays tentative in the log',
    file: WITHDRAWALS,
    from: `    log.append(RECORD_WITHDRAWAL, (writer) => {
      writer.sized(encoder.encode(key))
      writer.varint(origin.replica.node)
      writer.varint(origin.replica.incarnation)
      writer.varint(origin.seq)
`,
    to: `    log.append(RECORD_WITHDRAWAL - 7, (writer) => {
      void [key, origin]
`,
    test: KEYED_TEST,
  },
  {
    name: 'a start does not see what was taken back',
    file: SNAPSHOT,
    from: '      replica.tentative.withdrawn(at, key)\n',
    to: '      void [at, key]\n',
    test: KEYED_TEST,
  },
  {
    name: 'tentative writes are not in snapshots',
    file: SNAPSHOT,
    from: '    [BLOCK_TENTATIVE, tentativeWrites(replica, block)],\n',
    to: '',
    test: KEYED_TEST,
  },
  {
    name: 'tentative writes are tentative under another incarnation',
    file: SNAPSHOT,
    from: 'if (replicaKey(kept.origin.replica) === replicaKey(replica.self)) replica.tentative.add({ batch, kept })',
    to: 'replica.tentative.add({ batch, kept })',
    test: KEYED_TEST,
  },
  {
    name: 'a new incarnation takes back what the last one has counted',
    file: 'lib/storage/replica.ts',
    from: '    else this.tentative.clear()\n',
    to: '    else this.tentative.suspend({ replica: this.self, seq: this.#seq })\n',
    test: KEYED_TEST,
  },
  {
    name: 'a new incarnation does not ask whether there was one between',
    file: 'lib/storage/replica.ts',
    from: ' || this.#hasBeenSince(suspended.replica)',
    to: '',
    test: KEYED_TEST,
  },
  {
    name: 'a disk that fails when a write is taken back ends more than that',
    file: WITHDRAWALS,
    from: '          // The disk is full or fails, or the node stops: who owns the log says so.\n          return\n',
    to: "          throw new Error('the disk fails')\n",
    test: KEYED_TEST,
  },
]

export const KEYED_MUTANTS: readonly Mutant[] = PLANTED.map((mutant) => ({
  ...mutant,
  name: `keys: ${mutant.name}`,
  cluster: true,
}))
