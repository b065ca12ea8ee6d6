/**
 * The sandbox in one call: three fronts on loopback, the emulated APIs behind them, and the control that tests hold.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'

import type { Clock } from '@/lib/clock'
import type { RegisteredApp } from '@/sandbox/core/app'
import { VirtualClock } from '@/sandbox/core/clock'
import { Control } from '@/sandbox/core/control'
import { controlHandler } from '@/sandbox/core/control-http'
import { type Handler, type Listening, listen } from '@/sandbox/core/http'
import { Ledger, type Provider, random, type RotationMode } from '@/sandbox/core/ledger'
import { Store } from '@/sandbox/core/store'
import { EmulatorPlane } from '@/sandbox/emulator/plane'
import { createGithubFront, type GithubSettings } from '@/sandbox/github/front'
import * as githubSeed from '@/sandbox/github/seed'
import { createGoogleFront } from '@/sandbox/google/front'
import * as googleSeed from '@/sandbox/google/seed'
import { createSlackFront, type SlackSettings } from '@/sandbox/slack/front'
import * as slackSeed from '@/sandbox/slack/seed'

export interface TokenLifetimes {
  readonly accessS?: number | null
  readonly refreshS?: number | null
}

export interface SandboxOptions {
  /** Undefined: nothing outlives the process. */
  readonly dataDir?: string
  readonly ports?: Partial<Record<Provider | 'control', number>>
  readonly clock?: Clock
  readonly tokenLifetimes?: Partial<Record<Provider, TokenLifetimes>>
  readonly rotation?: Partial<Record<Provider, RotationMode>>
  /** Exact redirect addresses of the one app registered at each provider. */
  readonly redirectUris?: Partial<Record<Provider, readonly string[]>>
  readonly appName?: string
  readonly github?: Partial<GithubSettings>
  readonly slack?: Partial<SlackSettings>
  /** True: the control is also served over HTTP, on a port of its own. */
  readonly controlPort?: boolean
}

export interface ProviderHandle {
  readonly url: string
  readonly clientId: string
  readonly clientSecret: string
  readonly issuer: string
}

export type Overrides = Record<Provider, Record<string, string>>

export interface SandboxHandle {
  readonly google: ProviderHandle
  readonly github: ProviderHandle
  readonly slack: ProviderHandle & { readonly signingSecret: string }
  /** Provider endpoints in the format of `PROVIDER_OVERRIDES`. */
  readonly overrides: Overrides
  readonly control: Control
  readonly controlUrl: string | undefined
  /** Registers one more redirect address, exactly as written. */
  addRedirectUri(provider: Provider, uri: string): void
  close(): Promise<void>
}

const PROVIDERS = ['google', 'github', 'slack'] as const

export async function startSandbox(options: SandboxOptions = {}): Promise<SandboxHandle> {
  const clock = new VirtualClock(options.clock)
  const store = Store.open(options.dataDir)
  const foundedAt = store.remember('sandbox', 'founded', () => clock.nowMs())
  const remembered = store.get('sandbox', 'ports') as Partial<Record<Provider | 'control', number>> | undefined // ours
  const wanted = { ...remembered, ...options.ports }
  const opened: { close(): Promise<void> }[] = []
  try {
    const fronts = new Map<Provider, Handler>()
    const listening = {} as Record<Provider, Listening> // filled for each provider before it is read
    for (const provider of PROVIDERS) {
      const front = await listen((request) => {
        const handler = fronts.get(provider)
        return handler === undefined ? Promise.resolve({ status: 503, body: 'Starting' }) : handler(request)
      }, wanted[provider])
      listening[provider] = front
      opened.push(front)
    }
    const ledgers = {
      google: ledger('google', options, clock, store),
      github: ledger('github', options, clock, store),
      slack: ledger('slack', options, clock, store),
    }
    const control = new Control(clock, ledgers)
    const apps = {
      google: registeredApp('google', options, store),
      github: registeredApp('github', options, store),
      slack: registeredApp('slack', options, store),
    }
    const plane = await EmulatorPlane.start(clock, store, foundedAt, [
      {
        service: 'github',
        baseUrl: listening.github.url,
        seed: githubSeed.SEED,
        users: [...githubSeed.PEOPLE.map((person) => person.login), githubSeed.PUBLIC_VIEWER],
        history: githubSeed.history(foundedAt),
      },
      {
        service: 'google',
        baseUrl: listening.google.url,
        seed: googleSeed.seed(foundedAt),
        users: googleSeed.PEOPLE.map((person) => person.email),
        history: [],
      },
      {
        service: 'slack',
        baseUrl: listening.slack.url,
        seed: slackSeed.SEED,
        users: slackSeed.EMULATOR_USERS,
        history: slackSeed.history(foundedAt),
      },
    ])
    opened.unshift(plane)
    const github = createGithubFront(listening.github.url, apps.github, ledgers.github, control, plane, {
      mode: 'oauth_app',
      rateLimitPerHour: 5000,
      ...options.github,
    })
    fronts.set('github', github.handle)
    const google = createGoogleFront(listening.google.url, apps.google, ledgers.google, control, plane, store)
    fronts.set('google', google.handle)
    const slack = await createSlackFront(listening.slack.url, apps.slack, ledgers.slack, control, plane, {
      callsPerMinute: null,
      refreshShape: 'flat',
      ...options.slack,
    })
    fronts.set('slack', slack.handle)

    const addRedirectUri = (provider: Provider, uri: string): void => {
      apps[provider].redirectUris.add(uri)
    }
    let controlListening: Listening | undefined
    if (options.controlPort === true) {
      controlListening = await listen(controlHandler(control, { addRedirectUri }), wanted.control)
      opened.push(controlListening)
    }
    store.put('sandbox', 'ports', {
      google: listening.google.port,
      github: listening.github.port,
      slack: listening.slack.port,
      ...(controlListening === undefined ? {} : { control: controlListening.port }),
    })
    const handle = (provider: Provider, issuer: string): ProviderHandle => ({
      url: listening[provider].url,
      clientId: apps[provider].clientId,
      clientSecret: apps[provider].clientSecret,
      issuer,
    })
    return {
      google: handle('google', listening.google.url),
      github: handle('github', github.issuer),
      slack: {
        ...handle('slack', listening.slack.url),
        signingSecret: store.remember('sandbox', 'slackSigningSecret', () => randomBytes(16).toString('hex')),
      },
      overrides: overrides(listening, apps, github.issuer),
      control,
      controlUrl: controlListening?.url,
      addRedirectUri,
      close: async () => {
        control.clearFaults()
        for (const part of opened) await part.close()
        store.close()
      },
    }
  } catch (error) {
    for (const part of opened) await part.close()
    store.close()
    throw error
  }
}

