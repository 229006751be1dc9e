// npm run maelstrom -- --workload pn-counter --nodes 3 --seconds 30 --seed 7 --faults partition,loss,delay,kill
// Runs Counter under the messages of Maelstrom with our own network and checker, which need no JVM. Ends with 1 when a check says no or when
// the faults did not happen. `--logs` prints what the nodes logged.

import { parseArgs } from 'node:util'
import { buildCounter } from '../e2e/built.ts'
import { TROUBLES, type Trouble } from './trouble.ts'
import { runWorkload } from './workload.ts'

const { values } = parseArgs({
  options: {
    workload: { type: 'string', default: 'pn-counter' },
    nodes: { type: 'string', default: '3' },
    seconds: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    faults: { type: 'string', default: TROUBLES.join(',') },
    logs: { type: 'boolean', default: false },
  },
})

const { workload } = values
if (workload !== 'pn-counter' && workload !== 'g-counter') throw new TypeError(`no such workload: ${workload}`)
const troubles = values.faults.split(',').filter(Boolean) as Trouble[]
for (const trouble of troubles) if (!TROUBLES.includes(trouble)) throw new TypeError(`no such fault: ${trouble}`)

const { breaches, voids, counts, logs } = await runWorkload({
  workload,
  nodes: Number(values.nodes),
  seconds: Number(values.seconds),
  seed: Number(values.seed),
  troubles,
  command: [...(await buildCounter()), 'maelstrom'],
})
if (values.logs) console.log(logs)
for (const [what, count] of Object.entries(counts)) console.log(`${String(count).padStart(8)}  ${what}`)
for (const sentence of [...voids, ...breaches]) console.log(sentence)
console.log(
  `${workload}, seed ${values.seed}: ${breaches.length === 0 ? 'holds' : 'DOES NOT HOLD'}${voids.length > 0 ? ', void' : ''}`,
)
process.exitCode = breaches.length + voids.length > 0 ? 1 : 0
