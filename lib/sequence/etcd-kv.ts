// etcd as a ConsensusKv: what is asked and answered, as its JSON has it. Keys and values are base64, 64-bit numbers are strings, and what has
// its default value is left out.

import { CounterError } from '../base/errors.ts'
import { EtcdGateway, type EtcdOptions, EtcdRefusal } from './etcd-gateway.ts'
import {
  type ConsensusKv,
  type KvEntry,
  type KvMember,
  type KvRange,
  type KvStatus,
  LeaseGoneError,
  type Txn,
  type TxnResult,
} from './kv.ts'

type Answer = Record<string, unknown>

const NO_SPACE = 'database space exceeded'
const LEASE_GONE = 'requested lease not found'

export class EtcdKv implements ConsensusKv {
  readonly #gateway: EtcdGateway

  constructor(options: EtcdOptions) {
    this.#gateway = new EtcdGateway(options)
  }

  async txn({ compare, success, failure }: Txn): Promise<TxnResult> {
    const answer = await this.#ask('/v3/kv/txn', {
      compare: compare.map(({ key, modRevision }) => ({
        key: encode(key),
        target: 'MOD',
        result: 'EQUAL',
        mod_revision: String(modRevision),
      })),
      success: success.map(({ key, value, lease }) =>
        value === undefined
          ? { request_delete_range: { key: encode(key) } }
          : { request_put: { key: encode(key), value: encode(value), ...(lease !== undefined && { lease }) } },
      ),
      failure: failure.map((key) => ({ request_range: { key: encode(key) } })),
    })
    const succeeded = answer.succeeded === true
    return { succeeded, revision: revisionOf(answer), entries: succeeded ? [] : entriesOf(answer, failure.length) }
  }

  async read(keys: readonly string[]): Promise<{ entries: (KvEntry | undefined)[]; revision: number }> {
    const answer = await this.#read('/v3/kv/txn', { success: keys.map((key) => ({ request_range: { key: encode(key) } })) })
    return { entries: entriesOf(answer, keys.length), revision: revisionOf(answer) }
  }

  async range({ prefix, after, limit }: KvRange): Promise<{ entries: KvEntry[]; more: boolean; revision: number }> {
    const start = Buffer.from(prefix)
    const behind = after === undefined ? start : Buffer.concat([Buffer.from(after), Buffer.of(0)])
    const from = Buffer.compare(start, behind) > 0 ? start : behind
    const end = endOf(start)
    if (Buffer.compare(from, end) >= 0) return { entries: [], more: false, revision: 0 }
    const answer = await this.#read('/v3/kv/range', {
      key: from.toString('base64'),
      range_end: end.toString('base64'),
      limit: String(limit),
    })
    return { entries: listOf(answer.kvs).map(entryOf), more: answer.more === true, revision: revisionOf(answer) }
  }

  async grantLease(ttlSeconds: number): Promise<string> {
    const { ID: id } = await this.#read('/v3/lease/grant', { TTL: String(ttlSeconds) })
    if (typeof id !== 'string') throw invalid('lease')
    return id
  }

  async keepAlive(lease: string): Promise<boolean> {
    const { result } = await this.#read('/v3/lease/keepalive', { ID: lease })
    return numberOf((result as Answer | undefined)?.TTL) > 0
  }

  async revokeLease(lease: string): Promise<void> {
    try {
      await this.#ask('/v3/lease/revoke', { ID: lease })
    } catch (error) {
      if (!(error instanceof LeaseGoneError)) throw error
    }
  }

  async compact(revision: number): Promise<void> {
    await this.#ask('/v3/kv/compaction', { revision: String(revision) })
  }

  /** Asks each member what it is. */
  async status(): Promise<KvStatus> {
    const [list, own] = await Promise.all([this.#read('/v3/cluster/member/list', {}), this.#read('/v3/maintenance/status', {})])
    const [leader, alarms] = [own.leader, await this.#alarms()]
    const members = await Promise.all(listOf(list.members).map((member) => this.#member(member as Answer, leader)))
    return {
      members,
      leader: members.find(({ role }) => role === 'leader')?.name,
      lastIndex: numberOf(own.raftIndex),
      version: String(own.version ?? ''),
      bytes: numberOf(own.dbSize),
      alarms,
    }
  }

  close(): Promise<void> {
    return this.#gateway.close()
  }

  async #member({ ID: id, name, clientURLs, isLearner }: Answer, leader: unknown): Promise<KvMember> {
    const address = String(listOf(clientURLs)[0] ?? '')
    const said = { name: String(name || id), address }
    try {
      await this.#gateway.ask('/v3/maintenance/status', {}, address)
    } catch (error) {
      if (!(error instanceof EtcdRefusal)) return { ...said, role: 'unreachable' }
    }
    return { ...said, role: id === leader ? 'leader' : isLearner === true ? 'learner' : 'follower' }
  }

  async #alarms(): Promise<string[]> {
    const { alarms } = await this.#read('/v3/maintenance/alarm', { action: 'GET' })
    return listOf(alarms).map((alarm) => String((alarm as Answer).alarm))
  }

  async #ask(path: string, body: object): Promise<Answer> {
    try {
      return await this.#gateway.ask(path, body)
    } catch (error) {
      throw error instanceof EtcdRefusal ? refused(error) : error
    }
  }

  /** What changes nothing that counts: not to know whether it was carried out is the same as to know that it was not. */
  async #read(path: string, body: object): Promise<Answer> {
    try {
      return await this.#ask(path, body)
    } catch (error) {
      if (!(error instanceof CounterError) || error.code !== 'SEQUENCE_UNKNOWN') throw error
      throw new CounterError('SEQUENCE_UNAVAILABLE', error.message, {
        cause: error,
        ...(error.fix !== undefined && { fix: error.fix }),
      })
    }
  }
}

