/**
 * Serves the gallery from a temporary copy, photographs every screen at 390 and 1440 px in both themes, and checks what a
 * camera does not see: sideways scrolling, small touch targets, controls without a name, console errors and violations of
 * the content security policy.
 *
 *   node app/_dev/gallery.mjs [--out DIR] [--only NAME,NAME] [--serve]
 *
 * @module
 */
import { spawn } from 'node:child_process'
import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { parseArgs } from 'node:util'

import { chromium } from '@playwright/test'

const root = path.resolve(import.meta.dirname, '../..')
const { values: options } = parseArgs({
  options: { out: { type: 'string' }, only: { type: 'string' }, serve: { type: 'boolean' } },
})
const out = path.resolve(options.out ?? path.join(os.tmpdir(), 'portcullis-gallery'))
const widths = [390, 1440]
const themes = ['light', 'dark']

/** A copy, because `next dev` writes into its folder and the gallery's route must never stand in the real tree. */
async function copyTree() {
  const copy = await mkdtemp(path.join(os.tmpdir(), 'portcullis-gallery-'))
  for (const name of [
    'components',
    'public',
    'next.config.ts',
    'postcss.config.mjs',
    'proxy.ts',
    'tsconfig.json',
    'package.json',
  ]) {
    await cp(path.join(root, name), path.join(copy, name), { recursive: true })
  }
  await mkdir(path.join(copy, 'app/gallery/[name]'), { recursive: true })
  await mkdir(path.join(copy, 'lib'), { recursive: true })
  for (const name of ['app/globals.css', 'app/layout.tsx', 'app/not-found.tsx', 'lib/clock.ts']) {
    await cp(path.join(root, name), path.join(copy, name))
  }
  await cp(path.join(root, 'app/_dev'), path.join(copy, 'app/_dev'), { recursive: true })
  // Names and marks of providers.
  await cp(path.join(root, 'lib/providers'), path.join(copy, 'lib/providers'), { recursive: true })
  await writeFile(
    path.join(copy, 'app/gallery/[name]/page.tsx'),
    `import { GalleryScreen } from '@/app/_dev/gallery'
export default async function Page({ params }: { params: Promise<{ name: string }> }) {
  return <GalleryScreen name={(await params).name} />
}
`,
  )
  // Hard links: the bundler refuses to follow a symbolic link out of its root.
  await run('cp', ['-al', path.join(root, 'node_modules'), path.join(copy, 'node_modules')])
  return copy
}

/** @param {string} command @param {string[]} args */
function run(command, args) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit' })
    child.once('error', reject)
    child.once('exit', (code) => (code === 0 ? resolve(undefined) : reject(new Error(`${command} ended with ${code}`))))
  })
}

/** @returns {Promise<number>} */
function freePort() {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() =>
        address !== null && typeof address === 'object' ? resolve(address.port) : reject(new Error('no port')),
      )
    })
  })
}

/** @param {string} url */
function isFromDevelopmentTools(url) {
  return /next[-_]devtools|node_modules_next_dist_compiled_next-devtools/.test(url)
}

/** Runs in the page. */
function inspectPage() {
  const problems = []
  const overflow = document.documentElement.scrollWidth - window.innerWidth
  if (overflow > 0) problems.push(`scrolls sideways by ${overflow} px`)
  /** @type {NodeListOf<HTMLInputElement>} */
  const controls = document.querySelectorAll(
    'a[href], button, input:not([type=hidden]), select, textarea, summary, [role=checkbox], [role=switch], [role=radio]',
  )
  for (const control of controls) {
    const box = control.getBoundingClientRect()
    const style = getComputedStyle(control)
    if (
      box.width === 0 ||
      style.visibility === 'hidden' ||
      control.closest('.sr-only') ||
      control.getAttribute('aria-hidden') === 'true'
    )
      continue
    const label = control.getAttribute('aria-label') ?? control.labels?.[0]?.textContent ?? control.textContent
    const name = label.trim().slice(0, 40)
    if (name === '') problems.push(`no name: ${control.outerHTML.slice(0, 120)}`)
    if (window.innerWidth > 700) continue
    // A control's target is itself or its label, each with the area that an absolute ::after adds.
    /** @type {HTMLElement[]} */
    const targets = [control, ...(control.labels ?? [])]
    const height = Math.max(
      ...targets.map((target) => {
        const after = getComputedStyle(target, '::after')
        const added = after.position === 'absolute' && after.content !== 'none' ? parseFloat(after.height) : 0
        return Math.max(target.getBoundingClientRect().height, Number.isNaN(added) ? 0 : added)
      }),
    )
    const isInSentence = control.matches('.link') && control.parentElement?.matches('p, span')
    if (height < 40 && !isInSentence) problems.push(`target ${Math.round(height)} px high: ${name}`)
  }
  for (const control of controls) {
    const parent = control.parentElement
    if (
      parent === null ||
      control.closest('.sr-only, .overflow-x-auto, .truncate') ||
      control.getAttribute('aria-hidden') === 'true'
    )
      continue
    const spill = control.getBoundingClientRect().right - parent.getBoundingClientRect().right
    if (spill > 1 && getComputedStyle(control).position !== 'fixed')
      problems.push(`sticks out by ${Math.round(spill)} px: ${control.textContent?.slice(0, 40)}`)
  }
  const ids = [...document.querySelectorAll('[id]')].map((one) => one.id)
  for (const id of new Set(ids.filter((one, index) => ids.indexOf(one) !== index)))
    problems.push(`id used twice: ${id}`)
  const levels = [...document.querySelectorAll('h1, h2, h3, h4')].filter((one) => one.getClientRects().length > 0)
  if (document.querySelectorAll('h1').length > 1) problems.push('more than one h1')
  let last = 0
  for (const heading of levels) {
    const level = Number(heading.tagName.charAt(1))
    if (last > 0 && level > last + 1)
      problems.push(`heading level jumps to ${level}: ${heading.textContent?.slice(0, 40)}`)
    last = level
  }
  return problems
}

