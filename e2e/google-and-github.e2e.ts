import { expect, test, type Browser, type Page } from '@playwright/test'

import { authenticatorApp, type AuthenticatorApp } from './support/authenticator-app'
import { barriersOf } from './support/barriers'
import { OWNER, startConnected, type Connected } from './support/connected'
import { query } from './support/database'

/** A person's own Google or GitHub account as another way in: linked by who is signed in, found by its subject alone. */
test.describe.configure({ mode: 'serial' })

const PROVIDERS = ['Google', 'GitHub'] as const
/** Who has the owner's very address at both providers, and a colleague. */
const [ANA, BEN] = [/Ana Ribeiro/, /Ben Okafor/]

let world: Connected
let owner: Page
let app: AuthenticatorApp
const consoleProblems: string[] = []

const sql = (text: string) => query(world.product.dataDir, 'portcullis', text)
const at = (path: string) => `${world.product.url}${path}`

async function newPage(browser: Browser): Promise<Page> {
  const page = await (await browser.newContext({ viewport: { width: 1280, height: 900 } })).newPage()
  page.on('console', (message) => {
    // What the gateway refuses with a status is a line in the console too, and not what is looked for.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      consoleProblems.push(message.text())
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
  return page
}

async function expectNoBarrier(page: Page): Promise<void> {
  for (const width of [390, 1280]) {
    await page.setViewportSize({ width, height: 900 })
    expect(await barriersOf(page), `at ${width} px on ${page.url()}`).toEqual([])
  }
}

/** What the person does at the provider, who asks for consent only where it was not given before. */
async function answer(page: Page, who: RegExp, decision: 'Allow' | 'Cancel' = 'Allow'): Promise<void> {
  await page.getByRole('button', { name: who }).click()
  await page.waitForURL((url) => url.origin === world.product.url || url.pathname === '/sandbox/account')
  if (new URL(page.url()).origin === world.product.url) return
  await page.getByRole('button', { name: decision, exact: true }).click()
  await page.waitForURL((url) => url.origin === world.product.url)
}

async function signInWith(
  page: Page,
  provider: string,
  who: RegExp,
  decision: 'Allow' | 'Cancel' = 'Allow',
): Promise<void> {
  await page.goto(at('/login?next=%2Fagents'))
  await page.getByRole('button', { name: `Sign in with ${provider}` }).click()
  await answer(page, who, decision)
}

/** Who is signed in at this browser. */
async function whoIs(page: Page): Promise<string> {
  const { id } = (await (await page.request.get(at('/api/v1/account'))).json()) as { id: string } // the API's own shape
  return id
}

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000)
  world = await startConnected({ providers: [] })
  owner = await newPage(browser)
  await owner.goto(at('/login'))
  await owner.getByLabel('E-mail').fill(OWNER.email)
  await owner.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await owner.getByRole('button', { name: 'Sign in', exact: true }).click()
  await owner.waitForURL(at('/'))
})
test.afterAll(async () => {
  await world.close()
})

