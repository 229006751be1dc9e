// Random histories of the etcd engine are such as one sequence can have shown; and with a fault planted in what the engine rests on, or in
// the engine's own records, some are not: so the checker would see it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { CounterError } from '../../lib/base/errors.ts'
import type { ConsensusKv, KvEntry, Txn, TxnResult } from '../../lib/sequence/kv.ts'
import type { Taken } from './history.ts'
import { type HistoryOptions, randomHistory } from './random-history.ts'

const test = suite('sequence/random-history')

const FIRST = Number(process.env.SEED ?? 1)
const HISTORIES = 60

test('each number is given once, in order, and only unknown calls leave gaps', async () => {
  const sum = { calls: 0, unknown: 0, nothing: 0, replayed: 0 }
  for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) {
    const { found, ...counts } = await randomHistory({ seed, nodes: 1 + (seed % 4), compactRevisions: seed % 2 === 0 ? 20 : 0 })
    assert.equal(found, [], `seed ${seed}`)
    for (const name of ['calls', 'unknown', 'nothing', 'replayed'] as const) sum[name] += counts[name]
  }
  // Histories in which nothing happens show nothing.
  for (const [what, count] of Object.entries(sum)) assert.ok(count > HISTORIES, `${count} ${what} in ${HISTORIES} histories`)
})

/** A store that passes everything on, but for what is replaced. */
const passing = (kv: ConsensusKv, replaced: Partial<ConsensusKv>): ConsensusKv => ({
  txn: (txn) => kv.txn(txn),
  read: (keys) => kv.read(keys),
  range: (range) => kv.range(range),
  grantLease: (ttlSeconds) => kv.grantLease(ttlSeconds),
  keepAlive: (lease) => kv.keepAlive(lease),
  revokeLease: (lease) => kv.revokeLease(lease),
  compact: (revision) => kv.compact(revision),
  status: () => kv.status(),
  close: () => kv.close(),
  ...replaced,
})

const withoutBatches = (entry: KvEntry | undefined): KvEntry | undefined =>
  entry?.key.startsWith('counter/value/')
    ? { ...entry, value: JSON.stringify({ ...JSON.parse(entry.value), batches: [] }) }
    : entry

const FAULTS: Record<string, () => (kv: ConsensusKv) => ConsensusKv> = {
  'a transaction that does not compare': () => (kv) =>
    passing(kv, {
      txn: (txn) => kv.txn({ ...txn, compare: txn.compare.filter(({ key }) => !key.startsWith('counter/value/')) }),
    }),
  'a transaction that is sent again with what it finds': () => (kv) =>
    passing(kv, {
      async txn(txn) {
        try {
          return await kv.txn(txn)
        } catch (error) {
          if (!(error instanceof CounterError) || error.code !== 'SEQUENCE_UNKNOWN' || txn.compare.length === 0) throw error
          return again(kv, txn)
        }
      },
    }),
  'records that do not say which batches are in them': () => (kv) =>
    passing(kv, {
      async txn(txn) {
        const result = await kv.txn(txn)
        return { ...result, entries: result.entries.map(withoutBatches) }
      },
      async read(keys) {
        const result = await kv.read(keys)
        return { ...result, entries: result.entries.map(withoutBatches) }
      },
    }),
  'keys that are not looked at': () => (kv) =>
    passing(kv, {
      txn: (txn) => kv.txn({ ...txn, compare: txn.compare.filter(({ key }) => !key.startsWith('counter/key/')) }),
    }),
  'stale reads': () => {
    const past: { keys: string; entries: readonly (KvEntry | undefined)[] }[] = []
    return (kv) =>
      passing(kv, {
        async read(keys) {
          const result = await kv.read(keys)
          past.push({ keys: keys.join(), entries: result.entries })
          const before = past.filter((one) => one.keys === keys.join())
          return { ...result, entries: before[Math.max(before.length - 4, 0)]!.entries }
        },
      })
  },
}

/** What must not be done: it asks for more numbers, whatever has become of those asked for before. */
async function again(kv: ConsensusKv, txn: Txn): Promise<TxnResult> {
  const key = txn.compare[0]!.key
  const [entry] = (await kv.read([key])).entries
  const wanted = JSON.parse(txn.success[0]!.value!)
  const before = entry === undefined ? { value: 0 } : JSON.parse(entry.value)
  const value = JSON.stringify({ ...wanted, value: Math.max(before.value, wanted.value) + 1 })
  const compare = [{ key, modRevision: entry?.modRevision ?? 0 }, ...txn.compare.slice(1)]
  return kv.txn({ ...txn, compare, success: [{ key, value }, ...txn.success.slice(1)] })
}

/** Some history with this fault is not well. */
async function sees(options: () => Omit<HistoryOptions, 'seed'>): Promise<void> {
  for (let seed = FIRST; seed < FIRST + 200; seed++) {
    const { found } = await randomHistory({ seed, ...options() })
    if (found.length > 0) return
  }
  assert.unreachable('200 histories were well')
}

for (const [fault, plant] of Object.entries(FAULTS)) {
  test(`the checker sees ${fault}`, () => sees(() => ({ between: plant() })))
}

test('the checker sees an engine that says that nothing was done when it does not know', () =>
  sees(() => ({ told: (outcome) => (outcome === 'unknown' ? 'nothing' : outcome) })))

test('the checker sees numbers that change places', () =>
  sees(() => {
    let before: Taken['outcome'] = 'nothing'
    return {
      told(outcome) {
        const given = before
        before = outcome
        return typeof outcome === 'string' || typeof given === 'string' ? outcome : given
      },
    }
  }))

test.run()
