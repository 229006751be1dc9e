// A file of items, on its way to nodes: what `counter items load` does, without files, sockets and clocks of its own.

export { type LoadEnd, type LoadOptions, load, startOf } from './load.ts'
export { barOf, type Meter, wordsOf } from './meter.ts'
export { begin, decodeProgress, encodeProgress, goOn, type Plan, type Progress } from './progress.ts'
export type { LoadItem } from './read.ts'
export { BATCH_BYTES_MAX, BATCH_ITEMS_MAX, type BadLine, type Window } from './window.ts'
