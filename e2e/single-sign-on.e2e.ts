import { expect, test, type Browser, type Page } from '@playwright/test'

import { startTestIssuer, type TestIssuer } from '@/lib/testing/issuer'

import { barriersOf } from './support/barriers'
import { OWNER, startConnected, type Connected } from './support/connected'
import { query } from './support/database'

/** An organization brings its own sign-in: set up, tried, used by somebody new, and made the only way in. */
test.describe.configure({ mode: 'serial' })

const DOMAIN = 'juniperfreight.example'

let world: Connected
let issuer: TestIssuer
let owner: Page
const consoleProblems: string[] = []

function watch(page: Page): Page {
  page.on('console', (message) => {
    // What the gateway refuses with a status is a line in the console too, and not what is looked for.
    if (message.type() === 'error' && !/Failed to load resource/.test(message.text()))
      consoleProblems.push(message.text())
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
  return page
}

const newPage = async (browser: Browser) => watch(await (await browser.newContext()).newPage())
const sql = (text: string, values: readonly unknown[] = []) => query(world.product.dataDir, 'portcullis', text, values)

async function expectNoBarrier(page: Page): Promise<void> {
  for (const colorScheme of ['light', 'dark'] as const)
    for (const width of [1280, 390]) {
      await page.emulateMedia({ colorScheme })
      await page.setViewportSize({ width, height: 900 })
      // Colours fade from one scheme to the other; what is half-way is nobody's to read.
      await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished)))
      expect(await barriersOf(page), `${colorScheme} at ${width} px on ${page.url()}`).toEqual([])
      const overflow = await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
      expect(overflow, `${width} px on ${page.url()}`).toBeLessThanOrEqual(0)
      const shots = process.env['SCREENSHOTS']
      if (shots !== undefined)
        await page.screenshot({
          path: `${shots}/${new URL(page.url()).pathname.replaceAll('/', '_')}-${colorScheme}-${width}.png`,
          fullPage: true,
        })
    }
  await page.emulateMedia({ colorScheme: 'light' })
  await page.setViewportSize({ width: 1280, height: 900 })
}

async function openSettings(): Promise<void> {
  // However long the machine took: the owner has just proven who they are.
  await sql("UPDATE web_session SET authenticated_at = now() WHERE status = 'active'")
  await owner.goto(`${world.product.url}/settings/single-sign-on`)
  await expect(owner.getByRole('heading', { name: 'Issuer' })).toBeVisible()
}

test.beforeAll(async ({ browser }) => {
  test.setTimeout(420_000)
  issuer = await startTestIssuer()
  world = await startConnected({
    providers: ['github'],
    env: { EGRESS_ALLOW: issuer.origin, EGRESS_ALLOW_UNSAFE: '1' },
  })
  owner = await newPage(browser)
  await owner.goto(`${world.product.url}/login`)
  await owner.getByRole('textbox', { name: 'E-mail' }).fill(OWNER.email)
  await owner.getByLabel('Password', { exact: true }).fill(OWNER.password)
  await owner.getByRole('button', { name: 'Sign in', exact: true }).click()
  await owner.waitForURL(`${world.product.url}/`)
})

test.afterAll(async () => {
  await issuer.close()
  await world.close()
})

test('an owner sets it up, and is told in words what does not hold yet', async () => {
  await openSettings()
  await owner.getByLabel('Issuer address').fill(issuer.issuer)
  await owner.getByLabel('Client id').fill(issuer.clientId)
  await owner.getByLabel('Client secret', { exact: true }).fill('not the secret')
  await owner.getByRole('button', { name: 'Save' }).click()
  await expect(owner.getByRole('heading', { name: 'Connection' })).toBeVisible()
  const redirectUri = await owner.getByText(/\/signin\/sso\/callback\/sic_/).innerText()
  issuer.register(redirectUri)

  await owner.getByRole('button', { name: 'Test the connection' }).click()
  await expect(owner.getByText('The issuer does not know this client id, or refuses the secret.')).toBeVisible()
  await owner.getByLabel('Client secret', { exact: true }).fill(issuer.clientSecret)
  await owner.getByRole('button', { name: 'Save' }).click()
  await expect(owner.getByText('Single sign-on is saved').first()).toBeVisible()
  await owner.getByRole('button', { name: 'Test the connection' }).click()
  await expect(owner.getByText('No domain is proven yet', { exact: false })).toBeVisible()

  await owner.getByLabel('Add a domain').fill(DOMAIN)
  await owner.getByRole('button', { name: 'Add', exact: true }).click()
  await expect(owner.getByText(`_portcullis.${DOMAIN}`)).toBeVisible()
  await expectNoBarrier(owner)
  // Its name servers are nobody's; what they would have said is written down.
  await sql('UPDATE sign_in_domain SET verified_at = now(), checked_at = now()')
  await openSettings()
  await expect(owner.getByText('Proven', { exact: true })).toBeVisible()
})

