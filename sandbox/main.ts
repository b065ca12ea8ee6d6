/**
 * The sandbox as a process. Prints one line of JSON when it serves, and ends when its parent does: stdin is the leash.
 *
 *     sandbox --data-dir <folder> [--public-url <url>] [--redirect-uri <provider>=<uri>]… [--config <file>]
 *             [--google-port <n>] [--github-port <n>] [--slack-port <n>] [--control [--control-port <n>]]
 *
 * `--public-url` registers `<url>/connect/callback/<provider>` and `<url>/signin/with/<provider>/callback` with each provider's
 * app. `--config` is a JSON file with the options of `startSandbox` that are data.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import process from 'node:process'
import { parseArgs } from 'node:util'

import { isRecord, parseJson } from '@/sandbox/core/http'
import type { Provider } from '@/sandbox/core/ledger'
import { type SandboxOptions, startSandbox } from '@/sandbox/server'

const PROVIDERS = ['google', 'github', 'slack'] as const

function readOptions(): SandboxOptions {
  const { values } = parseArgs({
    options: {
      'data-dir': { type: 'string' },
      'public-url': { type: 'string', multiple: true, default: [] },
      'redirect-uri': { type: 'string', multiple: true, default: [] },
      config: { type: 'string' },
      'google-port': { type: 'string' },
      'github-port': { type: 'string' },
      'slack-port': { type: 'string' },
      'control-port': { type: 'string' },
      control: { type: 'boolean', default: false },
    },
  })
  const redirectUris: Record<Provider, string[]> = { google: [], github: [], slack: [] }
  for (const url of values['public-url']) {
    for (const provider of PROVIDERS) {
      for (const callback of [`connect/callback/${provider}`, `signin/with/${provider}/callback`]) {
        redirectUris[provider].push(`${new URL(url).origin}/${callback}`)
      }
    }
  }
  for (const pair of values['redirect-uri']) {
    const [provider = '', uri = ''] = pair.split(/=(.*)/s)
    const known = PROVIDERS.find((name) => name === provider)
    if (known === undefined || !URL.canParse(uri)) throw new Error(`--redirect-uri: "${pair}" is not <provider>=<uri>`)
    redirectUris[known].push(uri)
  }
  const ports: Partial<Record<Provider | 'control', number>> = {}
  for (const name of [...PROVIDERS, 'control'] as const) {
    const given = values[`${name}-port`]
    if (given === undefined) continue
    if (!/^\d{1,5}$/.test(given)) throw new Error(`--${name}-port: "${given}" is not a port`)
    ports[name] = Number(given)
  }
  const dataDir = values['data-dir']
  return {
    ...(values.config === undefined ? {} : readConfig(values.config)),
    ...(dataDir === undefined ? {} : { dataDir }),
    redirectUris,
    ports,
    controlPort: values.control,
  }
}

function readConfig(file: string): SandboxOptions {
  const config = parseJson(readFileSync(file, 'utf8'))
  if (!isRecord(config)) throw new Error(`--config: ${file} is not a JSON object`)
  const known = new Set(['tokenLifetimes', 'rotation', 'appName', 'github', 'slack'])
  for (const key of Object.keys(config)) if (!known.has(key)) throw new Error(`--config: unknown key "${key}"`)
  return config // keys are checked; their values are the caller's word, as in a test
}

try {
  const sandbox = await startSandbox(readOptions())
  let ending = false
  const end = (): void => {
    if (ending) return
    ending = true
    void sandbox.close().then(() => process.exit(0))
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  process.stdin.on('end', end)
  process.stdin.on('close', end)
  process.stdin.on('error', end)
  process.stdin.resume()
  const { google, github, slack, overrides, controlUrl } = sandbox
  const ready = {
    event: 'sandbox.ready',
    google,
    github,
    slack,
    overrides,
    ...(controlUrl === undefined ? {} : { controlUrl }),
  }
  process.stdout.write(`${JSON.stringify(ready)}\n`)
} catch (error) {
  process.stderr.write(`sandbox: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