function overrides(
  on: Record<Provider, Listening>,
  apps: Record<Provider, RegisteredApp>,
  githubIssuer: string,
): Overrides {
  const google = on.google.url
  const github = on.github.url
  const slack = on.slack.url
  return {
    google: {
      authorizationEndpoint: `${google}/o/oauth2/v2/auth`,
      tokenEndpoint: `${google}/token`,
      revocationEndpoint: `${google}/revoke`,
      apiBaseUrl: google,
      issuer: google,
      userinfoEndpoint: `${google}/v1/userinfo`,
      jwksUri: `${google}/oauth2/v3/certs`,
      riscJwksUri: `${google}/oauth2/v3/certs`,
    },
    github: {
      authorizationEndpoint: `${github}/login/oauth/authorize`,
      tokenEndpoint: `${github}/login/oauth/access_token`,
      revocationEndpoint: `${github}/applications/${encodeURIComponent(apps.github.clientId)}`,
      apiBaseUrl: github,
      issuer: githubIssuer,
    },
    slack: {
      authorizationEndpoint: `${slack}/oauth/v2_user/authorize`,
      tokenEndpoint: `${slack}/api/oauth.v2.user.access`,
      revocationEndpoint: `${slack}/api/auth.revoke`,
      apiBaseUrl: `${slack}/api`,
      issuer: slack,
    },
  }
}

const POLICIES = {
  google: {
    accessLifetimeS: 3599,
    refreshLifetimeS: undefined,
    rotation: { mode: 'static' },
    oldAccessDies: false,
    liveAccessCap: undefined,
    liveConsentCap: 100,
    accessPrefix: () => 'ya29.sandbox-',
    refreshPrefix: '1//0sandbox-',
  },
  github: {
    accessLifetimeS: 28_800,
    refreshLifetimeS: 15_897_600,
    rotation: { mode: 'strict' },
    oldAccessDies: true,
    liveAccessCap: undefined,
    liveConsentCap: 10,
    accessPrefix: () => 'gho_',
    refreshPrefix: 'ghr_',
  },
  slack: {
    accessLifetimeS: 43_200,
    refreshLifetimeS: undefined,
    rotation: { mode: 'grace', graceMs: 60_000 },
    oldAccessDies: false,
    liveAccessCap: 2,
    liveConsentCap: 100,
    accessPrefix: (flow: string) => (flow === 'bot' ? 'xoxe.xoxb-1-' : 'xoxe.xoxp-1-'),
    refreshPrefix: 'xoxe-1-',
  },
} as const

function ledger(provider: Provider, options: SandboxOptions, clock: VirtualClock, store: Store): Ledger {
  const asked = options.tokenLifetimes?.[provider]
  const policy = POLICIES[provider]
  const isGithubApp = provider === 'github' && options.github?.mode === 'github_app'
  return new Ledger(
    provider,
    {
      ...policy,
      ...(isGithubApp ? { accessPrefix: () => 'ghu_' } : {}),
      ...(asked?.accessS === undefined ? {} : { accessLifetimeS: asked.accessS ?? undefined }),
      ...(asked?.refreshS === undefined ? {} : { refreshLifetimeS: asked.refreshS ?? undefined }),
      rotation: options.rotation?.[provider] ?? policy.rotation,
    },
    clock,
    store,
  )
}

function registeredApp(provider: Provider, options: SandboxOptions, store: Store): RegisteredApp {
  const credentials = store.remember('sandbox', `${provider}.app`, () => ({
    clientId:
      provider === 'google'
        ? `${String(randomBytes(4).readUInt32BE())}-${randomBytes(12).toString('hex')}.apps.googleusercontent.com`
        : provider === 'github'
          ? `Ov23li${randomBytes(7).toString('hex')}`
          : `${String(randomBytes(5).readUIntBE(0, 5))}.${String(randomBytes(5).readUIntBE(0, 5))}`,
    clientSecret: random(provider === 'google' ? 'GOCSPX-' : '', 30),
  }))
  return {
    ...credentials,
    name: options.appName ?? 'Portcullis',
    redirectUris: new Set(options.redirectUris?.[provider]),
  }
}