/**
 * What opens only when used. Each ends in a picture of its own.
 *
 * @type {Record<string, { screen: string, use: (page: import('@playwright/test').Page) => Promise<void>, width?: number }>}
 */
const uses = {
  'sheet-more': {
    screen: 'connections',
    width: 390,
    use: (page) => page.getByRole('button', { name: 'More' }).click(),
  },
  'menu-user': {
    screen: 'connections',
    width: 1440,
    use: (page) => page.getByRole('button', { name: /Account of/ }).click(),
  },
  'menu-workspace': {
    screen: 'connections',
    width: 1440,
    use: (page) => page.getByRole('button', { name: /Workspace/ }).click(),
  },
  'dialog-create-agent': {
    screen: 'agents',
    use: async (page) => {
      await page.getByRole('button', { name: 'Create agent' }).click()
      await page.getByLabel('Name').fill('Claude')
      await page.getByRole('dialog').getByRole('button', { name: 'Create agent' }).click()
      await page.getByText('This name is taken.').waitFor()
      if ((await page.getByLabel('Name').inputValue()) !== 'Claude') throw new Error('a refusal lost what was typed')
    },
  },
  'dialog-disconnect': {
    screen: 'connection-active',
    use: async (page) => {
      await page.getByRole('button', { name: 'Disconnect' }).click()
      await page.getByRole('alertdialog').getByRole('textbox').fill('ann@example.com')
      await page.getByRole('alertdialog').getByRole('button', { name: 'Disconnect' }).click()
      await page.getByText('The connection changed meanwhile.').waitFor()
    },
  },
  'dialog-revoke-all': {
    screen: 'sessions',
    use: async (page) => {
      await page.getByRole('button', { name: 'Revoke all of…' }).click()
      await page.getByLabel('Whose sessions').selectOption({ index: 1 })
    },
  },
  'guide-chatgpt': {
    screen: 'agent-connect',
    use: async (page) => {
      await page.getByRole('tab', { name: 'ChatGPT' }).click()
      await page.getByText('Developer mode').waitFor()
    },
  },
  'guide-codex': {
    screen: 'agent-connect',
    use: async (page) => {
      await page.getByRole('tab', { name: 'Codex' }).click()
      await page.getByText('bearer_token_env_var').waitFor()
    },
  },
  'dialog-secret': {
    screen: 'agent-connect',
    use: async (page) => {
      await page.getByRole('button', { name: 'New session key' }).click()
      await page.getByLabel('Where it will be used').fill('laptop')
      await page.getByRole('button', { name: 'Create key' }).click()
      await page.getByText('Copy it now').waitFor()
      await page.keyboard.press('Escape')
      await page.getByRole('button', { name: 'Show session key' }).click()
    },
  },
  'dialog-webhook': {
    screen: 'webhooks-empty',
    use: async (page) => {
      await page.getByRole('button', { name: 'Add webhook' }).click()
      await page.getByLabel('Address').fill('https://hooks.example.com/in')
      await page.getByRole('dialog').getByRole('button', { name: 'Add webhook' }).click()
      await page.getByText('Copy it now').waitFor()
      await page.keyboard.press('Escape')
      await page.getByText('Copy it now').waitFor()
    },
  },
  'login-refused': {
    screen: 'login',
    use: async (page) => {
      await page.getByLabel('E-mail').fill('ann@example.com')
      await page.getByLabel('Password', { exact: true }).fill('wrong')
      await page.getByRole('button', { name: 'Sign in', exact: true }).click()
      await page.getByText('is not right').waitFor()
      if ((await page.getByLabel('E-mail').inputValue()) === '') throw new Error('a refusal lost what was typed')
    },
  },
  'login-mail': {
    screen: 'login',
    use: async (page) => {
      await page.getByRole('button', { name: 'Sign in with a link by mail' }).click()
      await page.getByLabel('E-mail').fill('ann@example.com')
      await page.getByRole('button', { name: 'Send me a sign-in link' }).click()
      await page.getByText('Look into your mail').waitFor()
    },
  },
  'tools-unsaved': {
    screen: 'agent-tools',
    use: async (page) => {
      await page.getByLabel('Create draft').click()
      await page.getByText('not saved').waitFor()
    },
  },
  'button-reason': {
    screen: 'connection-auditor',
    use: async (page) => {
      // Forced, because the driver would wait for an aria-disabled button to become available; a person presses it.
      await page.getByRole('button', { name: 'Disconnect' }).click({ force: true })
      await page.getByRole('tooltip').waitFor()
    },
  },
  'theme-chosen': {
    screen: 'connections',
    width: 1440,
    use: async (page) => {
      await page.getByRole('radio', { name: 'Dark' }).click()
      await page.reload({ waitUntil: 'networkidle' })
      const theme = await page.evaluate(() => document.documentElement.dataset['theme'])
      if (theme !== 'dark') throw new Error('the server did not write the chosen theme')
    },
  },
}

