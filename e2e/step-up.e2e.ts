import { expect, test, type BrowserContext, type Page } from '@playwright/test'

import { authenticatorApp } from './support/authenticator-app'
import { barriersOf } from './support/barriers'
import { portcullis } from './support/cli'
import { OWNER, READS, startConnected, type Connected } from './support/connected'
import { query } from './support/database'
import { sdk2 } from './support/oauth-clients'
import { signInByMail } from './support/workspaces'

/**
 * Whoever proved themself more than five minutes ago is asked again before anything that gives access: on the very page
 * they are on, with what they typed still there, and it goes on by itself.
 */
test.describe.configure({ mode: 'serial' })

const TOMAS = 'tomas@juniperfreight.example'

let world: Connected
let context: BrowserContext
let page: Page
let agentId = ''
const consoleProblems: string[] = []

/** Found behind the dialog too, where it is hidden from whoever asks by role. */
const main = () => page.locator('main')
const button = (name: string) => page.getByRole('button', { name, exact: true })
const dialog = () => page.getByRole('dialog', { name: 'Confirm that it is you' })
const open = (path: string) => page.goto(`${world.product.url}${path}`)
const sql = (text: string) => query(world.product.dataDir, 'portcullis', text)
const countOf = async (table: string) => Number((await sql(`SELECT count(*) AS n FROM ${table}`))[0]?.['n'])
const makeOld = () => sql("UPDATE web_session SET authenticated_at = now() - interval '301 seconds'")

test.beforeAll(async ({ browser }) => {
  test.setTimeout(420_000)
  world = await startConnected({ providers: ['github'] })
  const tenant = (await world.owner.send('/api/v1/workspace')).json() as { id: string } // the API's own shape
  const made = await portcullis(
    ['user', 'create', '--email', TOMAS, '--role', 'member', '--tenant', tenant.id, '--json'],
    { PORTCULLIS_DATA_DIR: world.product.dataDir },
  )
  expect(made.status, made.stderr).toBe(0)
  agentId = world.agent.agentId
  await world.agent.call(READS.github.tool, READS.github.args)
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true })
  page = await context.newPage()
  page.on('console', (message) => {
    // What the gateway refuses with a status is a line in the console too, and not what is looked for.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      consoleProblems.push(message.text())
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
  await open('/login')
  await page.getByLabel('E-mail').fill(OWNER.email)
  await page.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await button('Sign in').click()
  await page.waitForURL(`${world.product.url}/`)
})
test.afterAll(async () => {
  await context.close()
  await world.close()
})

async function expectNoBarrier(): Promise<void> {
  for (const [width, colorScheme] of [
    [390, 'dark'],
    [1280, 'light'],
  ] as const) {
    await page.setViewportSize({ width, height: 900 })
    await page.emulateMedia({ colorScheme })
    // Colours change over a moment, and are judged as they stay.
    await page.waitForFunction(() =>
      document
        .getAnimations()
        .every((one) => one.playState !== 'running' || one.effect?.getComputedTiming().iterations === Infinity),
    )
    expect(await barriersOf(page), `at ${width} px, ${colorScheme}`).toEqual([])
  }
}

async function givePassword(): Promise<void> {
  await dialog().getByLabel('Your password').fill(OWNER.password)
  await dialog().getByRole('button', { name: 'Confirm' }).click()
}

interface Step {
  /** What is pressed to do it, on a page where everything is filled in. */
  readonly press: () => Promise<unknown>
  /** What was typed and chosen is there as it was. */
  readonly kept: () => Promise<unknown>
  /** How many there are of what it makes, or another state of the data that it changes. */
  readonly stored: () => Promise<unknown>
  /** It went through. */
  readonly done: () => Promise<unknown>
  readonly prove?: () => Promise<void>
}

