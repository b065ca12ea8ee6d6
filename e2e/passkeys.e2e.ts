import { expect, test, type BrowserContext, type CDPSession, type Page } from '@playwright/test'
import { Secret, TOTP } from 'otpauth'

import { barriersOf } from './support/barriers'
import { query } from './support/database'
import { startProduct, type Product } from './support/product'
import { createVisitor, signUpFirst, type Account } from './support/visitor'

/** A person's passkeys and second factor as they meet them: in a real browser, with an authenticator made of software. */
test.describe.configure({ mode: 'serial' })

const ANA: Account = {
  email: 'ana@passkeys.example',
  name: 'Ana Ribeiro',
  password: 'eleven bikes and a harbour crane',
}
let product: Product
let context: BrowserContext
let page: Page
let device: CDPSession
let recoveryCodes: string[] = []
let appSecret = ''
/** A code of each step is taken once; a test that needs another takes the next one. */
let codesTaken = 0
const problems: string[] = []

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000)
  product = await startProduct()
  if (product.signUpLink === undefined) throw new Error('the product printed no sign-up link')
  await signUpFirst(createVisitor(product.url), product.signUpLink, ANA, 'Passkeys')
  context = await browser.newContext({ viewport: { width: 1280, height: 900 } })
  page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error' && /Content Security Policy/i.test(message.text())) problems.push(message.text())
  })
  device = await context.newCDPSession(page)
  await device.send('WebAuthn.enable')
  await device.send('WebAuthn.addVirtualAuthenticator', {
    options: {
      protocol: 'ctap2',
      transport: 'internal',
      hasResidentKey: true,
      hasUserVerification: true,
      isUserVerified: true,
      automaticPresenceSimulation: true,
    },
  })
})
test.afterAll(async () => {
  await context.close()
  await product.stop()
})

const button = (name: string) => page.getByRole('button', { name, exact: true })
const heading = (name: string | RegExp) => page.getByRole('heading', { name })

async function signOut(): Promise<void> {
  await context.clearCookies()
  await page.goto(`${product.url}/login`)
}
async function givePassword(): Promise<void> {
  await page.getByLabel('E-mail').fill(ANA.email)
  await page.getByLabel('Password', { exact: true }).fill(ANA.password)
  await button('Sign in').click()
}
const openAccount = () => page.goto(`${product.url}/settings/account`)
const makeOld = () =>
  query(product.dataDir, 'portcullis', "UPDATE web_session SET authenticated_at = now() - interval '6 minutes'")
/** Within the window of one step either side: the steps before and after count too. */
function nextCode(): string {
  codesTaken += 1
  const timestamp = Date.now() + (codesTaken - 2) * 30_000
  return new TOTP({ secret: Secret.fromBase32(appSecret) }).generate({ timestamp })
}

test('a passkey is added in the account page, with recovery codes that are shown once', async () => {
  await page.goto(`${product.url}/login`)
  await givePassword()
  await expect(page).toHaveURL(`${product.url}/`)
  await openAccount()
  await button('Add a passkey').click()
  await page.getByRole('dialog').getByLabel('Name').fill('Work laptop')
  await button('Go on').click()
  await expect(heading('Your recovery codes')).toBeVisible()
  recoveryCodes = await page.getByRole('list', { name: 'Recovery codes' }).getByRole('listitem').allInnerTexts()
  expect(recoveryCodes).toHaveLength(10)
  expect(await barriersOf(page, device)).toEqual([])
  await page.getByLabel('I have stored them').check()
  await button('Done').click()
  await expect(page.getByText('Work laptop')).toBeVisible()
  await page.reload()
  await expect(page.getByText('Work laptop')).toBeVisible()
  await expect(page.getByText(recoveryCodes[0] ?? 'none')).toHaveCount(0)
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 })
    expect(await barriersOf(page, device), `at ${width} px`).toEqual([])
  }
  await page.setViewportSize({ width: 1280, height: 900 })
})

test('it signs in without an address and without a password', async () => {
  await signOut()
  await button('Sign in with a passkey').click()
  await expect(page).toHaveURL(`${product.url}/`)
})

test('after the password alone nothing opens but the second step, and the passkey ends it', async () => {
  await signOut()
  await givePassword()
  await expect(heading('One more step')).toBeVisible()
  expect(await barriersOf(page, device)).toEqual([])
  for (const path of ['/', '/connections', '/settings/account', '/agents']) {
    await page.goto(`${product.url}${path}`)
    await expect(page).toHaveURL(/\/login\?next=/)
  }
  expect((await page.request.get(`${product.url}/api/v1/account`)).status()).toBe(401)
  expect((await page.request.get(`${product.url}/api/v1/agents`)).status()).toBe(401)
  const made = await page.request.post(`${product.url}/api/v1/api-keys`, {
    headers: { origin: product.url },
    data: { name: 'Half', role: 'owner' },
  })
  expect(made.status()).toBe(401)
  const begun = await page.request.post(`${product.url}/connect/github`, {
    headers: { origin: product.url },
    data: {},
    maxRedirects: 0,
  })
  expect(begun.status()).toBe(401)
  await page.goto(`${product.url}/login/second-factor?next=%2Fconnections`)
  await button('Use a passkey').click()
  await expect(page).toHaveURL(`${product.url}/connections`)
})

test('an authenticator app is set up by its first code', async () => {
  await openAccount()
  await button('Set up').click()
  await expect(page.getByRole('img', { name: /QR code/ })).toBeVisible()
  appSecret = (await page.getByRole('dialog').locator('code').innerText()).replaceAll(/\s/g, '')
  await page.getByLabel('Code from your app').fill('000000')
  await button('Turn on').click()
  await expect(page.getByText('This code is not right, or was used before.')).toBeVisible()
  await page.getByLabel('Code from your app').fill(nextCode())
  await button('Turn on').click()
  await expect(page.getByText('Six digits after your password, since')).toBeVisible()
})

test('a code or a recovery code ends the second step too, each once', async () => {
  await signOut()
  await givePassword()
  await button('Use a code from your app').click()
  await page.getByLabel('Code from your app').fill(nextCode())
  await button('Sign in').click()
  await expect(page).toHaveURL(`${product.url}/`)
  for (const [attempt, works] of [true, false].entries()) {
    await signOut()
    await givePassword()
    await button('Use a recovery code').click()
    await page.getByLabel('Recovery code').fill(recoveryCodes[0] ?? '')
    await button('Sign in').click()
    if (works) await expect(page, `attempt ${attempt}`).toHaveURL(`${product.url}/`)
    else await expect(page.getByText('This code is not right, or was used before.')).toBeVisible()
  }
})

test('what gives access asks again after five minutes, and then goes on by itself', async () => {
  await signOut()
  await button('Sign in with a passkey').click()
  await expect(page).toHaveURL(`${product.url}/`)
  await openAccount()
  await expect(page.getByText('Work laptop')).toBeVisible()
  await makeOld()
  await button('New codes').click()
  await button('Make new codes').click()
  await expect(heading('Confirm that it is you')).toBeVisible()
  // Whoever closes it has done nothing.
  await page.keyboard.press('Escape')
  await expect(page.getByText('Confirm that it is you, then this goes on.')).toBeVisible()
  await button('Make new codes').click()
  await button('Use a passkey').click()
  await expect(heading('Your recovery codes')).toBeVisible()
  await page.getByLabel('I have stored them').check()
  await button('Done').click()
})

test('the pages kept to their content security policy', () => {
  expect(problems).toEqual([])
})
