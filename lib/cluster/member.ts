// A member of the cluster, as members tell each other about it.

export type MemberState =
  /** It answers. */
  | 'alive'
  /** It did not answer somebody; it may still say that it lives. */
  | 'suspect'
  /** It has not answered for long. It is still a member: it may come back, and only it may know some of its counts. */
  | 'dead'
  /** It has handed over what it had, or an operator has removed it. No longer a member. */
  | 'left'

export interface Member {
  /** The node id. */
  readonly node: number
  /** The incarnation it writes under; a greater one makes all that was said about a lesser one void. */
  readonly incarnation: number
  /** Raised by the member itself to refute what others say of it. */
  readonly edition: number
  readonly state: MemberState
  /** Base URL of its sync port. */
  readonly address: string
  /** Base URL of its public port, '' when it is not known. */
  readonly publicUrl: string
}

/**
 * All old incarnations of a node up to `mark`, with the last sequence number of each: every member knows all of them. Incarnation 1 among them
 * is the folded column that they are added to, and its number the mark of the fold before.
 */
export interface Fold {
  readonly node: number
  readonly mark: number
  readonly finals: readonly { readonly incarnation: number; readonly seq: number }[]
}
