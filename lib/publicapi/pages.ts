// What people look at: the landing page, the API explorer, a page for each kind of problem. All of it is served from here, so
// it works without any other host, and under a content security policy that allows nothing else.

import { negotiate } from './accept.ts'
import { readAsset } from './assets.ts'
import type { Exchange, Handler, Reply } from './endpoint.ts'
import { Problem } from './problem.ts'
import { PROBLEMS, type ProblemKind, type ProblemType } from './problem-kinds.ts'
import { JSON_TYPE, jsonReply, textReply } from './reply.ts'

export interface PagesOptions {
  /** Where swagger-ui-bundle.js and swagger-ui.css lie. */
  readonly assetsDirectory: string
  readonly version: string
  /** The API definition as JSON. */
  readonly definition: string
}

type PagesId = 'explore' | 'readDefinition' | 'land' | 'readAsset' | 'explainProblem'

// Swagger UI sets styles from its script and draws its icons from data: URLs; scripts come from this server only.
const POLICY = [
  "default-src 'self'",
  "img-src 'self' data:",
  "style-src 'self' 'unsafe-inline'",
  "script-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
  "form-action 'self'",
].join('; ')
const DAY_SECONDS = 86_400

export function createPages({ assetsDirectory, version, definition }: PagesOptions): Record<PagesId, Handler> {
  const json = jsonReply(definition)
  return {
    readDefinition: () => json,
    explore: ({ incoming }) =>
      negotiate(incoming.headers.accept, [JSON_TYPE, 'text/html']) === 'text/html' ? html(EXPLORER) : json,
    land(exchange) {
      const type = negotiate(exchange.incoming.headers.accept, ['text/plain', 'text/html'])
      const origin = `http://${exchange.incoming.headers.host ?? 'localhost'}`
      return type === 'text/html' ? html(landing(version, origin)) : textReply(landingText(version, origin))
    },
    async readAsset({ path, incoming }) {
      if (path === '/swagger/swagger-init.js') return { status: 200, contentType: 'text/javascript; charset=utf-8', body: INIT }
      const asset = await readAsset(assetsDirectory, path.slice(path.lastIndexOf('/') + 1))
      if (asset === undefined)
        throw new Problem('not-found', `There is no asset at ${path}.`, { fix: 'npm run build puts the assets in place.' })
      const headers = { ETag: asset.etag, 'Cache-Control': `public, max-age=${DAY_SECONDS}` }
      if (incoming.headers['if-none-match'] === asset.etag) return { status: 304, contentType: '', body: '', headers }
      return { status: 200, contentType: asset.contentType, body: asset.bytes, headers }
    },
    explainProblem,
  }
}

const html = (body: string): Reply => ({
  status: 200,
  contentType: 'text/html; charset=utf-8',
  body,
  headers: { 'Content-Security-Policy': POLICY, 'Referrer-Policy': 'no-referrer' },
})

function explainProblem({ path }: Exchange): Reply {
  const type = path.slice(path.lastIndexOf('/') + 1)
  if (!Object.hasOwn(PROBLEMS, type)) {
    throw new Problem('not-found', `There is no problem type "${type}".`, {
      fix: `The types are ${Object.keys(PROBLEMS).join(', ')}.`,
    })
  }
  const { title, status, meaning, fix, retryAfter }: ProblemKind = PROBLEMS[type as ProblemType]
  const again = retryAfter === undefined ? '' : `Again: worth another try after ${retryAfter} s (the Retry-After header).\n`
  return textReply(`${title} (${type}, status ${status})\n\n${meaning}\n\nFix:   ${fix}\n${again}`)
}

const ESCAPES: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escapeHtml = (text: string): string => text.replace(/[&<>"']/g, (character) => ESCAPES[character]!)

const EXPLORER = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Counter API</title>
<link rel="icon" href="data:,">
<link rel="stylesheet" href="/swagger/swagger-ui.css">
</head>
<body>
<div id="swagger-ui"></div>
<script src="/swagger/swagger-ui-bundle.js"></script>
<script src="/swagger/swagger-init.js"></script>
</body>
</html>
`

// A file of its own: the policy refuses inline scripts. No validator: it would send the definition to another host.
const INIT = `window.ui = SwaggerUIBundle({
  url: '/openapi.json',
  dom_id: '#swagger-ui',
  deepLinking: true,
  persistAuthorization: true,
  validatorUrl: null,
})
`

const curl = (origin: string): string => `curl -d 'to be or not to be' ${origin}/keywords`

const landingText = (version: string, origin: string): string => `counter ${version}

Count    ${curl(origin)}
Read     curl '${origin}/keywords?keywords=be'
API      ${origin}/swagger
Metrics  ${origin}/metrics
`

const landing = (version: string, origin: string): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Counter</title>
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 44rem; margin: 3rem auto; padding: 0 1rem }
pre { padding: 1rem; border: 1px solid; border-radius: 4px; overflow-x: auto }
</style>
</head>
<body>
<h1>Counter ${escapeHtml(version)}</h1>
<p>Count the words of a text, then ask for them:</p>
<pre>${escapeHtml(`${curl(origin)}\ncurl '${origin}/keywords?keywords=be'`)}</pre>
<p>
<a href="/swagger">Explore the API</a> &middot; <a href="/openapi.json">definition</a> &middot;
<a href="/metrics">metrics</a> &middot; <a href="/readyz?verbose">readiness</a>
</p>
</body>
</html>
`
