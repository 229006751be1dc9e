// What the public port counts about itself, for GET /metrics. A label is a method, a route pattern or a status, never a name:
// names are without bound, and some are private. Requests are noted in plain numbers and take prom-client's form when asked
// for: its own observe() cost a POST of a short text 5 %.

import type { Metric } from 'prom-client'
import { Counter, collectDefaultMetrics, Gauge, Registry } from 'prom-client'

export interface Metrics {
  /** Other layers' gauges are registered here too. */
  readonly registry: Registry
  /** Words counted out of texts. */
  readonly tokens: { inc(count: number): void }
  /** Items that were given to a tenant, or deleted, by a request. */
  readonly items: { inc(count: number): void }
  /** Numbers of sequences that requests got, each once. */
  readonly numbers: { inc(count: number): void }
  /** A function that notes one answered request of this route; made once a route, so that no label is looked up per request. */
  route(method: string, route: string): (status: number, seconds: number) => void
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
const HISTOGRAM = 'counter_http_request_seconds'

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  const routes: RouteTotals[] = []
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'counter_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'],
    registers,
  })
    .labels(version, process.version)
    .set(1)
  new Counter({
    name: 'counter_http_requests_total',
    help: 'Requests answered on the public port.',
    labelNames: ['method', 'route', 'status'],
    registers,
    collect() {
      this.reset()
      for (const { method, route, statuses } of routes) {
        for (const [status, count] of statuses) this.labels(method, route, String(status)).inc(count)
      }
    },
  })
  // The registry asks a metric for no more than this; the type wants the class.
  registry.registerMetric({ name: HISTOGRAM, get: async () => histogram(routes), reset() {} } as unknown as Metric)
  const tokens = new Counter({ name: 'counter_tokens_total', help: 'Words counted out of texts.', registers })
  const items = new Counter({
    name: 'counter_items_written_total',
    help: 'Items that requests to this node have given to a tenant, or deleted.',
    registers,
  })
  const numbers = new Counter({
    name: 'counter_sequence_numbers_total',
    help: 'Numbers of sequences that requests to this node got.',
    registers,
  })
  return {
    registry,
    tokens,
    items,
    numbers,
    route(method, route) {
      const totals = new RouteTotals(method, route)
      routes.push(totals)
      return (status, seconds) => totals.note(status, seconds)
    },
  }
}

class RouteTotals {
  readonly method: string
  readonly route: string
  readonly statuses = new Map<number, number>()
  /** Requests whose time fell between the bound before and this one; the last: above all bounds. */
  readonly buckets = new Float64Array(SECONDS.length + 1)
  seconds = 0

  constructor(method: string, route: string) {
    this.method = method
    this.route = route
  }

  note(status: number, seconds: number): void {
    this.statuses.set(status, (this.statuses.get(status) ?? 0) + 1)
    let bucket = 0
    while (bucket < SECONDS.length && seconds > SECONDS[bucket]!) bucket++
    this.buckets[bucket]!++
    this.seconds += seconds
  }
}

interface Sample {
  readonly metricName: string
  readonly labels: Record<string, string | number>
  readonly value: number
}

function histogram(routes: readonly RouteTotals[]) {
  const values: Sample[] = []
  for (const { method, route, buckets, seconds } of routes) {
    const labels = { method, route }
    let count = 0
    for (const [index, more] of buckets.entries()) {
      count += more
      values.push({ metricName: `${HISTOGRAM}_bucket`, labels: { le: SECONDS[index] ?? '+Inf', ...labels }, value: count })
    }
    if (count === 0) values.length -= buckets.length
    else
      values.push(
        { metricName: `${HISTOGRAM}_sum`, labels, value: seconds },
        { metricName: `${HISTOGRAM}_count`, labels, value: count },
      )
  }
  return {
    name: HISTOGRAM,
    help: 'Time from the headers of a request to its answer.',
    type: 'histogram',
    values,
    aggregator: 'sum',
  }
}