/** Closes the dialog once, which changes nothing, and then proves who it is, after which what was pressed is done. */
async function asksFirst({ press, kept, stored, done, prove = givePassword }: Step): Promise<void> {
  await makeOld()
  const before = await stored()
  await press()
  await expect(dialog().getByRole('textbox')).toBeFocused()
  await page.keyboard.press('Escape')
  await expect(dialog()).toBeHidden()
  await expect(page.getByText('Confirm that it is you, then this goes on.')).toBeVisible()
  await kept()
  expect(await stored()).toEqual(before)

  await press()
  await expect(dialog()).toBeVisible()
  await kept()
  await prove()
  await done()
  await expect(dialog()).toBeHidden()
}

test('connecting an account: a wrong password is said in the dialog, and the right one goes on to the provider', async () => {
  await open('/connections/new?provider=google')
  const scope = main().getByRole('checkbox', { disabled: false }).first()
  await scope.click()
  await expect(scope).not.toBeChecked()
  await asksFirst({
    press: () => page.getByRole('button', { name: 'Continue to Google' }).click(),
    kept: async () => {
      await expect(page.locator('form [role=checkbox][aria-checked=false]')).toHaveCount(1)
      await expect(page.locator('form [role=radio][aria-checked=true]')).toHaveAttribute('value', 'google')
    },
    stored: () => countOf('connect_attempt'),
    prove: async () => {
      await dialog().getByLabel('Your password').fill('not her password')
      await dialog().getByRole('button', { name: 'Confirm' }).click()
      await expect(dialog().getByText('This is not your password.')).toBeVisible()
      await givePassword()
    },
    done: async () => {
      await expect(page.getByRole('heading', { name: 'Choose an account' })).toBeVisible()
      expect(new URL(page.url()).origin).not.toBe(world.product.url)
    },
  })
})

test('an application’s request for an agent: what was shown is what is approved', async () => {
  const mcpUrl = `${world.product.url}/mcp/${agentId}`
  const session = await sdk2('2026-07-28')({
    mcpUrl,
    consent: async (url) => {
      await page.goto(url)
      await asksFirst({
        press: () => button('Approve').click(),
        kept: () => expect(page.locator('h1')).toHaveText(/^Let “.*” use the agent/),
        stored: () => countOf('agent_session'),
        done: () => page.waitForURL(/\/callback\?/),
      })
    },
  })
  expect((await session.tools()).length).toBeGreaterThan(0)
  await session.close()
})

test('saying no to an application asks for nothing', async () => {
  const refused = sdk2('2026-07-28')({
    mcpUrl: `${world.product.url}/mcp/${agentId}`,
    consent: async (url) => {
      await page.goto(url)
      await makeOld()
      await button('Deny').click()
      await page.waitForURL(/\/callback\?/)
    },
  })
  await expect(refused).rejects.toThrow(/access_denied/)
})

test('an export of the activity, and again when it is downloaded', async () => {
  await open('/activity/exports')
  await page.getByLabel('Format', { exact: true }).selectOption('csv')
  await page.getByLabel('Tool', { exact: true }).selectOption(READS.github.tool)
  await page.getByLabel('From day (UTC)').fill('2026-01-02')
  await asksFirst({
    press: () => button('Start export').click(),
    kept: async () => {
      await expect(page.locator('select[name=format]')).toHaveValue('csv')
      await expect(page.locator('select[name=tool]')).toHaveValue(READS.github.tool)
      await expect(page.locator('input[name=from]')).toHaveValue('2026-01-02')
    },
    stored: () => countOf('audit_export'),
    done: () => expect(main().getByText('Ready', { exact: true })).toBeVisible({ timeout: 60_000 }),
  })
  const downloads: string[] = []
  page.on('download', (download) => downloads.push(download.suggestedFilename()))
  await asksFirst({
    press: () => button('Download').click(),
    kept: () => expect(main()).toContainText('Ready'),
    stored: () => Promise.resolve([...downloads]),
    done: () => expect.poll(() => downloads).toEqual(['audit.csv']),
  })
})