function refused(refusal: EtcdRefusal): CounterError {
  const { message } = refusal
  if (message.includes(LEASE_GONE)) return new LeaseGoneError(`etcd: ${message}`)
  const fix = message.includes(NO_SPACE)
    ? 'Compact and defragment etcd, then disarm its alarm: etcdctl compact, etcdctl defrag, etcdctl alarm disarm. ' +
      'Or give it more room: --quota-backend-bytes.'
    : 'Read what etcd says, in its documentation and its log.'
  return new CounterError('SEQUENCE_UNAVAILABLE', `etcd refuses: ${message}`, { cause: refusal, fix })
}

const encode = (text: string): string => Buffer.from(text).toString('base64')
const decode = (text: unknown): string => (typeof text === 'string' ? Buffer.from(text, 'base64').toString('utf8') : '')

/** The first bytes behind all that start with `prefix`. */
function endOf(prefix: Buffer): Buffer {
  const end = Buffer.from(prefix)
  // UTF-8 has no byte 0xff, so the last byte can always be raised.
  end[end.length - 1]!++
  return end
}

function entriesOf(answer: Answer, count: number): (KvEntry | undefined)[] {
  const responses = listOf(answer.responses)
  if (responses.length !== count) throw invalid(`${responses.length} responses to ${count} questions`)
  return responses.map((response) => {
    const { kvs } = ((response as Answer).response_range ?? {}) as Answer
    const [entry] = listOf(kvs)
    return entry === undefined ? undefined : entryOf(entry)
  })
}

function entryOf(entry: unknown): KvEntry {
  const { key, value, create_revision, mod_revision } = entry as Answer
  return {
    key: decode(key),
    value: decode(value),
    createRevision: numberOf(create_revision),
    modRevision: numberOf(mod_revision),
  }
}

function revisionOf({ header }: Answer): number {
  const revision = numberOf((header as Answer | undefined)?.revision)
  if (revision < 1) throw invalid('no revision')
  return revision
}

const listOf = (list: unknown): unknown[] => (Array.isArray(list) ? list : [])

function numberOf(text: unknown): number {
  const number = Number(text ?? 0)
  if (!Number.isSafeInteger(number)) throw invalid(`the number ${text}`)
  return number
}

/** The answer came, so what was asked may have been carried out. */
const invalid = (what: string): CounterError =>
  new CounterError('SEQUENCE_UNKNOWN', `etcd answered what cannot be understood: ${what}`, {
    fix: 'Check that COUNTER_ETCD names etcd members of version 3.4 or later.',
  })
