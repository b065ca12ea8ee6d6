import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { expect, test, type Browser, type BrowserContext, type Page } from '@playwright/test'

import { barriersOf } from './support/barriers'
import { OWNER, startConnected, type Connected } from './support/connected'
import { createVisitor } from './support/visitor'

/** People come, get a role and go; a key is made, found and ended; a workspace is closed and taken back. */
test.describe.configure({ mode: 'serial' })

const GUEST = { email: 'tomas@juniperfreight.example', name: 'Tomas Lind', password: 'a lighthouse with green windows' }

let world: Connected
let context: BrowserContext
let owner: Page
let guest: Page

const main = (page: Page) => page.getByRole('main')

test.beforeAll(async ({ browser }) => {
  test.setTimeout(300_000)
  world = await startConnected({ providers: ['github'] })
  context = await browser.newContext()
  owner = await signInAt(context, OWNER.email, OWNER.password)
})
test.afterAll(async () => {
  await context.close()
  await world.close()
})

async function signInAt(at: BrowserContext, email: string, password: string): Promise<Page> {
  const page = await at.newPage()
  await page.goto(`${world.product.url}/login`)
  await page.getByLabel('E-mail').fill(email)
  await page.getByLabel('Password', { exact: true }).fill(password)
  await page.getByRole('button', { name: 'Sign in', exact: true }).click()
  await page.waitForURL(`${world.product.url}/`)
  return page
}

async function expectNoBarrier(page: Page): Promise<void> {
  for (const width of [1280, 390]) {
    await page.setViewportSize({ width, height: 900 })
    expect(await barriersOf(page), `at ${width} px on ${page.url()}`).toEqual([])
  }
  await page.setViewportSize({ width: 1280, height: 900 })
}

/** The link in the newest mail to this address. */
async function mailedLink(email: string): Promise<string> {
  const folder = path.join(world.product.dataDir, 'mail')
  let link = ''
  await expect
    .poll(
      () => {
        const mails = readdirSync(folder).map((name) => readFileSync(path.join(folder, name), 'utf8'))
        const found = mails.findLast((mail) => mail.startsWith(`To: ${email}\n`) && mail.includes('/invite#'))
        link = /https?:\/\/\S+\/invite#\S+/.exec(found ?? '')?.[0] ?? ''
        return link
      },
      { timeout: 60_000 },
    )
    .not.toBe('')
  return link
}

test('somebody is invited by mail, makes an account, and is a member', async ({ browser }) => {
  await owner.goto(`${world.product.url}/settings/people`)
  await owner.getByRole('button', { name: 'Invite' }).click()
  await owner.getByLabel('E-mail').fill(GUEST.email)
  await owner.getByRole('button', { name: 'Send invitation' }).click()
  await expect(owner.getByRole('heading', { name: `${GUEST.email} is invited` })).toBeVisible()
  await owner.getByLabel('I have stored it').check()
  await owner.getByRole('button', { name: 'Done' }).click()
  await expect(main(owner).getByText('Open', { exact: true })).toBeVisible()
  await expectNoBarrier(owner)

  guest = await newPage(browser)
  await guest.goto(await mailedLink(GUEST.email))
  await expect(main(guest).getByText('Juniper Freight')).toBeVisible()
  await expectNoBarrier(guest)
  await guest.getByLabel('Your name').fill(GUEST.name)
  await guest.getByLabel('Password', { exact: true }).fill(GUEST.password)
  await guest.getByRole('button', { name: 'Join workspace' }).click()
  await guest.waitForURL(`${world.product.url}/`)

  await owner.reload()
  await expect(main(owner).getByText(GUEST.name)).toBeVisible()
  await expect(main(owner).getByText('Accepted')).toBeVisible()
})

async function newPage(browser: Browser): Promise<Page> {
  return (await browser.newContext()).newPage()
}

test('a role is changed on the page, and what it allows with it', async () => {
  await owner.getByLabel(`Role of ${GUEST.name}`).selectOption('auditor')
  await expect(owner.getByText(`${GUEST.name} is now an auditor`).first()).toBeVisible()
  await guest.goto(`${world.product.url}/settings/people`)
  await expect(main(guest).getByText('Owners and admins change it.')).toBeVisible()
  await expect(guest.getByRole('button', { name: 'Invite' })).toHaveCount(0)
})

