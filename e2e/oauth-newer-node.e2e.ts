import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { stripVTControlCharacters } from 'node:util'

import { expect, test, type Page } from '@playwright/test'

import { freePort } from '../launcher/processes.mjs'
import { startBearerProxy } from './support/bearer-proxy'
import { OWNER, startConnected, type Connected } from './support/connected'
import { installed, runClient, type Ended, type Installed } from './support/newer-clients'

/**
 * Clients and a judge that take a newer Node: MCP Inspector's command line, mcporter, and the official conformance
 * runner's scenarios for authorization servers. Each starts with nothing but an address.
 */
test.describe.configure({ mode: 'serial' })
const isFull = process.env['PORTCULLIS_FULL'] === '1' // the long form, for npm run test:full
test.skip(!isFull, 'installs two further Nodes from the registry: npm run test:full does')

const NODE_22 = [
  'node@22.23.3',
  '@modelcontextprotocol/inspector@2.12.0',
  '@modelcontextprotocol/conformance@0.2.0-alpha.12',
]
const NODE_24 = ['node@24.21.0', 'mcporter@0.12.3']
const INSPECTOR = '@modelcontextprotocol/inspector/clients/launcher/build/index.js'
const CONFORMANCE = '@modelcontextprotocol/conformance/dist/index.js'
const MCPORTER = 'mcporter/dist/cli.js'
const TOOLS = ['github_create_issue', 'github_search_repositories']

let world: Connected
let page: Page
let mcpUrl: string
let homes: string
let node22: Installed
let node24: Installed

test.beforeAll(async ({ browser }) => {
  test.setTimeout(600_000)
  homes = mkdtempSync(path.join(tmpdir(), 'portcullis-homes-'))
  node22 = await installed(NODE_22)
  node24 = await installed(NODE_24)
  world = await startConnected({ providers: ['github'] })
  const made = await world.owner.send('/api/v1/agents', {
    json: { name: 'Dispatch bot', profile: { version: 1, tools: { allow: TOOLS } } },
  })
  mcpUrl = (made.json() as { mcpUrl: string }).mcpUrl // the API's own shape
  page = await browser.newPage()
  await page.goto(`${world.product.url}/login`)
  await page.getByLabel('E-mail').fill(OWNER.email)
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL(`${world.product.url}/`)
})

test.afterAll(async () => {
  rmSync(homes, { recursive: true, force: true })
  await world.close()
})

const decide = (decision: 'Approve' | 'Deny') => async (url: string) => {
  await page.goto(url)
  await page.getByRole('button', { name: decision }).click()
  await page.waitForURL(/[?&]iss=/)
}

const told = ({ code, stdout, stderr }: Ended) => `${code}\n${stdout}\n${stderr}`

test.describe('MCP Inspector, command line', () => {
  const inspect = (args: readonly string[], consent?: (url: string) => Promise<void>, home = 'inspector') =>
    runClient({
      client: node22,
      entry: INSPECTOR,
      args: ['--cli', mcpUrl, '--transport', 'http', '--format', 'json', ...args],
      home: path.join(homes, home),
      env: { MCP_AUTO_OPEN_ENABLED: 'true', MCP_INSPECTOR_SECRET_STORE: 'file' },
      ...(consent === undefined ? {} : { consent }),
    })

  test('gets from the bare address over consent to a list and a call', async () => {
    const list = await inspect(['--method', 'tools/list'], decide('Approve'))
    expect(list.code, told(list)).toBe(0)
    for (const tool of TOOLS) expect(list.stdout).toContain(tool)
    const call = await inspect([
      '--method',
      'tools/call',
      '--tool-name',
      'github_search_repositories',
      '--tool-arg',
      'query=route',
    ])
    expect(call.code, told(call)).toBe(0)
    expect(call.stdout).toContain('juniper-freight/route-planner')
  })

  test('says so when the person refuses', async () => {
    const list = await inspect(['--method', 'tools/list'], decide('Deny'), 'inspector-refused')
    expect(list.code).not.toBe(0)
    expect(told(list)).toMatch(/access_denied|did not agree/)
  })
})

