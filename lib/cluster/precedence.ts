// Which of two records of one member holds. A total order, so that joining records by the greater one commutes, associates
// and repeats: all nodes that heard the same records, in whatever order, believe the same.
//
//   greater incarnation
//   > left, whatever its edition: an incarnation ends once, and no refutation brings it back
//   > greater edition: the member itself raises it to say that it lives
//   > dead > suspect > alive: at one edition the worse news is the later one (SWIM, Das, Gupta, Motivala 2002, section 4.2)
//   > greater address, then public address, as texts: only so that there is an order; a member that moves raises its edition

import type { Member, MemberState } from './member.ts'

const RANK: Readonly<Record<MemberState, number>> = { alive: 0, suspect: 1, dead: 2, left: 3 }

/** Above 0 when `a` holds, below 0 when `b` does, 0 when they say the same. Both are of one node. */
export function compareMembers(a: Member, b: Member): number {
  return (
    a.incarnation - b.incarnation ||
    Number(a.state === 'left') - Number(b.state === 'left') ||
    a.edition - b.edition ||
    RANK[a.state] - RANK[b.state] ||
    compareTexts(a.address, b.address) ||
    compareTexts(a.publicUrl, b.publicUrl)
  )
}

const compareTexts = (a: string, b: string): number => (a === b ? 0 : a > b ? 1 : -1)
