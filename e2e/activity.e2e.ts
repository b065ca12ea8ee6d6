import { readFileSync } from 'node:fs'
import path from 'node:path'

import { expect, test, type BrowserContext, type Page } from '@playwright/test'

import { barriersOf } from './support/barriers'
import { portcullis } from './support/cli'
import { READS, startConnected, type Connected } from './support/connected'
import { withDatabase } from './support/database'
import { isSignedBy, startReceiver, type Receiver } from './support/receiver'

/** The trail as its owner reads it: searched, watched, taken along and sent on. */
test.describe.configure({ mode: 'serial' })

let world: Connected
let receiver: Receiver
let context: BrowserContext
let page: Page
const consoleProblems: string[] = []
const main = () => page.getByRole('main')
const rows = () => main().getByRole('table', { name: 'Activity, newest first' }).getByRole('row')
/** Pictures for whoever wants to see the pages. */
const PICTURES = process.env['PORTCULLIS_PICTURES']

async function look(name: string): Promise<void> {
  for (const width of [1280, 390])
    for (const colorScheme of ['light', 'dark'] as const) {
      await page.setViewportSize({ width, height: 900 })
      await page.emulateMedia({ colorScheme })
      // Colours change over a moment, and are judged as they stay.
      await page.waitForFunction(() =>
        document
          .getAnimations()
          .every((one) => one.playState !== 'running' || one.effect?.getComputedTiming().iterations === Infinity),
      )
      expect(await barriersOf(page), `${name} at ${width} px, ${colorScheme}`).toEqual([])
      if (PICTURES !== undefined)
        await page.screenshot({ path: path.join(PICTURES, `${name}-${width}-${colorScheme}.png`), fullPage: true })
    }
  await page.setViewportSize({ width: 1280, height: 900 })
  await page.emulateMedia({ colorScheme: 'light' })
}

test.beforeAll(async ({ browser }) => {
  test.setTimeout(420_000)
  receiver = await startReceiver()
  world = await startConnected({
    providers: ['github'],
    env: { EGRESS_ALLOW: receiver.origin, EGRESS_ALLOW_UNSAFE: '1' },
  })
  context = await browser.newContext({ viewport: { width: 1280, height: 900 }, acceptDownloads: true })
  await context.addCookies([...world.owner.cookies].map(([name, value]) => ({ name, value, url: world.product.url })))
  page = await context.newPage()
  page.on('console', (message) => {
    if (message.type() === 'error') consoleProblems.push(`${message.text()} ${message.location().url}`)
  })
  page.on('pageerror', (error) => consoleProblems.push(error.message))
  await world.agent.call(READS.github.tool, READS.github.args)
})

test.afterAll(async () => {
  await context.close()
  await world.close()
  await receiver.close()
})

test('the list is narrowed in its address, counted over time, and shows what comes while it is looked at', async () => {
  // The pages come up a moment after the gateway.
  await expect(async () => {
    await page.goto(`${world.product.url}/activity`)
    await expect(page.getByRole('heading', { level: 1, name: 'Activity' })).toBeVisible({ timeout: 2_000 })
  }).toPass({ timeout: 60_000 })
  await expect(main().locator('figure svg .recharts-bar-rectangle path').first()).toBeVisible()
  await page.getByLabel('Tool', { exact: true }).selectOption(READS.github.tool)
  await expect(page).toHaveURL(/[?&]tool=/)
  await expect(rows()).toHaveCount(2)
  await page.getByLabel('Time', { exact: true }).selectOption('24h')
  await expect(page).toHaveURL(/span=24h/)
  await expect(rows()).toHaveCount(2)
  await world.agent.call(READS.github.tool, READS.github.args)
  await expect(rows()).toHaveCount(3)
  await page.getByRole('button', { name: 'Pause the list' }).click()
  await world.agent.call(READS.github.tool, READS.github.args)
  await page.getByRole('button', { name: 'Show 1 newer entry' }).click()
  await expect(rows()).toHaveCount(4)
  await look('activity')
  await page.getByLabel('Outcome', { exact: true }).selectOption('expired')
  await expect(main()).toContainText('Nothing matches these filters')
  expect(consoleProblems).toEqual([])
})