test.describe('mcporter', () => {
  const mcporter = (args: readonly string[], consent?: (url: string) => Promise<void>, home = 'mcporter') =>
    runClient({
      client: node24,
      entry: MCPORTER,
      args,
      home: path.join(homes, home),
      ...(consent === undefined ? {} : { consent }),
    })

  test('gets from the bare address over consent to a list and a call', async () => {
    const auth = await mcporter(['auth', mcpUrl, '--allow-http'], decide('Approve'))
    expect(auth.code, told(auth)).toBe(0)
    const list = await mcporter(['list', mcpUrl, '--allow-http', '--json'])
    expect(list.code, told(list)).toBe(0)
    for (const tool of TOOLS) expect(list.stdout).toContain(tool)
    const call = await mcporter(['call', `${mcpUrl}.github_search_repositories`, '--allow-http', 'query=route'])
    expect(call.code, told(call)).toBe(0)
    expect(call.stdout).toContain('juniper-freight/route-planner')
  })

  test('says so when the person refuses', async () => {
    const auth = await mcporter(['auth', mcpUrl, '--allow-http'], decide('Deny'), 'mcporter-refused')
    expect(auth.code).not.toBe(0)
    expect(told(auth)).toMatch(/access_denied|did not agree/)
  })
})

/**
 * Of the runner's scenarios for servers, those that need none of its fixture tools. It cannot sign in, so a proxy adds the
 * bearer: this judges the protocol, and the tests of the authorization judge who gets in.
 */
const SERVER_SCENARIOS = [
  ['2026-07-28', ['server-stateless', 'tools-list', 'caching', 'dns-rebinding-protection', 'http-header-validation']],
  ['2025-11-25', ['server-initialize', 'ping', 'tools-list', 'dns-rebinding-protection', 'server-session-lifecycle']],
] as const

/** Checks that call tools of the runner's own fixture server, or ask for prompts and resources, which nobody has here. */
const NOT_OURS: Readonly<Record<string, readonly string[]>> = {
  'server-stateless': [
    'sep-2575-http-server-no-independent-requests-on-stream',
    'sep-2575-missing-capability-http-400',
    'sep-2575-server-no-log-without-loglevel',
    'sep-2575-server-rejects-undeclared-capability',
    'sep-2575-server-sends-tools-list-changed-on-subscription',
  ],
  caching: [
    'sep-2549-prompts-list-caching-hints',
    'sep-2549-resources-list-caching-hints',
    'sep-2549-resources-templates-list-caching-hints',
  ],
}

for (const [revision, scenarios] of SERVER_SCENARIOS)
  for (const scenario of scenarios)
    test(`the conformance runner finds nothing in ${scenario} of ${revision}`, async () => {
      const agent = await world.newAgent(`${scenario} ${revision}`)
      const proxy = await startBearerProxy(world.product.url, agent.sessionKey)
      try {
        const judged = await runClient({
          client: node22,
          entry: CONFORMANCE,
          args: [
            'server',
            '--url',
            `${proxy.origin}/mcp/${agent.agentId}`,
            '--scenario',
            scenario,
            '--spec-version',
            revision,
          ],
          home: path.join(homes, `server-${revision}-${scenario}`),
        })
        const verdicts = [...stripVTControlCharacters(judged.stdout).matchAll(/\[(\S+) *\] (SUCCESS|FAILURE|WARNING)/g)]
        expect(verdicts.filter(([, , verdict]) => verdict === 'SUCCESS').length, told(judged)).toBeGreaterThan(0)
        const missing = verdicts.flatMap(([, check = '', verdict]) => (verdict === 'SUCCESS' ? [] : [check]))
        expect(missing.sort(), told(judged)).toEqual(NOT_OURS[scenario] ?? [])
      } finally {
        await proxy.close()
      }
    })

// With a secret the runner, given a server that knows public clients too, still sends none: so the client here is public.
test('the conformance runner finds nothing in the metadata and the code grant', async () => {
  const port = await freePort()
  const made = await world.owner.send('/api/v1/oauth-clients', {
    json: { name: 'Conformance', redirectUris: [`http://127.0.0.1:${port}/callback`], authMethod: 'none' },
  })
  const { id } = made.json() as { id: string } // the API's own shape
  const judged = await runClient({
    client: node22,
    entry: CONFORMANCE,
    args: [
      'authorization',
      '--url',
      world.product.url,
      '--client-id',
      id,
      '--resource',
      mcpUrl,
      '--port',
      String(port),
    ],
    home: path.join(homes, 'conformance'),
    consent: decide('Approve'),
  })
  expect(judged.code, told(judged)).toBe(0)
  for (const scenario of ['authorization-server-metadata-endpoint', 'authorization-code-grant'])
    expect(judged.stdout, told(judged)).toContain(scenario)
  expect(judged.stdout, told(judged)).not.toMatch(/FAILURE|WARNING|SKIPPED|[1-9]\d* (failed|warnings)/)
})
