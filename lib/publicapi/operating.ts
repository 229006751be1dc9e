// What an operator and a balancer ask: does it live, is it ready, how does it do.

import { negotiate } from './accept.ts'
import type { Handler, Reply } from './endpoint.ts'
import type { Metrics } from './metrics.ts'

/** One thing that must hold before the node takes requests. */
export interface ReadinessCheck {
  readonly name: string
  readonly ok: boolean
  /** What it found, in a few words. */
  readonly detail: string
}

export interface Readiness {
  readonly ready: boolean
  readonly checks: readonly ReadinessCheck[]
}

export interface OperatingOptions {
  readonly readiness: () => Readiness
  readonly metrics: Metrics
}

type OperatingId = 'live' | 'ready' | 'metrics'

const TEXT_TYPE = 'text/plain; charset=utf-8'

export function createOperating({ readiness, metrics }: OperatingOptions): Record<OperatingId, Handler> {
  return {
    live: () => ({ status: 200, contentType: TEXT_TYPE, body: 'ok\n' }),

    ready({ incoming, query }) {
      const type = negotiate(incoming.headers.accept, ['text/plain', 'application/json'])
      const state = readiness()
      const reply = { status: state.ready ? 200 : 503, headers: state.ready ? {} : { 'Retry-After': '1' } }
      if (type === 'application/json') return { ...reply, contentType: type, body: JSON.stringify(state) }
      return { ...reply, contentType: TEXT_TYPE, body: asText(state, /(^|&)verbose(=|&|$)/.test(query)) }
    },

    async metrics(): Promise<Reply> {
      return { status: 200, contentType: metrics.registry.contentType, body: await metrics.registry.metrics() }
    },
  }
}

/** As the Kubernetes API server answers: a line a check, then the verdict. */
function asText({ ready, checks }: Readiness, verbose: boolean): string {
  const verdict = ready ? 'ok' : 'not ready'
  const lines = verbose || !ready ? checks.map(({ name, ok, detail }) => `[${ok ? '+' : '-'}] ${name}: ${detail}`) : []
  return [...lines, verdict, ''].join('\n')
}
