import { chromium } from 'playwright-core'
import { suite } from 'uvu'
import * as assert from 'uvu/assert'
import { needs } from '../support/needs.ts'
import { Harness, withServer } from './harness.ts'

const test = suite('publicapi/pages')
const browser = needs('Chromium', '/usr/bin/chromium')
const FLAGS = [
  '--headless',
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]
const BROWSER_ACCEPT = 'text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8'

test('/swagger is a page to a browser and the definition as JSON to a program', async () => {
  await withServer({}, async (api) => {
    for (const accept of ['*/*', 'application/json', undefined]) {
      const response = await api.get('/swagger', accept === undefined ? {} : { Accept: accept })
      assert.is(response.headers.get('content-type'), 'application/json')
      const definition = (await response.json()) as { openapi: string; info: { version: string }; paths: object }
      assert.is(definition.openapi, '3.1.0')
      assert.is(definition.info.version, '1.2.3')
      assert.ok('/keywords' in definition.paths)
    }
    const page = await api.get('/swagger', { Accept: BROWSER_ACCEPT })
    assert.is(page.headers.get('content-type'), 'text/html; charset=utf-8')
    assert.match(page.headers.get('content-security-policy')!, "script-src 'self'")
    assert.match(await page.text(), 'swagger-ui')
    assert.is((await api.get('/swagger', { Accept: 'image/png' })).status, 406)
    assert.equal(await (await api.get('/openapi.json')).json(), await (await api.get('/swagger')).json())
  })
})

test('the assets are served from here, can be kept by a browser, and nothing else can be read', async () => {
  await withServer({}, async (api) => {
    for (const file of ['swagger-ui-bundle.js', 'swagger-ui.css']) {
      const first = await api.get(`/swagger/${file}`)
      assert.is(first.status, 200)
      assert.match(first.headers.get('cache-control')!, 'max-age')
      assert.ok((await first.arrayBuffer()).byteLength > 10_000)
      const again = await api.get(`/swagger/${file}`, { 'If-None-Match': first.headers.get('etag')! })
      assert.is(again.status, 304)
      assert.is(await again.text(), '')
    }
    for (const path of [
      '/swagger/package.json',
      '/swagger/..%2fpackage.json',
      '/swagger/%2e%2e%2fpackage.json',
      '/swagger/index.html',
    ]) {
      assert.is((await api.get(path)).status, 404, path)
    }
  })
  await withServer({ assetsDirectory: '/nowhere' }, async (api) => {
    const missing = await api.get('/swagger/swagger-ui.css')
    assert.is(missing.status, 404)
    assert.match(await missing.text(), 'npm run build')
  })
})

test('/ says where everything is: text to a program, a page to a browser', async () => {
  await withServer({}, async (api) => {
    const text = await (await api.get('/')).text()
    assert.match(text, `curl -d 'to be or not to be' ${api.url}/keywords`)
    const page = await api.get('/', { Accept: BROWSER_ACCEPT })
    assert.match(page.headers.get('content-type')!, 'text/html')
    assert.match(await page.text(), 'href="/swagger"')
  })
})

browser.test(
  test,
  'in Chromium the API explorer shows all operations, offline and within its policy, and counts a text',
  async () => {
    const api = await new Harness().open()
    const chrome = await chromium.launch({ executablePath: browser.path, args: FLAGS })
    try {
      const page = await chrome.newPage()
      const requested: string[] = []
      const complaints: string[] = []
      page.on('request', (request) => requested.push(request.url()))
      page.on('console', (message) => {
        if (message.type() === 'error' || /content security policy/i.test(message.text())) complaints.push(message.text())
      })
      page.on('pageerror', (error) => complaints.push(error.message))
      await page.goto(`${api.url}/swagger`)
      await page.waitForSelector('.opblock')
      const definition = (await (await api.get('/openapi.json')).json()) as { paths: Record<string, object> }
      const expected = Object.values(definition.paths).flatMap((path) => Object.keys(path)).length
      assert.is(await page.locator('.opblock').count(), expected)

      const operation = page.locator('.opblock', { has: page.locator('[data-path="/v1/texts"]') })
      await operation.locator('.opblock-summary').click()
      await operation.locator('.try-out__btn').click()
      await operation.locator('textarea.body-param__text').fill('to be or not to be')
      await operation.locator('button.execute').click()
      await operation.locator('.live-responses-table .response-col_status').first().waitFor()
      const answer = (await operation.locator('.live-responses-table').textContent()) ?? ''
      assert.match(answer, '200')
      assert.match(answer, /"tokens": 6/)
      assert.is(api.store.columns.get('to')?.plus, 2n)
      assert.equal(complaints, [])
      assert.equal(
        requested.filter((url) => !url.startsWith(`${api.url}/`) && !url.startsWith('data:')),
        [],
      )
    } finally {
      await chrome.close()
      await api.server.close()
    }
  },
)

browser.test(test, 'in Chromium the API explorer sends the token that was entered', async () => {
  const api = await new Harness({ token: 'secret' }).open()
  const chrome = await chromium.launch({ executablePath: browser.path, args: FLAGS })
  try {
    const page = await chrome.newPage()
    await page.goto(`${api.url}/swagger`)
    await page.locator('button.authorize').first().click()
    await page.locator('.auth-container input').fill('secret')
    await page.locator('.auth-btn-wrapper button[type=submit]').click()
    await page.locator('.auth-btn-wrapper .btn-done').click()
    const operation = page.locator('.opblock', { has: page.locator('[data-path="/v1/counters"]') })
    await operation.locator('.opblock-summary').click()
    await operation.locator('.try-out__btn').click()
    await operation.locator('button.execute').click()
    await operation.locator('.live-responses-table .response-col_status').first().waitFor()
    assert.match((await operation.locator('.live-responses-table').textContent()) ?? '', '200')
  } finally {
    await chrome.close()
    await api.server.close()
  }
})

test.run()
