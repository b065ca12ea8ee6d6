import path from 'node:path'

import { expect, test, type Browser, type BrowserContext, type Page } from '@playwright/test'

import { OWNER, startConnected, type Connected } from './support/connected'
import {
  mcpRemote,
  sdk1,
  sdk2,
  startDocumentHost,
  type Consent,
  type DocumentHost,
  type OauthClient,
  type OauthSession,
  type Step,
} from './support/oauth-clients'
import { linkSecret } from './support/workspaces'

/**
 * From an agent's bare URL to a tool call, with a person's consent in a real browser and no token given out before: as
 * clients do it that people use.
 */
test.describe.configure({ mode: 'serial' })

const TOOLS = ['github_search_repositories', 'github_create_issue', 'calendar_list_events']
const READ = { name: 'github_search_repositories', arguments: { query: 'route' } }
const AGENT = 'Dispatch bot'

let world: Connected
let documents: DocumentHost
let context: BrowserContext
let page: Page
let mcpUrl: string
const consoleProblems: string[] = []

function watch(one: Page): Page {
  one.on('console', (message) => {
    // What the gateway refuses with a status is a line in the console too, and not what is looked for.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      consoleProblems.push(message.text())
  })
  one.on('pageerror', (error) => consoleProblems.push(error.message))
  return one
}

test.beforeAll(async ({ browser }) => {
  test.setTimeout(420_000)
  documents = await startDocumentHost()
  world = await startConnected({ providers: ['github'], env: documents.environment })
  mcpUrl = await makeAgent(AGENT)
  context = await browser.newContext()
  page = watch(await context.newPage())
})

test.afterAll(async () => {
  documents.close()
  await world.close()
})

async function makeAgent(name: string): Promise<string> {
  const made = await world.owner.send('/api/v1/agents', {
    json: { name, profile: { version: 1, tools: { allow: TOOLS } } },
  })
  return (made.json() as { mcpUrl: string }).mcpUrl // the API's own shape
}

const question = () => page.getByRole('heading', { level: 1, name: /^Let “.*” use the agent Dispatch bot\?$/ })

/** Opens the address a client gave, as far as the question. */
async function open(url: string): Promise<void> {
  await page.goto(url)
  await expect(question()).toBeVisible()
}

const approve: Consent = async (url) => {
  await open(url)
  await page.getByRole('button', { name: 'Approve' }).click()
  await page.waitForURL(/\/callback\?/)
}

const deny: Consent = async (url) => {
  await open(url)
  await page.getByRole('button', { name: 'Deny' }).click()
  await page.waitForURL(/\/callback\?/)
}

async function works(session: OauthSession): Promise<void> {
  expect([...(await session.tools())].sort()).toEqual([...TOOLS].sort())
  const { isError, text } = await session.call(READ)
  expect([isError, text.includes('juniper-freight/route-planner')]).toEqual([false, true])
}

/** Requests up to the first one with a token, as the client made them. */
function discovery(steps: readonly Step[]): readonly Step[] {
  const path = new URL(mcpUrl).pathname
  const end = steps.findIndex((step) => step.startsWith('POST /oauth/token'))
  return [...new Set(steps.slice(0, end + 1))].map((step) => step.replace(path, '/mcp/{agent}'))
}

const FOUND = [
  'POST /mcp/{agent} → 401',
  'GET /.well-known/oauth-protected-resource/mcp/{agent} → 200',
  'GET /.well-known/oauth-authorization-server → 200',
]

