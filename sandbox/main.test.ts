import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'
import { createInterface } from 'node:readline'

import { build } from 'esbuild'
import { afterAll, beforeAll, expect, test } from 'vitest'

import { consentAs } from '@/sandbox/browser'

const ROOT = path.resolve(import.meta.dirname, '..')
/** Inside the tree, as the real bundle is: the emulator's thread is found from there. */
const BUILT = path.join(ROOT, 'node_modules', '.cache', 'sandbox-test')
const BUNDLE = path.join(BUILT, 'sandbox.mjs')
const folder = mkdtempSync(path.join(tmpdir(), 'sandbox-main-'))

beforeAll(async () => {
  mkdirSync(BUILT, { recursive: true })
  await build({
    entryPoints: [path.join(ROOT, 'sandbox/main.ts')],
    outfile: BUNDLE,
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    packages: 'external',
    logLevel: 'error',
  })
})
afterAll(() => {
  rmSync(BUILT, { recursive: true })
  rmSync(folder, { recursive: true })
})

interface Ready {
  readonly event: string
  readonly github: { readonly url: string; readonly clientId: string; readonly clientSecret: string }
  readonly overrides: { readonly github: { readonly authorizationEndpoint: string } }
  readonly controlUrl?: string
}

async function begin(...extra: string[]): Promise<{ child: ChildProcess; ready: Ready }> {
  const args = [BUNDLE, '--data-dir', folder, '--public-url', 'http://localhost:3000', ...extra]
  const child = spawn(process.execPath, args, { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface({ input: child.stdout })
  const [line] = (await once(lines, 'line')) as [string]
  return { child, ready: JSON.parse(line) as Ready }
}

const exitOf = async (child: ChildProcess): Promise<unknown> => (await once(child, 'exit'))[0]

test('the bundle announces itself in one line, ends with its parent, and comes back on the same ports', async () => {
  const first = await begin('--control')
  expect(first.ready).toMatchObject({
    event: 'sandbox.ready',
    slack: { url: expect.any(String) as string },
  })
  expect(first.ready.controlUrl).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
  const url = new URL(first.ready.overrides.github.authorizationEndpoint)
  const redirectUri = 'http://localhost:3000/connect/callback/github'
  url.search = new URLSearchParams({
    client_id: first.ready.github.clientId,
    redirect_uri: redirectUri,
    scope: 'repo',
  }).toString()
  const callback = await consentAs(url, { account: 'ana-ribeiro' })
  expect(callback.href).toContain(`${redirectUri}?code=`)
  const signIn = 'http://localhost:3000/signin/with/github/callback'
  url.searchParams.set('redirect_uri', signIn)
  expect((await consentAs(url, { account: 'ana-ribeiro' })).href).toContain(`${signIn}?code=`)
  expect(readFileSync(path.join(folder, 'sandbox-state.ndjson'), 'utf8')).toContain(first.ready.github.clientId)
  first.child.stdin!.end()
  expect(await exitOf(first.child)).toBe(0)

  const second = await begin()
  expect(second.ready.github).toEqual(first.ready.github)
  expect(second.ready.controlUrl).toBeUndefined()
  second.child.kill('SIGTERM')
  expect(await exitOf(second.child)).toBe(0)
}, 60_000)

test('a kill -9 in the middle of writing loses no answered change and blocks no later start', async () => {
  const first = await begin()
  const url = new URL(first.ready.overrides.github.authorizationEndpoint)
  const redirectUri = 'http://localhost:3000/connect/callback/github'
  const { clientId, clientSecret } = first.ready.github
  url.search = new URLSearchParams({ client_id: clientId, redirect_uri: redirectUri, scope: 'repo' }).toString()
  const code = (await consentAs(url, { account: 'bokafor' })).searchParams.get('code') ?? ''
  const body = new URLSearchParams({
    client_id: clientId,
    client_secret: clientSecret,
    code,
    redirect_uri: redirectUri,
  })
  const answer = await fetch(`${first.ready.github.url}/login/oauth/access_token`, {
    method: 'POST',
    headers: { accept: 'application/json' },
    body,
  })
  const { access_token: token } = (await answer.json()) as { access_token: string }
  first.child.kill('SIGKILL')
  await exitOf(first.child)

  const second = await begin()
  const headers = { authorization: `Bearer ${token}`, 'user-agent': 'test' }
  expect((await fetch(`${second.ready.github.url}/user`, { headers })).status).toBe(200)
  second.child.stdin!.end()
  expect(await exitOf(second.child)).toBe(0)
}, 60_000)

test.each([
  ['an unknown option', ['--colour'], 'colour'],
  ['a port that is none', ['--github-port', 'x'], '--github-port'],
  ['a redirect address of an unknown provider', ['--redirect-uri', 'gitlab=http://x'], 'gitlab'],
])('%s ends it with a reason and status 1', async (_, args, reason) => {
  const child = spawn(process.execPath, [BUNDLE, ...args], { stdio: ['pipe', 'ignore', 'pipe'] })
  let said = ''
  child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()))
  expect(await exitOf(child)).toBe(1)
  expect(said).toContain(reason)
})
