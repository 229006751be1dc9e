// What many nodes that agree are like, measured on real processes on loopback: how soon a write is everywhere (P11), what being a cluster costs at
// rest and under writes, and what it takes to bring up a newcomer (P9, P10). PART=lag, rest, writes or join measures that alone.
// All processes share this machine's cores with the load and this one: waiting for a core is in every time here.

import { measureReplication, measureRest } from './cluster-cost.ts'
import { measureJoin } from './cluster-join.ts'
import { measureLag } from './cluster-lag.ts'
import { startCluster } from './cluster-nodes.ts'
import { build } from './server.ts'

/** Texts a second, where PART leaves out to find how many they take. */
const TEXTS_A_SECOND = 1500
const part = process.env.PART

build()
if (part !== 'join') {
  const nodes = await startCluster(3)
  try {
    if (part === undefined || part === 'rest') await measureRest(nodes)
    const textsASecond = part === undefined || part === 'lag' ? await measureLag(nodes) : TEXTS_A_SECOND
    if (part === undefined || part === 'writes') await measureReplication(nodes, textsASecond)
  } finally {
    await Promise.all(nodes.map((node) => node.stop()))
  }
}
if (part === undefined || part === 'join') await measureJoin()
