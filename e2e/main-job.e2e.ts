import { expect, test, type Page } from '@playwright/test'

import { barriersOf } from './support/barriers'
import {
  aiSdk,
  langchain,
  mcpRemote,
  sdk1,
  sdk2,
  type AgentAccess,
  type ClientDriver,
  type ToolCall,
} from './support/clients'
import { removeData, startProduct, type Product } from './support/product'

/** Consent → connection → agent → call, as a person and an agent do it, against the product as `npm start` runs it. */
test.describe.configure({ mode: 'serial' })

let product: Product
let page: Page
let access: AgentAccess
const consoleProblems: string[] = []

const PROVIDERS = [
  { id: 'github', name: 'GitHub', account: 'Ana Ribeiro' },
  { id: 'google', name: 'Google', account: 'Ana Ribeiro' },
  { id: 'slack', name: 'Slack', account: 'Ana Ribeiro' },
] as const

const TOOLS = [
  ['github_search_repositories', 'Search repositories'],
  ['github_list_issues', 'List issues'],
  ['github_create_issue', 'Create an issue'],
  ['gmail_search_messages', 'Search mail'],
  ['calendar_list_events', 'List events'],
  ['slack_list_channels', 'List channels'],
  ['slack_send_message', 'Send a message'],
] as const
const TOOL_NAMES = TOOLS.map(([name]) => name)

const CALLS: readonly ToolCall[] = [
  { name: 'github_search_repositories', arguments: { query: 'route' } },
  { name: 'gmail_search_messages', arguments: { query: 'invoice' } },
  { name: 'slack_list_channels', arguments: {} },
]

/** On the provider's page, once it is there: a click that falls between two documents is lost. */
async function chooseAccount(name: string): Promise<void> {
  await page.waitForURL(/^http:\/\/127\.0\.0\.1/)
  await page.waitForLoadState('load')
  await page.getByRole('button', { name }).click()
}

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000)
  product = await startProduct()
  page = await browser.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') consoleProblems.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
})

test.afterAll(async () => {
  const status = await product.stop()
  removeData(product)
  expect(status).toBe(0)
})

test('the printed link makes the first person and workspace, and a second use does not', async ({ browser }) => {
  const link = product.signUpLink ?? ''
  await page.goto(link)
  await page.getByLabel('Workspace').fill('Juniper Freight')
  await page.getByLabel('Your name').fill('Ana Ribeiro')
  await page.getByLabel('E-mail').fill('ana@juniperfreight.example')
  await page.getByLabel('Password', { exact: true }).fill('eleven bikes and a harbour crane')
  await page.getByRole('button', { name: 'Create workspace' }).click()
  await expect(page.getByRole('main')).toContainText(/connect/i)

  const stranger = await browser.newPage()
  await stranger.goto(link)
  await expect(stranger.getByText(/used|too old|not complete/i).first()).toBeVisible()
  await stranger.close()
})

for (const provider of PROVIDERS)
  test(`a person connects ${provider.name} through its consent page`, async () => {
    await page.goto(`${product.url}/connections/new?provider=${provider.id}`)
    await page.getByRole('button', { name: `Continue to ${provider.name}` }).click()
    await chooseAccount(provider.account)
    await expect(page.getByText(/sandbox/i).first()).toBeVisible()
    await page.getByRole('button', { name: 'Allow' }).click()
    await expect(page.getByRole('heading', { name: /is connected/ })).toBeVisible()
    expect(new URL(page.url()).pathname).toBe('/connections/result')
    await page.goto(`${product.url}/connections`)
    await expect(page.getByRole('main')).toContainText(provider.name)
  })

test('refusing at the provider connects nothing and says so', async () => {
  await page.goto(`${product.url}/connections/new?provider=google`)
  await page.getByRole('button', { name: 'Continue to Google' }).click()
  await chooseAccount('Ben Okafor')
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByRole('heading', { name: 'Nothing was connected' })).toBeVisible()
})

test('a person makes an agent, ticks its tools and gets its key once', async () => {
  await page.goto(`${product.url}/agents`)
  await page.getByRole('button', { name: 'Create agent' }).click()
  await page.getByLabel('Name').fill('Dispatch bot')
  await page.getByRole('dialog').getByRole('button', { name: 'Create agent' }).click()
  await page.waitForURL(/\/agents\/agt_/)
  for (const [, title] of TOOLS) await page.getByRole('checkbox', { name: title }).click()
  await page.getByRole('button', { name: /^Save/ }).click()
  await expect(page.getByText('Tools saved', { exact: true })).toBeVisible()

  const mcpUrl = `${product.url}/mcp/${new URL(page.url()).pathname.split('/').at(-1) ?? ''}`
  await page.goto(`${page.url().split('?')[0] ?? ''}?tab=connect`)
  await expect(page.getByText(mcpUrl).first()).toBeVisible()
  await page.getByRole('button', { name: 'New session key' }).click()
  await page.getByLabel('Where it will be used').fill('the dispatch desk')
  await page
    .getByRole('dialog')
    .getByRole('button', { name: /Create/ })
    .click()
  await page.getByRole('button', { name: 'Show Session key' }).click()
  const sessionKey = (await page.getByLabel(/^session key$/i).textContent()) ?? ''
  expect(sessionKey).toMatch(/^pcs_[A-Za-z0-9_-]{43}$/)
  await page.getByLabel('I have stored it').click()
  await page.getByRole('button', { name: 'Done' }).click()
  await page.reload()
  await expect(page.locator('body')).not.toContainText(sessionKey)
  access = { mcpUrl, sessionKey }
})

