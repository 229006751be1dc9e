// What an operator, a balancer and a curious programmer ask: does it live, is it ready, how does it do, and what can be asked at all.

import { z } from 'zod'
import { TOKEN } from './failures.ts'
import { json, type Operation } from './operation.ts'

const readiness = z
  .object({ ready: z.boolean(), checks: z.array(z.object({ name: z.string(), ok: z.boolean(), detail: z.string() })) })
  .meta({ id: 'Readiness' })

export const operatingContract = {
  explore: {
    method: 'GET',
    path: '/swagger',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'This definition: a page to a browser, JSON to a program',
    reply: {
      description: 'The definition.',
      content: { 'application/json': { example: { openapi: '3.1.0' } }, 'text/html': { example: '<!doctype html>' } },
    },
    errors: ['host-not-allowed', 'not-acceptable'],
  },
  readDefinition: {
    method: 'GET',
    path: '/openapi.json',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'This definition as JSON',
    reply: { description: 'The definition.', content: { 'application/json': { example: { openapi: '3.1.0' } } } },
    errors: ['host-not-allowed'],
  },
  live: {
    method: 'GET',
    path: '/livez',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'Whether the process runs',
    reply: { description: 'It runs.', content: { 'text/plain': { example: 'ok' } } },
    errors: ['host-not-allowed'],
  },
  ready: {
    method: 'GET',
    path: '/readyz',
    tag: 'Operation',
    auth: false,
    writes: false,
    summary: 'Whether the node takes requests',
    description: '503 until it does, and again while it shuts down.',
    query: { name: 'verbose', many: false, description: 'Lists the checks.', example: '' },
    reply: {
      description: 'It does.',
      content: {
        'text/plain': { example: 'ok' },
        ...json(readiness, { ready: true, checks: [{ name: 'log', ok: true, detail: 'writable' }] }),
      },
    },
    otherwise: {
      status: 503,
      description: 'It does not, or no longer; the failing checks are listed.',
      content: {
        'text/plain': { example: '[-] drain: the node is shutting down\nnot ready' },
        ...json(readiness, { ready: false, checks: [{ name: 'drain', ok: false, detail: 'the node is shutting down' }] }),
      },
    },
    errors: ['host-not-allowed', 'not-acceptable'],
  },
  metrics: {
    method: 'GET',
    path: '/metrics',
    tag: 'Operation',
    auth: true,
    writes: false,
    summary: 'Metrics in the Prometheus text format',
    reply: { description: 'The metrics.', content: { 'text/plain': { example: '# TYPE counter_tokens_total counter' } } },
    errors: TOKEN,
  },
} as const satisfies Record<string, Operation>
