import { mkdirSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { expect, test, type Page } from '@playwright/test'

import { portcullis } from './support/cli'
import { OWNER, startConnected, type Connected } from './support/connected'

/** What people see of clients that get through and of those that do not, and how they end what a client has. */
test.describe.configure({ mode: 'serial' })

let connected: Connected
let page: Page
const consoleProblems: string[] = []
/** Pictures of every state, for whoever wants to look. */
const PICTURES = path.join(tmpdir(), 'portcullis-pictures')

test.beforeAll(async ({ browser }) => {
  test.setTimeout(420_000)
  connected = await startConnected({ providers: ['github'] })
  page = await browser.newPage({ viewport: { width: 1440, height: 900 } })
  page.on('console', (message) => {
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      consoleProblems.push(message.text())
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
  await page.goto(`${connected.product.url}/login`)
  await page.getByLabel('E-mail').fill(OWNER.email)
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL((url) => !url.pathname.startsWith('/login'))
})

test.afterAll(async () => {
  await connected.close()
})

async function picture(name: string): Promise<void> {
  mkdirSync(PICTURES, { recursive: true })
  for (const width of [390, 1440])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme })
      expect(
        await page.evaluate(() => document.documentElement.scrollWidth <= window.innerWidth),
        `${name} ${width}`,
      ).toBe(true)
      await page.screenshot({
        path: path.join(PICTURES, `${name}-${width}-${colorScheme}.png`),
        fullPage: true,
        animations: 'disabled',
      })
    }
  await page.setViewportSize({ width: 1440, height: 900 })
  await page.emulateMedia({ colorScheme: 'light' })
}

const agentPage = (agentId: string, tab: string) => `${connected.product.url}/agents/${agentId}?tab=${tab}`

test('every client has a guide with this agent’s URL, and the one that is open is in the address', async () => {
  const { agentId } = connected.agent
  await page.goto(agentPage(agentId, 'connect'))
  for (const name of [
    'ChatGPT',
    'Claude.ai',
    'Claude Desktop',
    'Claude Code',
    'Cursor',
    'VS Code',
    'Windsurf',
    'Codex',
    'Gemini CLI',
    'mcp-remote',
    'TypeScript SDK',
    'Anything else',
  ]) {
    await page.getByRole('tab', { name, exact: true }).click()
    await expect(page.getByRole('tabpanel')).toContainText(`/mcp/${agentId}`)
  }
  await page.getByRole('tab', { name: 'ChatGPT', exact: true }).click()
  await expect(page.getByText('ChatGPT cannot reach this address')).toBeVisible()
  await page.reload()
  await expect(page.getByRole('tabpanel')).toContainText('Developer mode')
  await picture('guide-chatgpt')
})

test('the doctor says that nobody came, and shows a client as it tries, without a reload', async () => {
  const { agentId } = await connected.newAgent('Newcomer', [])
  const url = `${connected.product.url}/mcp/${agentId}`
  await page.goto(agentPage(agentId, 'doctor'))
  await expect(page.getByText('No client has come yet')).toBeVisible()
  await picture('doctor-nobody')

  const headers = { 'content-type': 'application/json', accept: 'application/json', 'user-agent': 'Desk/1.4' }
  const body = JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' })
  await fetch(url, { method: 'POST', headers, body })
  await expect(page.getByText('The client was asked to sign in')).toBeVisible({ timeout: 15_000 })
  await fetch(`${connected.product.url}/.well-known/oauth-protected-resource/mcp/${agentId}`, { headers })
  await expect(page.getByText('The client knows how to sign in')).toBeVisible({ timeout: 15_000 })
  await fetch(`${connected.product.url}/oauth/register`, {
    method: 'POST',
    headers,
    body: JSON.stringify({ client_name: 'Desk', redirect_uris: ['ftp://desk.example/cb'] }),
  })
  await expect(page.getByText('The registration was refused').first()).toBeVisible({ timeout: 15_000 })
  await picture('doctor-refused')

  const secret = `pcs_${'s3cret'.repeat(7)}x`
  await fetch(url, { method: 'POST', headers: { ...headers, authorization: `Bearer ${secret}` }, body })
  await expect(page.getByText('The credential is unknown').first()).toBeVisible({ timeout: 15_000 })
  await expect(page.locator('body')).not.toContainText('s3cret')
})