const CLIENTS: readonly (readonly [string, ClientDriver])[] = [
  ['@modelcontextprotocol/client 2.4, revision 2026-07-28', sdk2('2026-07-28')],
  ['@modelcontextprotocol/client 2.4, older revisions', sdk2()],
  ['@modelcontextprotocol/sdk 1.32', sdk1],
  ['mcp-remote 0.15', mcpRemote],
  ['@ai-sdk/mcp 1.0', aiSdk],
  ['@langchain/mcp-adapters 1.1', langchain],
]

for (const [name, drive] of CLIENTS)
  test(`${name} lists exactly the ticked tools and reads from all three providers`, async () => {
    const { tools, results } = await drive(access, CALLS)
    expect([...tools].sort()).toEqual([...TOOL_NAMES].sort())
    expect(results.map(({ isError }) => isError)).toEqual([false, false, false])
    expect(JSON.stringify(results[0]?.structured)).toContain('juniper-freight/route-planner')
    expect(JSON.stringify(results[1]?.structured)).toContain('Invoice')
    expect(JSON.stringify(results[2]?.structured)).toContain('general')
  })

test('a write arrives at the provider, and a tool that was not ticked does not exist', async () => {
  const title = `Crane booked ${Date.now()}`
  const { results } = await sdk2('2026-07-28')(access, [
    { name: 'github_create_issue', arguments: { owner: 'juniper-freight', repo: 'route-planner', title } },
    { name: 'github_list_issues', arguments: { owner: 'juniper-freight', repo: 'route-planner' } },
  ])
  expect(results.map(({ isError }) => isError)).toEqual([false, false])
  expect(JSON.stringify(results[1]?.structured)).toContain(title)
  await expect(sdk2('2026-07-28')(access, [{ name: 'gmail_create_draft', arguments: {} }])).rejects.toMatchObject({
    code: -32602,
  })
})

test('a rule on arguments is written on the page, refuses what breaks it, and is taken back', async () => {
  const issue = (title: string) =>
    sdk2('2026-07-28')(access, [
      { name: 'github_create_issue', arguments: { owner: 'juniper-freight', repo: 'route-planner', title } },
      { name: 'github_list_issues', arguments: { owner: 'juniper-freight', repo: 'route-planner' } },
    ])
  await page.goto(`${product.url}/agents/${access.mcpUrl.split('/').at(-1) ?? ''}?tab=tools`)
  const add = async (values: string) => {
    await page.getByLabel('Values').fill(values)
    await page.getByRole('dialog').getByRole('button', { name: 'Add rule' }).click()
  }
  await page.getByRole('button', { name: 'Add rule' }).click()
  await page.getByLabel('Name', { exact: true }).fill('handbook-only')
  // Refused as a whole, at its field, with what was typed still there.
  await add('juniper-freight/handbook\njuniper-freight')
  await expect(page.getByRole('dialog')).toContainText('is not a repository')
  await expect(page.getByLabel('Name', { exact: true })).toHaveValue('handbook-only')
  // Chromium notes every refusal; this one was asked for.
  const isRefusal = (problem: string) => /status of 400 .*\/profile\?/.test(problem)
  await expect.poll(() => consoleProblems.findIndex(isRefusal)).toBeGreaterThanOrEqual(0)
  consoleProblems.splice(consoleProblems.findIndex(isRefusal), 1)
  await add('juniper-freight/handbook')
  await expect(page.getByRole('listitem').filter({ hasText: 'handbook-only' })).toContainText('permits only')
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 })
    expect(await barriersOf(page)).toEqual([])
  }
  await page.setViewportSize({ width: 1280, height: 900 })

  const title = `Not to be made ${Date.now()}`
  expect((await issue(title)).results.map(({ isError }) => isError)).toEqual([true, true])
  // Ticking tools keeps the rule.
  await page.getByRole('checkbox', { name: 'List issues' }).click()
  await page.getByRole('button', { name: /^Save/ }).click()
  await expect(page.getByText('Tools saved', { exact: true })).toBeVisible()
  await page.getByRole('checkbox', { name: 'List issues' }).click()
  await page.getByRole('button', { name: /^Save/ }).click()
  await expect(page.getByRole('button', { name: /^Save/ })).toBeHidden()
  await page.reload()
  await page.getByRole('button', { name: 'Remove the rule handbook-only' }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Remove rule' }).click()
  await expect(page.getByText('No rules', { exact: true })).toBeVisible()
  const { results } = await issue(`${title}, but now`)
  expect(results.map(({ isError }) => isError)).toEqual([false, false])
  expect(JSON.stringify(results[1]?.structured)).toContain('but now')
  expect(JSON.stringify(results[1]?.structured).match(/Not to be made/g)).toHaveLength(1)
})

test('the activity page shows the calls as they happen, without a reload', async () => {
  await page.goto(`${product.url}/activity`)
  await sdk1(access, [{ name: 'calendar_list_events', arguments: {} }])
  await expect(page.getByRole('main')).toContainText('calendar_list_events', { timeout: 15_000 })
})

test('revoking the session ends it at the next call', async () => {
  await page.goto(`${product.url}/sessions`)
  await page
    .getByRole('button', { name: /Revoke/ })
    .first()
    .click()
  await page
    .getByRole('alertdialog')
    .getByRole('button', { name: /Revoke/ })
    .click()
  await expect(page.getByRole('main')).toContainText(/revoked|ended/i)
  await expect(sdk1(access, CALLS)).rejects.toThrow()
})

test('no page broke its content security policy or threw', () => {
  expect(consoleProblems).toEqual([])
})