test('a copy of what is stored about oneself', async () => {
  await open('/settings/account')
  let taken = 0
  page.on('download', () => (taken += 1))
  await asksFirst({
    press: () => button('Download').click(),
    kept: () => Promise.resolve(),
    stored: () => Promise.resolve(taken),
    done: () => expect.poll(() => taken).toBe(1),
  })
})

test('an API key, asked for over the dialog it is made in', async () => {
  await open('/settings/api-keys')
  await button('New key').click()
  await page.getByLabel('Name').fill('Nightly report')
  await page.getByLabel('agent.read', { exact: true }).check()
  await page.getByLabel('From where').fill('192.0.2.0/24')
  await asksFirst({
    press: () => button('Make key').click(),
    kept: async () => {
      await expect(page.locator('input[name=name]')).toHaveValue('Nightly report')
      await expect(page.locator('textarea[name=ipRanges]')).toHaveValue('192.0.2.0/24')
      await expect(page.locator('[role=dialog] [role=checkbox][aria-checked=true]')).toHaveCount(1)
    },
    stored: () => countOf('api_key'),
    prove: async () => {
      await expectNoBarrier()
      await givePassword()
    },
    done: () => expect(button('Show API key')).toBeVisible(),
  })
  await page.getByLabel('I have stored it').check()
  await button('Done').click()
  await expect(main().getByText('192.0.2.0/24')).toBeVisible()
})

test('a session key of an agent', async () => {
  await open(`/agents/${agentId}?tab=connect`)
  await button('New session key').click()
  await page.getByLabel('Where it will be used').fill('build server')
  await page.getByLabel('Works for').selectOption('7')
  await asksFirst({
    press: () => button('Create key').click(),
    kept: async () => {
      await expect(page.locator('input[name=label]')).toHaveValue('build server')
      await expect(page.locator('select[name=lifetime]')).toHaveValue('7')
    },
    stored: () => countOf('agent_session'),
    done: () => expect(page.getByRole('heading', { name: 'Session key created' })).toBeVisible(),
  })
})

test('a role, which stays what it was until then, and an invitation into one', async () => {
  await open('/settings/people')
  const roleSelect = main().locator('select[aria-label^="Role of"]')
  const roles = () => sql('SELECT person_id, role FROM membership ORDER BY person_id')
  await asksFirst({
    press: () => roleSelect.selectOption('admin'),
    kept: () => expect(roleSelect).toHaveValue('member'),
    stored: roles,
    done: () => expect(page.getByText(/ is now an admin$/).first()).toBeVisible(),
  })
  await expect(roleSelect).toHaveValue('admin')

  await button('Invite').click()
  await page.getByLabel('E-mail').fill('new@juniperfreight.example')
  await page.getByLabel('Role', { exact: true }).selectOption('auditor')
  await asksFirst({
    press: () => button('Send invitation').click(),
    kept: async () => {
      await expect(page.locator('input[name=email]')).toHaveValue('new@juniperfreight.example')
      await expect(page.locator('select[name=role]')).toHaveValue('auditor')
    },
    stored: () => countOf('invitation'),
    done: () => expect(page.getByRole('heading', { name: 'new@juniperfreight.example is invited' })).toBeVisible(),
  })
})