for (const provider of PROVIDERS) {
  test(`${provider}: whoever says no there is back at the sign-in page, and is told so`, async ({ browser }) => {
    const page = await newPage(browser)
    await signInWith(page, provider, BEN, 'Cancel')
    await expect(page).toHaveURL(/\/login\?problem=declined$/)
    await expect(page.getByRole('alert').filter({ hasText: 'said no. Nothing has changed.' })).toBeVisible()
    await expectNoBarrier(page)
    await page.context().close()
  })

  test(`${provider}: an account that nobody linked signs nobody in, though its verified address is somebody’s here`, async ({
    browser,
  }) => {
    const page = await newPage(browser)
    await signInWith(page, provider, ANA)
    await expect(page).toHaveURL(/\/login\?problem=not_linked$/)
    await expect(page.getByRole('alert').filter({ hasText: 'is not linked to anybody here' })).toBeVisible()
    expect((await page.request.get(at('/api/v1/account'))).status()).toBe(401)
    expect(await sql('SELECT id FROM person')).toHaveLength(1)
    await page.context().close()
  })

  test(`${provider}: it is linked by who is signed in and proved it just now`, async () => {
    await owner.goto(at('/settings/account'))
    const link = owner.getByRole('button', { name: `Link ${provider}`, exact: true })
    await link.click()
    await answer(owner, BEN, 'Cancel')
    await expect(owner).toHaveURL(/\/settings\/account\?problem=declined$/)
    await expect(owner.getByRole('alert').filter({ hasText: 'said no. Nothing has changed.' })).toBeVisible()

    await sql("UPDATE web_session SET authenticated_at = now() - interval '301 seconds'")
    await link.click()
    await owner.getByRole('dialog').getByLabel('Your password').fill(OWNER.password)
    await owner.getByRole('button', { name: 'Confirm' }).click()
    await answer(owner, ANA)
    await expect(owner).toHaveURL(at('/settings/account'))
    await expect(owner.getByRole('button', { name: new RegExp(`^Unlink ${provider}`) })).toBeVisible()
    await expect(link).toHaveCount(0)
    await expectNoBarrier(owner)
  })

  test(`${provider}: it signs its person in, and again when their address has become another one`, async ({
    browser,
  }) => {
    const me = await whoIs(owner)
    for (const email of [OWNER.email, `moved-${provider.toLowerCase()}@elsewhere.example`]) {
      await sql(`UPDATE person SET email = '${email}', email_canonical = '${email}'`)
      const page = await newPage(browser)
      await signInWith(page, provider, ANA)
      await expect(page).toHaveURL(at('/agents'))
      expect(await whoIs(page)).toBe(me)
      await page.context().close()
    }
    await sql(`UPDATE person SET email = '${OWNER.email}', email_canonical = '${OWNER.email}'`)
    const other = await newPage(browser)
    await signInWith(other, provider, BEN)
    await expect(other).toHaveURL(/\/login\?problem=not_linked$/)
    await other.context().close()
  })
}

test('a second factor is set up', async () => {
  await owner.goto(at('/settings/account'))
  await owner.getByRole('button', { name: 'Set up', exact: true }).click()
  app = authenticatorApp(await owner.getByRole('dialog').locator('code').innerText())
  await owner.getByLabel('Code from your app').fill(app.next())
  await owner.getByRole('button', { name: 'Turn on' }).click()
  await owner.getByLabel('I have stored them').check()
  await owner.getByRole('button', { name: 'Done' }).click()
  await expect(owner.getByText('Six digits after your password, since')).toBeVisible()
})

for (const provider of PROVIDERS)
  test(`${provider}: whoever has a second factor is asked for it afterwards, and nothing opens before`, async ({
    browser,
  }) => {
    const page = await newPage(browser)
    await signInWith(page, provider, ANA)
    await expect(page).toHaveURL(at('/login/second-factor?next=%2Fagents'))
    await expect(page.getByRole('heading', { name: 'One more step' })).toBeVisible()
    await expect(page.getByLabel('Code from your app')).toBeVisible()
    await expectNoBarrier(page)
    expect((await page.request.get(at('/api/v1/account'))).status()).toBe(401)
    await page.goto(at('/agents'))
    await expect(page).toHaveURL(/\/login\?next=%2Fagents$/)

    await page.goto(at('/login/second-factor?next=%2Fagents'))
    await page.getByLabel('Code from your app').fill('000000')
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await expect(page.getByText('This code is not right, or was used before.')).toBeVisible()
    await page.getByLabel('Code from your app').fill(app.next())
    await page.getByRole('button', { name: 'Sign in', exact: true }).click()
    await expect(page).toHaveURL(at('/agents'))
    expect(await whoIs(page)).toBe(await whoIs(owner))

    await owner.goto(at('/settings/account'))
    await owner.getByRole('button', { name: new RegExp(`^Unlink ${provider}`) }).click()
    await owner.getByRole('alertdialog').getByRole('button', { name: 'Unlink' }).click()
    await expect(owner.getByRole('button', { name: `Link ${provider}`, exact: true })).toBeVisible()
    await page.goto(at('/agents'))
    await expect(page).toHaveURL(/\/login/)
    await page.context().close()
  })

test('nothing is in the console that should not be there', () => {
  expect(consoleProblems).toEqual([])
})
