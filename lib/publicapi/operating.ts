// What an operator and a balancer ask: does it live, is it ready, how does it do.

import { negotiate } from './accept.ts'
import type { Handler, Reply } from './endpoint.ts'
import type { Metrics } from './metrics.ts'
import { JSON_TYPE, TEXT_TYPE, textReply } from './reply.ts'

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

export function createOperating({ readiness, metrics }: OperatingOptions): Record<OperatingId, Handler> {
  return {
    live: () => textReply('ok\n'),

    ready({ incoming, query }) {
      const type = negotiate(incoming.headers.accept, ['text/plain', JSON_TYPE])
      const state = readiness()
      const reply = { status: state.ready ? 200 : 503, headers: state.ready ? {} : { 'Retry-After': '1' } }
      if (type === JSON_TYPE) return { ...reply, contentType: type, body: JSON.stringify(state) }
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