const copy = await copyTree()
const port = await freePort()
const next = spawn(
  process.execPath,
  ['node_modules/next/dist/bin/next', 'dev', '-p', String(port), '-H', '127.0.0.1'],
  {
    cwd: copy,
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
  },
)
let failures = 0
const stop = async () => {
  if (next.pid !== undefined && next.exitCode === null) process.kill(-next.pid, 'SIGTERM')
  await rm(copy, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 })
}
process.once('SIGINT', () => void stop().then(() => process.exit(130)))
process.once('SIGTERM', () => void stop().then(() => process.exit(143)))
try {
  await new Promise((resolve, reject) => {
    next.stdout.on('data', (/** @type {Buffer} */ chunk) => {
      if (options.serve) process.stdout.write(chunk)
      if (chunk.includes('Ready')) resolve(undefined)
    })
    next.once('exit', (code) => reject(new Error(`next dev ended with ${code}`)))
  })
  const base = `http://127.0.0.1:${port}/gallery`
  if (options.serve) {
    console.log(`${base}/index`)
    await new Promise((resolve) => next.once('exit', resolve))
  } else {
    failures = await photograph(base)
  }
} finally {
  await stop()
}
process.exitCode = failures === 0 ? 0 : 1

/** @param {string} base */
async function photograph(base) {
  await mkdir(out, { recursive: true })
  const browser = await chromium.launch({ executablePath: '/usr/bin/chromium', args: ['--no-sandbox'] })
  let count = 0
  try {
    const finder = await browser.newPage()
    await finder.goto(`${base}/index`, { timeout: 120_000 })
    const all = await finder.locator('a[href^="/gallery/"]').allTextContents()
    const wanted = options.only?.split(',') ?? [...all, ...Object.keys(uses)]
    for (const theme of themes) {
      for (const width of widths) {
        const context = await browser.newContext({
          viewport: { width, height: width < 700 ? 844 : 900 },
          colorScheme: theme === 'dark' ? 'dark' : 'light',
          hasTouch: width < 700,
          reducedMotion: 'reduce',
        })
        for (const name of wanted) {
          const use = uses[name]
          if (use?.width !== undefined && use.width !== width) continue
          const page = await context.newPage()
          /** @type {string[]} */
          const problems = []
          page.on('console', (message) => {
            if (message.type() !== 'error' && message.type() !== 'warning') return
            // The development overlay styles itself and React's development build tries eval; neither exists in a build.
            if (message.text().includes('eval() is not supported')) return
            if (isFromDevelopmentTools(message.location().url)) return
            problems.push(`${message.text().slice(0, 300)} (${message.location().url})`)
          })
          page.on('pageerror', (error) => problems.push(error.message.slice(0, 400)))
          await page.goto(`${base}/${use?.screen ?? name}`, { waitUntil: 'networkidle', timeout: 120_000 })
          if (use !== undefined) await use.use(page).catch((error) => problems.push(String(error)))
          problems.push(...(await page.evaluate(inspectPage)))
          await page.evaluate(() => document.querySelector('nextjs-portal')?.remove())
          await page.screenshot({ path: path.join(out, `${name}-${width}-${theme}.png`), fullPage: use === undefined })
          for (const problem of new Set(problems)) console.log(`${name} ${width} ${theme}: ${problem}`)
          count += problems.length
          await page.close()
        }
        await context.close()
      }
    }
  } finally {
    await browser.close()
  }
  console.log(`${count} problems; pictures in ${out}`)
  return count
}
