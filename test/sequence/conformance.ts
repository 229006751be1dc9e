// What every engine of sequences has to do, as one suite. An engine brings a world: one node or several that share the sequences, and a way
// to wait, which is where virtual worlds move their time.

import type { Test } from 'uvu'
import * as assert from 'uvu/assert'
import type { CounterError } from '../../lib/base/errors.ts'
import { SEQUENCE_COUNT_MAX, SEQUENCE_MAX, SEQUENCE_NAME_BYTES_MAX, type Sequencer } from '../../lib/sequence/index.ts'

export interface World {
  /** Of each node one; they give numbers of the same sequences. */
  readonly nodes: readonly Sequencer[]
  readonly keyTtlMs: number
  /** Waits for an answer. */
  settle<T>(promise: Promise<T>): Promise<T>
  /** Lets time go by, as long as keys are kept; undefined where that takes real hours. */
  readonly pass?: (ms: number) => Promise<void>
  /** All nodes end in a disorderly way and start again. */
  readonly restart?: () => Promise<readonly Sequencer[]>
  end(): Promise<void>
}

export function conformance(test: Test, open: () => Promise<World>): void {
  const given = (what: string, check: (world: World, first: Sequencer, last: Sequencer) => Promise<void>): void => {
    test(what, async () => {
      const world = await open()
      try {
        await check(world, world.nodes[0]!, world.nodes.at(-1)!)
      } finally {
        await world.end()
      }
    })
  }

  given('numbers start at 1 and go up by one, on any node, each name by itself', async ({ settle, nodes }, first) => {
    assert.is(await settle(first.get('a')), 0)
    for (let round = 1; round <= 5; round++) {
      const node = nodes[round % nodes.length]!
      assert.equal(await settle(node.next('a')), { first: round, last: round, replayed: false })
      for (const other of nodes) assert.is(await settle(other.get('a')), round)
    }
    assert.equal(await settle(first.next('b')), { first: 1, last: 1, replayed: false })
  })

  given('many numbers at once are a range of their own', async ({ settle }, first, last) => {
    assert.equal(await settle(first.next('a', { count: SEQUENCE_COUNT_MAX })), { first: 1, last: 1_000_000, replayed: false })
    assert.equal(await settle(last.next('a', { count: 3 })), { first: 1_000_001, last: 1_000_003, replayed: false })
    assert.is(await settle(first.get('a')), 1_000_003)
  })

  given('calls at the same time get different numbers without a gap', async ({ settle, nodes }) => {
    const calls = Array.from({ length: 200 }, (_, index) =>
      nodes[index % nodes.length]!.next(index % 3 === 0 ? 'a' : 'b', {
        count: 1 + (index % 2),
        ...(index % 5 === 0 && { key: `k${index}` }),
      }),
    )
    const numbers = await settle(Promise.all(calls))
    for (const which of [true, false]) {
      const mine = numbers.filter((_, index) => (index % 3 === 0) === which).sort((a, b) => a.first - b.first)
      let next = 1
      for (const { first, last, replayed } of mine) {
        assert.is(first, next)
        assert.is(replayed, false)
        next = last + 1
      }
      assert.is(await settle(nodes[0]!.get(which ? 'a' : 'b')), next - 1)
    }
  })

  given('the same key gets the same numbers on every node, and takes no more', async ({ settle, nodes }, first) => {
    const before = await settle(first.next('a', { count: 2, key: 'k' }))
    assert.equal(before, { first: 1, last: 2, replayed: false })
    for (const node of nodes)
      assert.equal(await settle(node.next('a', { count: 2, key: 'k' })), { first: 1, last: 2, replayed: true })
    assert.is(await settle(first.get('a')), 2)
    assert.equal(
      await settle(first.next('b', { count: 2, key: 'k' })),
      { first: 1, last: 2, replayed: false },
      'of another sequence',
    )
  })

  given('one key asked for at the same time everywhere gets one number', async ({ settle, nodes }, first) => {
    const calls = Array.from({ length: 12 }, (_, index) => nodes[index % nodes.length]!.next('a', { key: 'k' }))
    const numbers = await settle(Promise.all(calls))
    for (const { first, last } of numbers) assert.equal([first, last], [1, 1])
    assert.is(numbers.filter(({ replayed }) => !replayed).length, 1, 'one of them is the first')
    assert.is(await settle(first.get('a')), 1)
  })

  given('a key that comes with another count is refused, and nothing is taken', async ({ settle }, first, last) => {
    await settle(first.next('a', { count: 2, key: 'k' }))
    assert.is((await refusal(settle(last.next('a', { count: 3, key: 'k' })))).code, 'KEY_REUSED')
    assert.is(await settle(first.get('a')), 2)
  })

  given('a key is forgotten after its time', async ({ settle, pass, keyTtlMs }, first, last) => {
    if (pass === undefined) return
    await settle(first.next('a', { key: 'k' }))
    await pass(keyTtlMs / 2)
    assert.equal(await settle(last.next('a', { key: 'k' })), { first: 1, last: 1, replayed: true })
    await pass(keyTtlMs)
    assert.equal(await settle(last.next('a', { key: 'k' })), { first: 2, last: 2, replayed: false })
    assert.equal(await settle(first.next('a', { key: 'k' })), { first: 2, last: 2, replayed: true })
  })

  given('the last number is 2^53 - 1; past it nothing is taken', async ({ settle }, first, last) => {
    await settle(first.set('a', SEQUENCE_MAX - 3, { force: false }))
    assert.is((await refusal(settle(last.next('a', { count: 4 })))).code, 'SEQUENCE_EXHAUSTED')
    assert.equal(await settle(last.next('a', { count: 2 })), { first: SEQUENCE_MAX - 2, last: SEQUENCE_MAX - 1, replayed: false })
    const calls = await Promise.allSettled([first.next('a'), first.next('a'), first.next('a')].map((call) => settle(call)))
    assert.equal(calls.map(({ status }) => status).sort(), ['fulfilled', 'rejected', 'rejected'], 'the last one is still given')
    assert.is(await settle(first.get('a')), SEQUENCE_MAX)
  })

  given('a restored value goes forward only, unless it is forced', async ({ settle }, first, last) => {
    await settle(first.set('a', 10, { force: false }))
    assert.is(await settle(last.get('a')), 10)
    assert.equal(await settle(last.next('a')), { first: 11, last: 11, replayed: false })
    assert.is((await refusal(settle(first.set('a', 10, { force: false })))).code, 'SEQUENCE_BACKWARDS')
    await settle(first.set('a', 11, { force: false }))
    assert.is(await settle(last.get('a')), 11)
    await settle(first.set('a', 5, { force: true }))
    assert.equal(await settle(last.next('a')), { first: 6, last: 6, replayed: false })
    await settle(first.set('a', 0, { force: true }))
    assert.equal(await settle(last.next('a')), { first: 1, last: 1, replayed: false })
  })

  given('a list is sorted by bytes, and goes on after any name', async ({ settle, nodes }, first, last) => {
    const empty = await settle(last.list({ prefix: '', after: undefined, limit: 10 }))
    assert.equal(empty, { sequences: [], more: false })
    // In UTF-16 the pair of \u{1f600} comes before \uff5e, in UTF-8 after it.
    const names = ['a', 'a/', 'a/b', 'aa', 'b', '\uff5e', '\u{1f600}']
    for (const [index, name] of names.entries()) await settle(nodes[index % nodes.length]!.next(name, { count: index + 1 }))
    const all = await settle(last.list({ prefix: '', after: undefined, limit: 7 }))
    assert.equal(
      all.sequences,
      names.map((name, index) => ({ name, value: index + 1 })),
    )
    assert.is(all.more, false)
    const listed: string[] = []
    for (let after: string | undefined; ; ) {
      const page = await settle(first.list({ prefix: '', after, limit: 3 }))
      listed.push(...page.sequences.map(({ name }) => name))
      after = listed.at(-1)
      if (!page.more) break
    }
    assert.equal(listed, names)
    const named = async (prefix: string, after?: string) =>
      (await settle(first.list({ prefix, after, limit: 9 }))).sequences.map(({ name }) => name)
    assert.equal(await named('a/'), ['a/', 'a/b'])
    assert.equal(await named('a', 'a'), ['a/', 'a/b', 'aa'])
    assert.equal(await named('a', 'b'), [])
    assert.equal(await named('b', 'a/'), ['b'])
    assert.equal(await named('\u{1f600}'), ['\u{1f600}'])
  })

  given(
    'frozen sequences give no number and no other value, but those that were given again',
    async ({ settle, nodes }, first) => {
      await settle(first.next('a', { key: 'k', count: 4 }))
      await settle(first.freeze())
      await settle(first.freeze())
      for (const node of nodes) {
        assert.is((await refusal(settle(node.next('a')))).code, 'SEQUENCE_FROZEN')
        assert.is((await refusal(settle(node.next('new')))).code, 'SEQUENCE_FROZEN')
        assert.is((await refusal(settle(node.set('a', 9, { force: true })))).code, 'SEQUENCE_FROZEN')
        assert.is(await settle(node.get('a')), 4)
        assert.is((await settle(node.status())).frozen, true)
        assert.equal(await settle(node.next('a', { key: 'k', count: 4 })), { first: 1, last: 4, replayed: true })
      }
      await settle(first.thaw())
      assert.equal(await settle(nodes.at(-1)!.next('a')), { first: 5, last: 5, replayed: false })
      assert.is((await settle(first.status())).frozen, false)
    },
  )

  given('names are text of 1 to 512 bytes, of any characters', async ({ settle }, first, last) => {
    for (const name of ['', '\ud800']) {
      assert.is((await refusal(settle(first.next(name)))).code, 'NAME_INVALID')
      assert.is((await refusal(settle(first.get(name)))).code, 'NAME_INVALID')
      assert.is((await refusal(settle(first.set(name, 1, { force: true })))).code, 'NAME_INVALID')
    }
    const long = 'ü'.repeat(SEQUENCE_NAME_BYTES_MAX / 2)
    assert.is((await refusal(settle(first.next(`${long}x`)))).code, 'NAME_TOO_LONG')
    for (const name of [long, '\0', '/', 'a/b', '%2F', '../x', ' ', '"\\', '\u{10ffff}', '\n']) {
      assert.equal(await settle(first.next(name, { key: `${'k'.repeat(254)}/` })), { first: 1, last: 1, replayed: false }, name)
      assert.is(await settle(last.get(name)), 1)
    }
  })

  given('numbers and keys are there after a disorderly end', async (world) => {
    if (world.restart === undefined) return
    const { settle } = world
    let nodes = world.nodes
    for (let round = 0; round < 5; round++) {
      for (const node of nodes) await settle(node.next('a'))
      const { first } = await settle(nodes[0]!.next('a', { key: `k${round}` }))
      const value = (nodes.length + 1) * (round + 1)
      assert.is(first, value)
      nodes = await world.restart()
      assert.is(await settle(nodes.at(-1)!.get('a')), value)
      assert.equal(await settle(nodes.at(-1)!.next('a', { key: `k${round}` })), { first, last: first, replayed: true })
    }
    await settle(nodes[0]!.freeze())
    nodes = await world.restart()
    assert.is((await refusal(settle(nodes.at(-1)!.next('a')))).code, 'SEQUENCE_FROZEN')
  })

  given('a call that is given up before its turn takes nothing', async ({ settle }, first) => {
    assert.is((await refusal(settle(first.next('a', { signal: AbortSignal.abort() })))).code, 'SEQUENCE_UNAVAILABLE')
    assert.equal(await settle(first.next('a')), { first: 1, last: 1, replayed: false })
  })

  given('wrong arguments are a mistake of the caller', async ({ settle }, first) => {
    for (const count of [0, -1, 1.5, Number.NaN, SEQUENCE_COUNT_MAX + 1]) {
      assert.instance(await refusal(settle(first.next('a', { count }))), TypeError)
    }
    for (const key of ['', 'k'.repeat(256)]) assert.instance(await refusal(settle(first.next('a', { key }))), TypeError)
    for (const value of [-1, 0.5, 2 ** 53])
      assert.instance(await refusal(settle(first.set('a', value, { force: true }))), TypeError)
    assert.is(await settle(first.get('a')), 0)
  })

  given('a closed engine refuses everything', async ({ settle }, first) => {
    await settle(first.next('a'))
    await settle(first.close())
    await settle(first.close())
    assert.is((await refusal(settle(first.next('a')))).code, 'CLOSED')
    assert.is((await refusal(settle(first.get('a')))).code, 'CLOSED')
    assert.is((await refusal(settle(first.list({ prefix: '', after: undefined, limit: 1 })))).code, 'CLOSED')
    assert.is((await refusal(settle(first.set('a', 5, { force: true })))).code, 'CLOSED')
    assert.is((await settle(first.status())).reachable, false)
  })
}

/** What an action rejects with. */
export async function refusal(action: Promise<unknown>): Promise<CounterError> {
  try {
    await action
  } catch (error) {
    return error as CounterError
  }
  throw new Error('expected a refusal')
}
