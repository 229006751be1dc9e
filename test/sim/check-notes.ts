// Notes of a node are kept like writes: the one that is there is the last that was acknowledged, or one behind it that is unknown.

export interface NoteWrite {
  /** They count up. */
  readonly number: number
  readonly refused?: true
  acknowledged: boolean
}

/** @param noted the number that is read; @param mayLose whether acknowledged ones may be gone */
export function checkNotes(notes: readonly NoteWrite[], noted: number, mayLose: boolean): string[] {
  const found: string[] = []
  const least = notes.findLast(({ acknowledged }) => acknowledged)?.number ?? 0
  if (noted < least && !mayLose) found.push(`note ${least} was acknowledged, and ${noted} is there`)
  const note = notes.find(({ number }) => number === noted)
  if (note === undefined || note.refused) found.push(`note ${noted} is there, and was ${note ? 'refused' : 'never kept'}`)
  return found
}
