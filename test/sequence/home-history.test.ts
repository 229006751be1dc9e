// Random histories of a home are such as one sequence can have shown, also when the home loses its directory or moves; and with a fault planted
// in what the engine rests on some are not: so the checker would see it.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { decodeRequest } from '../../lib/sequence/home-messages.ts'
import { encodeAgreement, encodeOpinion } from '../../lib/sequence/home-opinions.ts'
import { homeHistory } from './home-history.ts'
import type { Between } from './home-world.ts'

const test = suite('sequence/home-history')

const FIRST = Number(process.env.SEED ?? 1)
const HISTORIES = 20

for (const losses of [false, true]) {
  test(`each number is given once, in order${losses ? ', whatever is lost' : '; only unknown calls leave gaps'}`, async () => {
    const sum = { given: 0, unknown: 0, nothing: 0, losses: 0 }
    for (let seed = FIRST; seed < FIRST + HISTORIES; seed++) {
      const { found, ...counts } = await homeHistory({ seed, losses })
      assert.equal(found, [], `seed ${seed}`)
      for (const name of ['given', 'unknown', 'nothing', 'losses'] as const) sum[name] += counts[name]
    }
    // Histories in which nothing happens show nothing.
    assert.ok(sum.given > 20 * HISTORIES, `${sum.given} calls got numbers`)
    assert.ok(sum.unknown > HISTORIES && sum.nothing > HISTORIES, `${sum.unknown} unknown, ${sum.nothing} refused`)
    if (losses) assert.ok(sum.losses > HISTORIES, `${sum.losses} losses`)
  })
}

const forgetful: NonNullable<Between['peers']> = (peers) => ({
  ...peers,
  serve: (service, answer) =>
    peers.serve(service, async (payload, node) => {
      const { kind } = decodeRequest(payload)
      if (kind !== 'ask') return answer(payload, node)
      const members = [peers.node, ...peers.members().map((member) => member.node)]
      return encodeOpinion({ tenure: undefined, holding: 'none', home: node, members, marks: [], total: 0 })
    }),
})

const FAULTS: Record<string, { between: Between; losses: boolean }> = {
  'calls that are carried out twice': {
    losses: false,
    between: {
      peers: (peers) => ({
        ...peers,
        async call(...args) {
          await peers.call(...args)
          return peers.call(...args)
        },
      }),
    },
  },
  'members that forget what they have heard': { losses: true, between: { peers: forgetful } },
  'a log that forgets, and members that tell nobody': {
    losses: false,
    between: {
      notes: (notes) => ({
        notesUnder: (prefix) => notes.notesUnder(prefix),
        settled: () => notes.settled(),
        keepNotes: async (changes) =>
          changes.some(([key]) => key.startsWith('sequence/')) ? undefined : notes.keepNotes(changes),
      }),
      peers: (peers) => ({
        ...forgetful(peers),
        call: (node, service, payload, options) =>
          decodeRequest(payload).kind === 'tell'
            ? Promise.resolve(encodeAgreement(true))
            : peers.call(node, service, payload, options),
      }),
    },
  },
}

for (const [fault, { between, losses }] of Object.entries(FAULTS)) {
  test(`the checker sees ${fault}`, async () => {
    for (let seed = FIRST; seed < FIRST + 100; seed++) {
      const { found } = await homeHistory({ seed, between, losses })
      if (found.length > 0) return
    }
    assert.unreachable('100 histories were well')
  })
}

test.run()
