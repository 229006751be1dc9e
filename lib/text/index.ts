// From bytes to names: what other layers use of this folder.

export { lowerWord, nameBytes } from './lower.ts'
export { Tally, type TallyOptions } from './tally.ts'
