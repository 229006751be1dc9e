// An aggregator before shards with stores in memory, all on real ports of this machine.

import { openAggregator, type RunningAggregator } from '../../lib/aggregate.ts'
import { seededRandom } from '../../lib/base/random.ts'
import { Harness, type LogLine } from '../publicapi/harness.ts'

export interface SettingsOfTest {
  readonly shardTimeoutMs: number
  readonly token: string | undefined
  readonly shardConnectionsMax: number
  readonly shardHedgeMs: number
}

export class Sharded {
  readonly shards: readonly Harness[]
  readonly log: LogLine[] = []
  readonly #aggregator: RunningAggregator

  private constructor(shards: readonly Harness[], log: LogLine[], aggregator: RunningAggregator) {
    this.shards = shards
    this.log = log
    this.#aggregator = aggregator
  }

  static async open(count: number, options: Partial<SettingsOfTest> = {}): Promise<Sharded> {
    const shards = await Promise.all(Array.from({ length: count }, () => new Harness({ nameBytesMax: 256 }).open()))
    return Sharded.before(
      shards,
      shards.map(({ url }) => [url]),
      options,
    )
  }

  /** An aggregator before shards that run already. */
  static async before(
    shards: readonly Harness[],
    urls: readonly (readonly string[])[],
    options: Partial<SettingsOfTest> = {},
  ): Promise<Sharded> {
    const log: LogLine[] = []
    const write = (level: string) => (fields: object, message: string) =>
      void log.push({ level, fields: fields as Record<string, unknown>, message })
    const logger = {
      isLevelEnabled: () => true,
      debug: write('debug'),
      info: write('info'),
      warn: write('warn'),
      error: write('error'),
    }
    const settings = {
      shards: urls,
      shardTimeoutMs: 5_000,
      shardHedgeMs: 0,
      shardConnectionsMax: 16,
      writeTimeoutMs: 5_000,
      host: '127.0.0.1',
      publicPort: 0,
      token: undefined,
      bodyBytesMax: 4 * 1024 * 1024,
      nameBytesMax: 256,
      tokenizer: 'space' as const,
      itemsCompat: 'both' as const,
      connectionsMax: 100,
      headersTimeoutMs: 10_000,
      requestTimeoutMs: 15_000,
      drainTimeoutMs: 1_000,
      ...options,
    }
    const aggregator = await openAggregator(settings, {
      logger,
      version: '1.2.3',
      random: seededRandom(Number(process.env.SEED ?? 1)),
    })
    return new Sharded(shards, log, aggregator)
  }

  get url(): string {
    return this.#aggregator.url
  }

  get(path: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { headers })
  }

  post(path: string, body?: string, headers: Record<string, string> = {}): Promise<Response> {
    return fetch(this.url + path, { method: 'POST', headers, ...(body !== undefined && { body }) })
  }

  postJson(path: string, body: unknown, headers: Record<string, string> = {}): Promise<Response> {
    const text = typeof body === 'string' ? body : JSON.stringify(body)
    return this.post(path, text, { 'Content-Type': 'application/json', ...headers })
  }

  /** Ends the aggregator alone. */
  end(): Promise<void> {
    return this.#aggregator.close()
  }

  async close(): Promise<void> {
    await this.end()
    await Promise.all(this.shards.map(({ server }) => server.close()))
  }
}