test('a key is shown once, is for what it says, and ends when somebody reports it', async () => {
  await owner.goto(`${world.product.url}/settings/api-keys`)
  await owner.getByRole('button', { name: 'New key' }).click()
  await owner.getByLabel('Name').fill('Nightly report')
  await owner.getByLabel('agent.read', { exact: true }).check()
  await expectNoBarrier(owner)
  await owner.getByRole('button', { name: 'Make key' }).click()
  await owner.getByRole('button', { name: 'Show API key' }).click()
  const key = (await owner.getByLabel('API key', { exact: true }).textContent()) ?? ''
  expect(key).toMatch(/^pck_[A-Za-z0-9_-]{43}[0-9A-Za-z]{6}$/)
  await owner.getByLabel('I have stored it').check()
  await owner.getByRole('button', { name: 'Done' }).click()
  await expect(main(owner).getByText('agent.read')).toBeVisible()
  await expectNoBarrier(owner)

  const program = createVisitor(world.product.url)
  const ask = (target: string) => program.send(target, { headers: { authorization: `Bearer ${key}` } })
  expect((await ask('/api/v1/agents')).status).toBe(200)
  expect((await ask('/api/v1/connections')).status).toBe(403)

  const report = (text: string) => createVisitor(world.product.url).send('/api/v1/leaked-keys', { json: { key: text } })
  const answers = [await report(key), await report(key), await report(`pck_${'x'.repeat(43)}`), await report('nothing')]
  expect(answers.map(({ status, body }) => [status, body])).toEqual(answers.map(() => [202, '{"status":"accepted"}']))
  expect((await ask('/api/v1/agents')).status).toBe(401)
  await owner.reload()
  await expect(main(owner).getByText('Reported as leaked')).toBeVisible()
})

test('an account is shared on its page, and taken back', async () => {
  await owner.goto(`${world.product.url}/connections/${world.connections.github}`)
  const shared = owner.getByRole('switch', { name: 'Shared with the workspace' })
  await expect(shared).not.toBeChecked()
  await shared.click()
  await expect(shared).toBeChecked()
  await expectNoBarrier(owner)
  await shared.click()
  await expect(shared).not.toBeChecked()
})

test('a workspace is made, closed by typing its name, and taken back', async () => {
  await owner.goto(`${world.product.url}/settings/account`)
  await owner.getByRole('button', { name: 'New workspace' }).click()
  await owner.getByLabel('Name').fill('Short lived')
  await owner.getByRole('button', { name: 'Make workspace' }).click()
  await owner.waitForURL(`${world.product.url}/`)
  await owner.goto(`${world.product.url}/settings`)
  await expect(owner.getByLabel('Workspace name')).toHaveValue('Short lived')
  await expectNoBarrier(owner)
  await owner.getByRole('button', { name: 'Delete workspace' }).click()
  await owner.getByLabel(/^Type/).fill('Short lived')
  await owner
    .getByRole('dialog')
    .or(owner.getByRole('alertdialog'))
    .getByRole('button', { name: 'Delete workspace' })
    .click()
  await owner.waitForURL(`${world.product.url}/`)
  await owner.goto(`${world.product.url}/settings/account`)
  // The page is streamed: only what is all there is judged.
  await expect(owner.getByRole('button', { name: 'Take back Short lived' })).toBeVisible()
  await expectNoBarrier(owner)
  await owner.getByRole('button', { name: 'Take back Short lived' }).click()
  await owner.waitForURL(`${world.product.url}/`)
  await owner.goto(`${world.product.url}/settings`)
  await expect(owner.getByLabel('Workspace name')).toHaveValue('Short lived')
})

test('a person takes a copy of what is stored about them', async () => {
  await owner.goto(`${world.product.url}/settings/account`)
  const [download] = await Promise.all([
    owner.waitForEvent('download'),
    owner.getByRole('button', { name: 'Download' }).click(),
  ])
  const data = JSON.parse(readFileSync(await download.path(), 'utf8')) as { person: { email: string } } // the file's own shape
  expect(data.person.email).toBe(OWNER.email)
})
