// What the public port counts about itself, for GET /metrics. A label is a method, a route pattern or a status, never a name:
// names are without bound, and some are private.

import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

export interface Metrics {
  /** Other layers' gauges are registered here too. */
  readonly registry: Registry
  /** Words counted out of texts. */
  readonly tokens: { inc(count: number): void }
  /** A function that notes one answered request of this route; made once a route, so that no label is looked up per request. */
  route(method: string, route: string): (status: number, seconds: number) => void
}

const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

export function createMetrics(version: string): Metrics {
  const registry = new Registry()
  const registers = [registry]
  collectDefaultMetrics({ register: registry })
  new Gauge({
    name: 'counter_build_info',
    help: 'Always 1; the labels say what runs.',
    labelNames: ['version', 'node'],
    registers,
  })
    .labels(version, process.version)
    .set(1)
  const requests = new Counter({
    name: 'counter_http_requests_total',
    help: 'Requests answered on the public port.',
    labelNames: ['method', 'route', 'status'],
    registers,
  })
  const seconds = new Histogram({
    name: 'counter_http_request_seconds',
    help: 'Time from the headers of a request to its answer.',
    labelNames: ['method', 'route'],
    buckets: SECONDS,
    registers,
  })
  const tokens = new Counter({ name: 'counter_tokens_total', help: 'Words counted out of texts.', registers })
  return {
    registry,
    tokens,
    route(method, route) {
      const time = seconds.labels(method, route)
      const byStatus = new Map<number, Counter.Internal>()
      return (status, elapsed) => {
        let total = byStatus.get(status)
        if (total === undefined) {
          total = requests.labels(method, route, String(status))
          byStatus.set(status, total)
        }
        total.inc()
        time.observe(elapsed)
      }
    },
  }
}
