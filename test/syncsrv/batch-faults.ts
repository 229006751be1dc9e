// Faults that are planted in how batches are kept by all or by none: what the tests of crashes and histories must catch, or they see nothing.

import { Ballot } from '../../lib/cluster/index.ts'
import { decodePrepare } from '../../lib/syncsrv/acceptance-codec.ts'
import type { Node } from './cluster.ts'

export interface BatchFault {
  readonly name: string
  /** Plants it in a node that was just opened. */
  readonly plant?: (node: Node) => void
  /** Plants it in all nodes; the function that is returned takes it out. */
  readonly plantInAll?: () => () => void
}

const FAR_SEQ = 1_000_000

export const BATCH_FAULTS: readonly BatchFault[] = [
  {
    name: 'a batch is written when it is promised',
    plant: ({ store }) => {
      const { keepNotes } = store
      store.keepNotes = async (changes) => {
        await keepNotes.call(store, changes)
        for (const [, value] of changes) {
          if (value === undefined) continue
          const { transaction, changes: items, stamp } = decodePrepare(value)
          await store.merge(store.itemsDelta(items, { replica: transaction, seq: FAR_SEQ }, stamp))
        }
      }
    },
  },
  { name: 'a refusal is passed over', plantInAll: () => plantInBallots((code) => code !== 'PEER_UNREACHABLE') },
  { name: 'who is not reached has consented', plantInAll: () => plantInBallots((code) => code === 'PEER_UNREACHABLE') },
  {
    name: 'a batch is acknowledged before it is on disk',
    plant: ({ store }) => {
      const { changeItems } = store
      store.changeItems = async (changes, reply, once) => {
        const written = changeItems.call(store, changes, reply, once)
        const { item, self } = { item: store.item(changes[0]!.id), self: store.self }
        // A reply that is given again, and a refusal.
        if (item === undefined || once !== undefined) return written
        written.catch(() => {})
        return { ...reply(), replayed: false, at: { replica: self, seq: store.vector().get(self) }, stamp: item.stamp }
      }
    },
  },
  {
    name: 'a commit is written in two parts',
    plant: ({ store }) => {
      const { itemsDelta } = store
      store.itemsDelta = (changes, at, stamp) => {
        const rest = itemsDelta.call(store, changes.slice(1), at, stamp)
        queueMicrotask(() => void store.settled()?.then(() => store.merge(rest)))
        return itemsDelta.call(store, changes.slice(0, 1), at, stamp)
      }
    },
  },
  {
    name: 'a commit is written under another stamp',
    plant: ({ store }) => {
      const { itemsDelta } = store
      store.itemsDelta = (changes, at, stamp) => itemsDelta.call(store, changes, at, stamp + 1)
    },
  },
  {
    name: 'a coordinator does not write what it commits',
    plant: ({ store }) => {
      store.changeItems = async (_, reply) => {
        return { ...reply(), replayed: false, at: { replica: store.self, seq: FAR_SEQ }, stamp: store.nextStamp() }
      }
    },
  },
  {
    name: 'promises are never taken back',
    plant: ({ store }) => {
      const { keepNotes } = store
      store.keepNotes = (changes) =>
        keepNotes.call(
          store,
          changes.filter(([, value]) => value !== undefined),
        )
    },
  },
]

/** Refusals with such codes count as consent. */
function plantInBallots(counts: (code: string) => boolean): () => void {
  const { refuse } = Ballot.prototype
  Ballot.prototype.refuse = function (refusal) {
    if (counts(refusal.code)) this.accept(refusal.node)
    else refuse.call(this, refusal)
  }
  return () => {
    Ballot.prototype.refuse = refuse
  }
}
