// What is kept of what others say, and of whom nothing is.

import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import type { Member } from '../../lib/cluster/index.ts'
import { VersionVector } from '../../lib/storage/index.ts'
import type { Roster } from '../../lib/syncsrv/roster.ts'
import { type ReplicationOptions, Site } from '../../lib/syncsrv/site.ts'
import { VirtualClock } from '../support/virtual-clock.ts'

const test = suite('syncsrv/site')

/** A site that knows these members. */
function siteOf(members: Map<number, Member>): { site: Site; heard: number[]; say: (node: number) => void } {
  const roster = { heard() {}, find: (node: number) => members.get(node) } as unknown as Roster
  const options = { clock: new VirtualClock() } as unknown as ReplicationOptions
  const site = new Site({ options, roster, life: 'f'.repeat(16) })
  const heard: number[] = []
  site.onHeard((node) => heard.push(node))
  const say = (node: number) =>
    site.hear({ node, incarnation: 2, life: '0'.repeat(16), address: '', publicUrl: '' }, new VersionVector(), NO_NEWS, '')
  return { site, heard, say }
}

const NO_NEWS = { members: [], folds: [] }
const memberOf = (node: number, state: Member['state']): Member => ({
  node,
  incarnation: 2,
  edition: 1,
  state,
  address: `http://10.0.0.${node}:1`,
  publicUrl: '',
})

test('of a node that would be a member too many nothing is kept', () => {
  const { site, heard, say } = siteOf(new Map())
  say(7)
  assert.is(site.peers.find(7), undefined)
  assert.is(site.peers.holderOf(7, { life: '', address: '' }), undefined)
  assert.equal(heard, [])
})

test('what a member knew is forgotten when it says that it has left', () => {
  const members = new Map([[3, memberOf(3, 'alive')]])
  const { site, heard, say } = siteOf(members)
  say(3)
  assert.ok(site.peers.find(3))
  members.set(3, memberOf(3, 'left'))
  say(3)
  assert.is(site.peers.find(3), undefined)
  assert.equal(heard, [3, 3])
})

test.run()