test('who is new begins with an address, by keyboard, and is a member of that workspace', async ({ browser }) => {
  issuer.person = { sub: 'bea', email: `bea@${DOMAIN}`, email_verified: true, name: 'Bea Moreau' }
  const page = await newPage(browser)
  await page.goto(`${world.product.url}/login`)
  await page.getByRole('link', { name: 'Use single sign-on' }).press('Enter')
  await expect(page.getByRole('heading', { name: 'Single sign-on' })).toBeVisible()
  await expectNoBarrier(page)
  await page.getByRole('textbox', { name: 'Work e-mail' }).fill(`bea@${DOMAIN}`)
  await page.keyboard.press('Enter')
  await page.waitForURL(`${world.product.url}/`)
  await expect(page.getByText('Juniper Freight').first()).toBeVisible()
  expect(page.url()).not.toContain('code=')
  await page.goto(`${world.product.url}/settings/single-sign-on`)
  await expect(page.getByText('Set by owners and admins')).toBeVisible()
  await page.context().close()
})

test('an address that the issuer did not verify is refused, and the page says what to do', async ({ browser }) => {
  issuer.person = { sub: 'eve', email: `eve@${DOMAIN}`, email_verified: false }
  const page = await newPage(browser)
  await page.goto(`${world.product.url}/login/sso?workspace=juniper-freight`)
  await page.getByRole('button', { name: 'Continue with single sign-on' }).click()
  await page.waitForURL(/\/login\?problem=email_unverified$/)
  await expect(page.getByRole('alert').filter({ hasText: 'verified' })).toBeVisible()
  await expectNoBarrier(page)
  await page.getByRole('link', { name: 'Use single sign-on' }).click()
  await page.getByRole('textbox', { name: 'Work e-mail' }).fill('somebody@nowhere.example')
  await page.getByRole('button', { name: 'Continue with single sign-on' }).click()
  await expect(page.getByText('Single sign-on is not set up for this domain', { exact: false })).toBeVisible()
  await page.context().close()
})

test('an owner links themself and makes it the only way in; removing it ends what came through it', async ({
  browser,
}) => {
  issuer.person = { sub: 'bea', email: `bea@${DOMAIN}`, email_verified: true, name: 'Bea Moreau' }
  const bea = await newPage(browser)
  await bea.goto(`${world.product.url}/login/sso?workspace=juniper-freight`)
  await bea.getByRole('button', { name: 'Continue with single sign-on' }).click()
  await bea.waitForURL(`${world.product.url}/`)

  issuer.person = { sub: 'ana', email: OWNER.email, email_verified: true, name: OWNER.name }
  await openSettings()
  await owner.getByRole('button', { name: 'Sign in through it and link yourself' }).click()
  await owner.waitForURL(/\/settings\/single-sign-on$/)
  await expect(owner.getByRole('button', { name: `Unlink ${OWNER.email}` })).toBeVisible()
  await owner.getByRole('button', { name: 'Make it the only way in' }).click()
  await owner.getByRole('alertdialog').getByRole('button', { name: 'Make it the only way' }).click()
  await expect(owner.getByText('On', { exact: true })).toBeVisible()
  await expectNoBarrier(owner)

  await owner.getByRole('button', { name: 'Remove single sign-on' }).click()
  const dialog = owner.getByRole('alertdialog')
  await dialog.getByRole('textbox').fill('remove')
  await dialog.getByRole('button', { name: 'Remove', exact: true }).click()
  await expect(owner.getByRole('heading', { name: 'Connection' })).toBeHidden()
  await bea.goto(`${world.product.url}/agents`)
  await bea.waitForURL(/\/login/)
})

test('nothing is in the console that should not be there', () => {
  expect(consoleProblems).toEqual([])
})