test('an export is made while one watches, and downloaded whole', async () => {
  await page.goto(`${world.product.url}/activity/exports`)
  await page.getByLabel('Format', { exact: true }).selectOption('csv')
  await page.getByLabel('Tool', { exact: true }).selectOption(READS.github.tool)
  await page.getByRole('button', { name: 'Start export' }).click()
  await expect(main().getByText('Ready', { exact: true })).toBeVisible({ timeout: 60_000 })
  await look('exports')
  const [download] = await Promise.all([
    page.waitForEvent('download'),
    page.getByRole('button', { name: 'Download' }).click(),
  ])
  expect(download.suggestedFilename()).toBe('audit.csv')
  const lines = readFileSync(await download.path(), 'utf8')
    .trimEnd()
    .split('\r\n')
  expect(lines).toHaveLength(1 + 2 * 3)
  expect(consoleProblems).toEqual([])
})

test('a stream sends every record on, signed', async () => {
  await page.goto(`${world.product.url}/activity/streams`)
  await page.getByRole('button', { name: 'Add stream' }).click()
  await page.getByLabel(/^Address/).fill(`${receiver.origin}/siem`)
  await page.getByLabel('Begin with').selectOption('all')
  await page.getByRole('dialog').getByRole('button', { name: 'Add stream' }).click()
  await page.getByRole('button', { name: 'Show Signing secret' }).click()
  const secret = (await page.getByLabel('Signing secret', { exact: true }).textContent()) ?? ''
  await page.getByLabel('I have stored it').click()
  await page.getByRole('dialog').getByRole('button', { name: 'Done' }).click()
  await expect.poll(() => receiver.calls.length, { timeout: 60_000 }).toBeGreaterThan(0)
  expect(receiver.calls.every((call) => isSignedBy(secret, call))).toBe(true)
  expect(receiver.calls.map(({ body }) => body).join('')).toContain(READS.github.tool)
  await expect(main()).toContainText(/Webhook · \d+ records/)
  await look('streams')
  expect(consoleProblems).toEqual([])
})

test('the page on integrity says that the record is intact, and after an edit in the database names that record', async () => {
  await page.goto(`${world.product.url}/activity`)
  await page.getByRole('navigation', { name: 'Activity' }).getByRole('link', { name: 'Integrity' }).click()
  await expect(page.getByRole('heading', { level: 1, name: 'Integrity' })).toBeVisible()
  // Sealed, and said outside.
  await expect(main()).toContainText('A file in the data folder', { timeout: 60_000 })
  await look('integrity')
  await page.getByRole('button', { name: 'Verify now' }).focus()
  await page.keyboard.press('Enter')
  await expect(main()).toContainText('The record is intact', { timeout: 60_000 })
  await look('integrity-intact')

  await page.getByRole('button', { name: 'Change retention' }).click()
  await page.getByLabel('Keep records', { exact: true }).selectOption('days')
  await page.getByLabel(/^Days/).fill('400')
  await look('integrity-retention')
  await page.getByRole('dialog').getByRole('button', { name: 'Save' }).click()
  await expect(main()).toContainText('400 days')

  const [edited] = await withDatabase(world.product.dataDir, 'portcullis', async (query) => {
    const found = await query(
      "SELECT r.tenant_id, r.id FROM audit_record r JOIN audit_link l ON l.tenant_id = r.tenant_id AND l.record_id = r.id WHERE r.tool IS NOT NULL AND r.kind = 'intent' ORDER BY l.position LIMIT 1",
    )
    await query('UPDATE audit_record SET decision = $1 WHERE id = $2', ['deny', String(found[0]?.['id'])])
    return found
  })
  await page.getByRole('button', { name: 'Verify now' }).click()
  await expect(main()).toContainText('The record is not what was written', { timeout: 60_000 })
  await expect(main()).toContainText('A record was edited')
  await expect(main()).toContainText(String(edited?.['id']))
  await look('integrity-tampered')
  expect(consoleProblems).toEqual([])
})

test('the command line exports the same in each format', async () => {
  const environment = { PORTCULLIS_DATA_DIR: world.product.dataDir }
  const run = async (format: string) => {
    const { status, stdout } = await portcullis(
      ['audit', 'export', '--format', format, '--tool', READS.github.tool],
      environment,
    )
    expect(status).toBe(0)
    return stdout.trimEnd().split('\n')
  }
  expect(await run('jsonl')).toHaveLength(6)
  expect((await run('csv'))[0]).toMatch(/^"recorded_at",/)
  expect((await run('cef'))[0]).toMatch(/^CEF:0\|Portcullis\|/)
})