test('whoever is not signed in signs in first, comes back to the question, and sees all of it', async () => {
  const steps: Step[] = []
  const session = await sdk2('2026-07-28')({
    mcpUrl,
    onStep: (step) => steps.push(step),
    consent: async (url) => {
      await page.goto(url)
      await page.waitForURL(/\/login\?next=%2Fconsent%2F/)
      await expect(page.getByText('An application asks for one of your agents')).toBeVisible()
      await page.getByLabel('E-mail').fill(OWNER.email)
      await page.getByLabel('Password', { exact: true }).fill(OWNER.password)
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
      await page.waitForURL(/\/consent\//)
      await expect(question()).toBeVisible()

      const main = page.getByRole('main')
      for (const words of [
        OWNER.name,
        OWNER.email,
        'Juniper Freight',
        AGENT,
        'Harbour desk',
        'These are its own words',
        'no address stands for it',
        'which is this computer',
        'after 30 days without use',
        'after 90 days in any case',
        'Search repositories',
        'Create an issue',
        'List events',
        'GitHub',
        'Google',
      ])
        await expect(main).toContainText(words)
      const { redirect_uri: redirectUri = '' } = Object.fromEntries(new URL(url).searchParams)
      await expect(main).toContainText(new URL(redirectUri).host)
      await expect(main).toContainText(redirectUri)
      await expect(main.getByText('This application says that it runs on your computer')).toBeVisible()
      await expect(main.getByText('No account')).toBeVisible()

      await page.getByRole('button', { name: 'Approve' }).click()
      await page.waitForURL(/\/callback\?/)
      expect(new URL(page.url()).searchParams.get('iss')).toBe(world.product.url)
    },
  })
  expect(discovery(steps)).toEqual([...FOUND, 'POST /oauth/register → 201', 'POST /oauth/token → 200'])
  await works(session)
  await session.close()
})

const CLIENTS: readonly (readonly [string, OauthClient])[] = [
  ['@modelcontextprotocol/client 2.4, revision 2026-07-28', sdk2('2026-07-28')],
  ['@modelcontextprotocol/client 2.4, older revisions', sdk2()],
  ['@modelcontextprotocol/sdk 1.32', sdk1],
  ['mcp-remote 0.15', mcpRemote],
]

for (const [name, connect] of CLIENTS) {
  test(`${name} gets from the bare address over consent to a call`, async () => {
    const steps: Step[] = []
    const session = await connect({ mcpUrl, consent: approve, onStep: (step) => steps.push(step) })
    await works(session)
    await session.close()
    if (steps.length > 0)
      expect(discovery(steps)).toEqual([...FOUND, 'POST /oauth/register → 201', 'POST /oauth/token → 200'])
  })

  test(`${name} says so when the person refuses`, async () => {
    await expect(connect({ mcpUrl, consent: deny })).rejects.toThrow(/access_denied.*the person did not agree/)
  })
}

test('a client that publishes its document is shown by its host and registers nothing', async () => {
  const steps: Step[] = []
  const session = await sdk2('2026-07-28')({
    mcpUrl,
    metadataUrl: documents.clientId,
    onStep: (step) => steps.push(step),
    consent: async (url) => {
      await open(url)
      await expect(page.getByRole('main')).toContainText('Harbour desk, published')
      await expect(page.getByRole('main')).toContainText(documents.host)
      await page.getByRole('button', { name: 'Approve' }).click()
      await page.waitForURL(/\/callback\?/)
    },
  })
  expect(discovery(steps)).toEqual([...FOUND, 'POST /oauth/token → 200'])
  expect(documents.fetched()).toBe(1)
  await works(session)
  await session.close()
})

test('a session that is ended on the page is refused at its next call, and so is its refresh token', async () => {
  for (const { id } of await liveSessions()) await world.owner.send(`/api/v1/sessions/${id}`, { method: 'DELETE' })
  const steps: Step[] = []
  const session = await sdk2('2026-07-28')({ mcpUrl, consent: approve, onStep: (step) => steps.push(step) })
  await works(session)
  expect(await liveSessions()).toHaveLength(1)
  await page.goto(`${world.product.url}/sessions`)
  await page.getByRole('button', { name: 'Revoke Harbour desk' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Revoke session' }).click()
  await expect.poll(liveSessions).toEqual([])
  steps.length = 0
  await expect(session.call(READ)).rejects.toThrow()
  expect(steps[0]).toBe(`POST ${new URL(mcpUrl).pathname} → 401`)
  expect(steps).toContain('POST /oauth/token → 400')
  await session.close()
})

async function liveSessions(): Promise<readonly { readonly id: string }[]> {
  const answer = await world.owner.send('/api/v1/sessions')
  const { items } = answer.json() as { items: { id: string; endedAt: string | null }[] } // the API's own shape
  return items.filter(({ endedAt }) => endedAt === null)
}

test('a token of one agent opens no other, and its own for as long as the session lasts', async () => {
  const other = await makeAgent('Other')
  const session = await sdk2('2026-07-28')({ mcpUrl, consent: approve })
  await works(session)
  const bearer = session.bearer() ?? ''
  expect(bearer).toMatch(/^poa_[\w-]{43}$/)
  await session.close()
  expect(await ask(mcpUrl, bearer)).toEqual([200, null])
  const invalid = 'error="invalid_token", error_description="The session is unknown, ended, or not for this agent.", '
  expect(await ask(other, bearer)).toEqual([401, challengeOf(other, invalid)])

  const sessions = (await world.owner.send('/api/v1/sessions')).json() as { items: { id: string; kind: string }[] } // the API's own shape
  const newest = sessions.items.find(({ kind }) => kind === 'oauth')?.id ?? ''
  expect((await world.owner.send(`/api/v1/sessions/${newest}`, { method: 'DELETE' })).status).toBeLessThan(300)
  expect(await ask(mcpUrl, bearer)).toEqual([401, challengeOf(mcpUrl, invalid)])
})

const challengeOf = (url: string, error: string) =>
  `Bearer ${error}resource_metadata="${world.product.url}/.well-known/oauth-protected-resource${new URL(url).pathname}", scope="mcp:read mcp:write"`

async function ask(url: string, bearer: string): Promise<[number, string | null]> {
  const response = await fetch(url, {
    method: 'POST',
    headers: {
      authorization: `Bearer ${bearer}`,
      'content-type': 'application/json',
      accept: 'application/json, text/event-stream',
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
  })
  return [response.status, response.headers.get('www-authenticate')]
}

test('a sign-in by a mailed link comes back to the question too', async ({ browser }) => {
  const elsewhere = watch(await (await browser.newContext()).newPage())
  const session = await sdk1({
    mcpUrl,
    consent: async (url) => {
      await elsewhere.goto(url)
      await elsewhere.getByRole('button', { name: 'Sign in with a link by mail' }).click()
      await elsewhere.getByLabel('E-mail').fill(OWNER.email)
      await elsewhere.getByRole('button', { name: 'Send me a sign-in link' }).click()
      await expect(elsewhere.getByText('Look into your mail')).toBeVisible()
      const secret = await linkSecret(path.join(world.product.dataDir, 'mail'), OWNER.email)
      const tab = watch(await elsewhere.context().newPage())
      await tab.goto(`${world.product.url}/magic-link#${secret}`)
      await tab.getByRole('button', { name: 'Sign in', exact: true }).click()
      await tab.waitForURL(/\/consent\//)
      await tab.getByRole('button', { name: 'Approve' }).click()
      await tab.waitForURL(/\/callback\?/)
    },
  })
  await works(session)
  await session.close()
  await elsewhere.context().close()
})

test.describe('the page', () => {
  /** A request that waits for an answer, which the test never gives but by hand. */
  async function withQuestion(ask: (url: string) => Promise<void>): Promise<void> {
    const over = new Error('seen')
    await expect(
      sdk1({
        mcpUrl,
        consent: async (url) => {
          await ask(url)
          throw over
        },
      }),
    ).rejects.toBe(over)
  }

  test('cannot be framed, and leaves nothing in caches and referrers', async () => {
    await withQuestion(async (url) => {
      const [response] = await Promise.all([
        page.waitForResponse(
          (one) => new URL(one.url()).pathname.startsWith('/consent/') && one.request().isNavigationRequest(),
        ),
        open(url),
      ])
      const headers = response.headers()
      expect(headers['content-security-policy']).toContain("frame-ancestors 'none'")
      expect(headers['x-frame-options']).toBe('DENY')
      expect(headers['cache-control']).toBe('no-store')
      expect(headers['referrer-policy']).toBe('same-origin')
    })
  })

  test('belongs to the browser that began, whoever is signed in elsewhere', async ({ browser }) => {
    await withQuestion(async (url) => {
      await open(url)
      const elsewhere = await signedIn(browser)
      await elsewhere.goto(page.url())
      await expect(elsewhere.getByRole('heading', { name: 'This request is over' })).toBeVisible()
      await elsewhere.context().close()
    })
  })

  test('is answered by the keyboard alone, at 390 px, without scrolling sideways', async () => {
    const phone = { width: 390, height: 844 }
    await page.setViewportSize(phone)
    const session = await sdk1({
      mcpUrl,
      consent: async (url) => {
        await open(url)
        const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
        expect(overflow).toBeLessThanOrEqual(0)
        await expect(page.getByRole('button', { name: 'Approve' })).toBeEnabled()
        const focused = () => page.evaluate(() => document.activeElement?.textContent ?? '')
        for (let presses = 0; presses < 30 && (await focused()) !== 'Approve'; presses += 1)
          await page.keyboard.press('Tab')
        expect(await focused()).toBe('Approve')
        await page.keyboard.press('Enter')
        await page.waitForURL(/\/callback\?/)
      },
    })
    await works(session)
    await session.close()
    await page.setViewportSize({ width: 1280, height: 800 })
  })

  test('takes no click that was meant for a window above it', async () => {
    await withQuestion(async (url) => {
      await open(url)
      await expect(page.getByRole('button', { name: 'Approve' })).toBeEnabled()
      const answers: string[] = []
      page.on('request', (request) => {
        if (request.method() === 'POST') answers.push(request.url())
      })
      await page.evaluate(() => {
        window.dispatchEvent(new Event('focus'))
        for (const button of document.querySelectorAll('button')) if (button.textContent === 'Approve') button.click()
      })
      await expect(page.getByRole('button', { name: 'Approve' })).toBeEnabled()
      expect(answers).toEqual([])
      await expect(question()).toBeVisible()
    })
  })

  test('offers a missing account as a step of its own, in a tab of its own', async () => {
    await withQuestion(async (url) => {
      await open(url)
      const [tab] = await Promise.all([
        context.waitForEvent('page'),
        page.getByRole('link', { name: /Connect Google/ }).click(),
      ])
      await expect(tab.getByRole('button', { name: 'Continue to Google' })).toBeVisible()
      expect(new URL(tab.url()).pathname).toBe('/connections/new')
      await tab.close()
      await expect(question()).toBeVisible()
    })
  })

  test('says when a request is over, and when it was answered already', async () => {
    await page.goto(`${world.product.url}/consent/${'A'.repeat(43)}`)
    await expect(page.getByRole('heading', { name: 'This request is over' })).toBeVisible()

    const session = await sdk1({
      mcpUrl,
      consent: async (url) => {
        await open(url)
        const here = page.url()
        // The answer arrives, and the browser does not get any further.
        await page.route(/\/oauth\/authorize\/[^/]+$/, (route) => route.fulfill({ status: 204 }))
        await page.getByRole('button', { name: 'Approve' }).click()
        await expect(page.getByRole('heading', { name: 'Back to the application' })).toBeVisible()
        await page.unroute(/\/oauth\/authorize\/[^/]+$/)
        await page.goto(here)
        await expect(page.getByRole('heading', { name: 'You have answered already' })).toBeVisible()
        await page.getByRole('link', { name: 'Go on to the application' }).click()
        await page.waitForURL(/\/callback\?/)
      },
    })
    await works(session)
    await session.close()
  })

  test('tells a desktop application by its own scheme, and stays when that took over', async () => {
    const registered = await fetch(`${world.product.url}/oauth/register`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        client_name: 'Cursor',
        redirect_uris: [
          'cursor://anysphere.cursor-mcp/oauth/callback',
          'https://www.cursor.com/agents/mcp/oauth/callback',
          'http://localhost:8787/callback',
        ],
        token_endpoint_auth_method: 'none',
      }),
    })
    const { client_id: clientId } = (await registered.json()) as { client_id: string } // RFC 7591 §3.2.1
    const query = new URLSearchParams({
      response_type: 'code',
      client_id: clientId,
      redirect_uri: 'cursor://anysphere.cursor-mcp/oauth/callback',
      code_challenge: 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM',
      code_challenge_method: 'S256',
      resource: mcpUrl,
    })
    // In a tab of its own: the browser asks there whether to open another program, and takes no more clicks meanwhile.
    const tab = watch(await context.newPage())
    await tab.goto(`${world.product.url}/oauth/authorize?${query.toString()}`)
    await expect(tab.getByText('An application on this device (cursor:)')).toBeVisible()
    await expect(tab.getByText('cursor://anysphere.cursor-mcp/oauth/callback')).toBeVisible()
    await tab.getByRole('button', { name: 'Approve' }).click()
    await expect(tab.getByRole('heading', { name: 'Back to the application' })).toBeVisible()
    await tab.close()
  })

  test('says when the server cannot be reached, and goes on when it can', async () => {
    await withQuestion(async (url) => {
      let isDown = true
      await page.route(/\/oauth\/authorize\/[^/]+\/consent$/, (route) => (isDown ? route.abort() : route.continue()))
      await page.goto(url)
      await expect(page.getByText('The server could not be reached.')).toBeVisible()
      isDown = false
      await page.getByRole('button', { name: 'Try again' }).click()
      await expect(question()).toBeVisible()
      await page.unrouteAll({ behavior: 'wait' })
    })
  })

  test('lets somebody else sign in and asks them the same', async () => {
    await withQuestion(async (url) => {
      await open(url)
      await page.getByRole('button', { name: 'Not you?' }).click()
      await page.waitForURL(/\/login\?next=%2Fconsent%2F/)
      await page.getByLabel('E-mail').fill(OWNER.email)
      await page.getByLabel('Password', { exact: true }).fill(OWNER.password)
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
      await expect(question()).toBeVisible()
    })
  })
})

async function signedIn(browser: Browser): Promise<Page> {
  const elsewhere = await (await browser.newContext()).newPage()
  await elsewhere.goto(`${world.product.url}/login`)
  await elsewhere.getByLabel('E-mail').fill(OWNER.email)
  await elsewhere.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await elsewhere.getByRole('button', { name: 'Sign in', exact: true }).click()
  await elsewhere.waitForURL(`${world.product.url}/`)
  return elsewhere
}

test('no page broke its content security policy or threw', () => {
  expect(consoleProblems).toEqual([])
})