test('where the activity is sent, and the issuer by which people sign in', async () => {
  await open('/activity/streams')
  await button('Add stream').click()
  await page.getByLabel(/^Address/).fill('https://siem.juniperfreight.example/in')
  await page.getByLabel('Begin with').selectOption('all')
  await asksFirst({
    press: () => page.locator('[role=dialog] button[type=submit]', { hasText: 'Add stream' }).click(),
    kept: async () => {
      await expect(page.locator('input[name=url]')).toHaveValue('https://siem.juniperfreight.example/in')
      await expect(page.locator('select[name=start]')).toHaveValue('all')
    },
    stored: () => countOf('audit_stream'),
    done: () => expect(page.getByRole('heading', { name: 'The signing secret' })).toBeVisible(),
  })

  await open('/settings/single-sign-on')
  await page.getByLabel('Issuer address').fill('https://login.juniperfreight.example')
  await page.getByLabel('Client id').fill('portcullis')
  await page.getByLabel('Client secret', { exact: true }).fill('typed once')
  await asksFirst({
    press: () => button('Save').click(),
    kept: async () => {
      await expect(page.locator('input[name=issuer]')).toHaveValue('https://login.juniperfreight.example')
      await expect(page.locator('input[name=clientSecret]')).toHaveValue('typed once')
    },
    stored: () => countOf('sign_in_config'),
    done: () => expect(page.getByRole('heading', { name: 'Connection' })).toBeVisible(),
  })
})

test('how long records are kept', async () => {
  await open('/activity/integrity')
  await button('Change retention').click()
  await page.locator('select[name=kind]').selectOption('days')
  await page.locator('input[name=days]').fill('90')
  await asksFirst({
    press: () => button('Save').click(),
    kept: () => expect(page.locator('input[name=days]')).toHaveValue('90'),
    stored: () => sql('SELECT audit_retention_days FROM tenant'),
    done: () => expect(main().getByText('90 days')).toBeVisible(),
  })
})

test('sharing an account; taking it back asks for nothing', async () => {
  await open(`/connections/${world.connections.github}`)
  const shared = main().getByRole('switch', { name: 'Shared with the workspace', includeHidden: true })
  const sharing = () => sql('SELECT id, sharing FROM connection ORDER BY id')
  await asksFirst({
    press: () => shared.click(),
    kept: () => expect(shared).not.toBeChecked(),
    stored: sharing,
    done: () => expect(shared).toBeChecked(),
  })
  await makeOld()
  await shared.click()
  await expect(shared).not.toBeChecked()
})

test('whoever has a second factor proves themself by it', async () => {
  await open('/settings/account')
  await asksFirst({
    press: () => button('Set up').click(),
    kept: () => Promise.resolve(),
    stored: () => countOf('person_totp'),
    done: () => expect(page.getByRole('img', { name: /QR code/ })).toBeVisible(),
  })
  const app = authenticatorApp(await page.getByRole('dialog').locator('code').innerText())
  await page.getByLabel('Code from your app').fill(app.next())
  await button('Turn on').click()
  await page.getByLabel('I have stored them').check()
  await button('Done').click()

  await open('/settings/api-keys')
  await button('New key').click()
  await page.getByLabel('Name').fill('Weekly report')
  await page.getByLabel('Everything its role may do').check()
  await asksFirst({
    press: () => button('Make key').click(),
    kept: () => expect(page.locator('input[name=name]')).toHaveValue('Weekly report'),
    stored: () => countOf('api_key'),
    prove: async () => {
      await expect(dialog().getByLabel('Your password')).toHaveCount(0)
      await dialog().getByLabel('Code from your app').fill(app.next())
      await dialog().getByRole('button', { name: 'Confirm' }).click()
    },
    done: () => expect(button('Show API key')).toBeVisible(),
  })
})

test('whoever came by a link alone signs in again, and is back on the page', async ({ browser }) => {
  const tomas = await signInByMail(world, TOMAS)
  const other = await browser.newContext()
  await other.addCookies([...tomas.cookies].map(([name, value]) => ({ name, value, url: world.product.url })))
  const his = await other.newPage()
  await his.goto(`${world.product.url}/connections/new?provider=google`)
  await makeOld()
  await his.getByRole('button', { name: 'Continue to Google' }).click()
  await his.getByRole('dialog').getByRole('button', { name: 'Sign in again' }).click()
  await his.waitForURL(/\/login\?next=%2Fconnections%2Fnew%3Fprovider%3Dgoogle$/)
  await other.close()
})

test('nothing is in the console that should not be there', () => {
  expect(consoleProblems).toEqual([])
})