test('the command line says the same', async () => {
  const { agentId } = connected.agent
  const environment = { PORTCULLIS_DATA_DIR: connected.product.dataDir }
  await fetch(`${connected.product.url}/mcp/${agentId}`, {
    method: 'POST',
    headers: { authorization: 'Basic abc' },
    body: '{}',
  })
  await expect
    .poll(async () => (await portcullis(['doctor', '--agent', agentId, '--json'], environment)).stdout, {
      timeout: 30_000,
    })
    .toContain('not_a_bearer')
  const { status, stdout } = await portcullis(['doctor', '--agent', agentId], environment)
  expect(status).toBe(0)
  expect(stdout).toContain('The Authorization header is not a bearer token')
  const missing = await portcullis(['doctor', '--agent', 'agt_0123456789abcdefghjkmnpqrs'], environment)
  expect(missing.status).toBe(1)
})

test('the doctor says when it cannot be asked, and goes on when it can', async () => {
  await page.goto(agentPage(connected.agent.agentId, 'doctor'))
  await expect(page.getByText('Step by step')).toBeVisible()
  await page.route('**/doctor', (route) => route.abort())
  await expect(page.getByText('What is shown here may be old')).toBeVisible({ timeout: 20_000 })
  await page.unroute('**/doctor')
  await expect(page.getByText('What is shown here may be old')).toBeHidden({ timeout: 60_000 })
})

test('the sessions page ends all sessions of a person, whatever agent holds them', async () => {
  const other = await connected.newAgent('Second', [])
  const call = (agentId: string, key: string) =>
    fetch(`${connected.product.url}/mcp/${agentId}`, {
      method: 'POST',
      headers: {
        authorization: `Bearer ${key}`,
        'content-type': 'application/json',
        accept: 'application/json',
        'user-agent': 'Desk/1.4',
      },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/list' }),
    })
  expect((await call(other.agentId, other.sessionKey)).status).toBe(200)
  await page.goto(`${connected.product.url}/sessions`)
  await expect(page.getByRole('main')).toContainText('Desk/1.4', { timeout: 30_000 })
  await picture('sessions')
  await page.getByRole('button', { name: 'Revoke all of…' }).click()
  const whose = page.getByLabel('Whose sessions')
  const person = (await whose.locator('option').allTextContents()).find((text) => text.startsWith('Person: ')) ?? ''
  await whose.selectOption({ label: person })
  await page
    .getByRole('alertdialog')
    .getByRole('button', { name: /^Revoke \d+ sessions?$/ })
    .click()
  await expect(page.getByRole('alertdialog')).toBeHidden()
  expect((await call(other.agentId, other.sessionKey)).status).toBe(401)
  expect((await call(connected.agent.agentId, connected.agent.sessionKey)).status).toBe(401)
})

test('the command line ends all sessions of an agent, and wants to be told of which', async () => {
  const environment = { PORTCULLIS_DATA_DIR: connected.product.dataDir }
  const { agentId, sessionKey } = await connected.newAgent('Third', [])
  const unclear = await portcullis(['session', 'revoke'], environment)
  expect([unclear.status, unclear.stderr]).toEqual([2, expect.stringContaining('--agent')])
  const ended = await portcullis(['session', 'revoke', '--agent', agentId, '--json'], environment)
  expect(ended.json()).toMatchObject({ revoked: [expect.stringMatching(/^ags_/)], callsUnderWay: [] })
  const answer = await fetch(`${connected.product.url}/mcp/${agentId}`, {
    method: 'POST',
    headers: { authorization: `Bearer ${sessionKey}`, 'content-type': 'application/json' },
    body: '{}',
  })
  expect(answer.status).toBe(401)
})

test('no page broke its content security policy or threw', () => {
  expect(consoleProblems).toEqual([])
})
