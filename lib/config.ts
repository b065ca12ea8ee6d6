/**
 * The one reader of the environment. Parsed once, validated, frozen; what is wrong is reported by name, never by value.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from './errors'
import { Secret } from './secret'

const url = (protocols: readonly string[]) =>
  z
    .string()
    .refine(
      (value) => URL.canParse(value) && protocols.includes(new URL(value).protocol),
      `must be a URL with ${protocols.join(' or ')}`,
    )
const postgresUrl = url(['postgres:', 'postgresql:'])
const flag = z.enum(['0', '1', 'true', 'false']).transform((value) => value === '1' || value === 'true')
const port = z.coerce.number().int().min(1).max(65_535)
const secret = z
  .string()
  .min(1)
  .transform((value) => new Secret(value))

const endpoint = url(['https:', 'http:'])
const providerOverride = z.strictObject({
  authorizationEndpoint: endpoint.optional(),
  tokenEndpoint: endpoint.optional(),
  revocationEndpoint: endpoint.optional(),
  apiBaseUrl: endpoint.optional(),
  issuer: endpoint.optional(),
  userinfoEndpoint: endpoint.optional(),
  jwksUri: endpoint.optional(),
  riscJwksUri: endpoint.optional(),
})
const providerOverrides = z.strictObject({
  google: providerOverride.optional(),
  github: providerOverride.optional(),
  slack: providerOverride.optional(),
})
export type ProviderOverride = z.infer<typeof providerOverride>

/** Every variable the product reads, with its shape. `.env.example` is compared with the keys of this object. */
export const environmentSchema = z.object({
  NODE_ENV: z.enum(['development', 'production', 'test']).default('production'),
  PUBLIC_URL: url(['https:', 'http:']).optional(),
  PORT: port.default(3000),
  TRUSTED_PROXIES: z.string().default(''),
  PORTCULLIS_DATA_DIR: z.string().min(1).default('.data'),
  DATABASE_URL: postgresUrl.optional(),
  VAULT_DATABASE_URL: postgresUrl.optional(),
  WEB_DATABASE_PASSWORD: z.string().min(16).optional(),
  APP_DATABASE_PASSWORD: z.string().min(16).optional(),
  VAULT_DATABASE_PASSWORD: z.string().min(16).optional(),
  REDIS_URL: url(['redis:', 'rediss:']).optional(),
  KEK_PROVIDER: z.enum(['file', 'aws-kms', 'vault-transit']).default('file'),
  KEK_FILE: z.string().min(1).optional(),
  KEY_STORE_DIR: z.string().min(1).optional(),
  NEXTAUTH_SECRET: secret.optional(),
  NEXTAUTH_URL: url(['https:', 'http:']).optional(),
  GATEWAY_ADVERTISE_URL: url(['https:', 'http:']).optional(),
  WEB_ORIGIN: url(['http:']).optional(),
  GITHUB_CLIENT_ID: z.string().min(1).optional(),
  GITHUB_CLIENT_SECRET: secret.optional(),
  GITHUB_WEBHOOK_SECRET: secret.optional(),
  GITHUB_APP_ID: z.string().min(1).optional(),
  GITHUB_APP_PRIVATE_KEY_FILE: z.string().min(1).optional(),
  GOOGLE_RISC_SERVICE_ACCOUNT_FILE: z.string().min(1).optional(),
  GOOGLE_CLIENT_ID: z.string().min(1).optional(),
  GOOGLE_CLIENT_SECRET: secret.optional(),
  SLACK_CLIENT_ID: z.string().min(1).optional(),
  SLACK_CLIENT_SECRET: secret.optional(),
  SLACK_SIGNING_SECRET: secret.optional(),
  PROVIDER_OVERRIDES: z.string().min(1).optional(),
  EGRESS_ALLOW: z.string().default(''),
  EGRESS_ALLOW_UNSAFE: flag.default(false),
  SMTP_URL: url(['smtp:', 'smtps:']).optional(),
  SMTP_FROM: z.string().min(3).default('Portcullis <no-reply@localhost>'),
  SANDBOX: flag.default(false),
  SANDBOX_PUBLIC_URL: url(['https:', 'http:']).optional(),
  SANDBOX_PROVIDERS: z.string().default(''),
  SANDBOX_LABEL: flag.default(false),
  SELF_SERVICE_SIGN_UP: flag.default(false),
  LOG_LEVEL: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  METRICS_PORT: port.optional(),
  PORTCULLIS_URL: url(['https:', 'http:']).optional(),
  PORTCULLIS_API_KEY: secret.optional(),
})

export type ProviderName = 'google' | 'github' | 'slack'

export interface ProviderAppConfig {
  readonly clientId: string
  readonly clientSecret: Secret
  readonly overrides: ProviderOverride
  /** Credentials of the local sandbox rather than of a real app. Labelled wherever it is shown. */
  readonly sandbox: boolean
}

export interface Config {
  readonly production: boolean
  readonly development: boolean
  /** Origin, no trailing slash. Every URL the product hands out starts with it. */
  readonly publicUrl: string
  readonly publicUrlIsLoopback: boolean
  readonly port: number
  readonly trustedProxies: readonly string[]
  readonly dataDir: string
  readonly databaseUrl: string | undefined
  readonly vaultDatabaseUrl: string | undefined
  /** Passwords an operator chose for the login roles; read by the migration alone. */
  readonly rolePasswords: { readonly web?: string; readonly app?: string; readonly vault?: string }
  readonly redisUrl: string | undefined
  readonly kek: KekConfig
  readonly keyStoreDir: string
  readonly nextAuthSecret: Secret | undefined
  /** Where web listens on loopback; the gateway proxies pages to it. */
  readonly webOrigin: string | undefined
  readonly providers: Readonly<Partial<Record<ProviderName, ProviderAppConfig>>>
  readonly egress: { readonly allow: readonly string[]; readonly allowUnsafe: boolean }
  readonly smtp: { readonly url: string | undefined; readonly from: string }
  readonly selfServiceSignUp: boolean
  KEK_AWS_KEYS: z.string().min(1).optional(),
  KEK_AWS_ENDPOINT: url(['https:', 'http:']).optional(),
  KEK_TRANSIT_ADDRESS: url(['https:', 'http:']).optional(),
  KEK_TRANSIT_KEYS: z.string().min(1).optional(),
  KEK_TRANSIT_MOUNT: z
    .string()
    .regex(/^[a-zA-Z0-9_.-]+(\/[a-zA-Z0-9_.-]+)*$/, 'must be a path such as transit')
    .max(128)
    .default('transit'),
  KEK_TRANSIT_NAMESPACE: z
    .string()
    .regex(/^[a-zA-Z0-9/_.-]+$/, 'must be a path')
    .optional(),
  KEK_TRANSIT_TOKEN_FILE: z.string().min(1).optional(),
  KEK_TRANSIT_ROLE_ID: z.string().min(1).optional(),
  KEK_TRANSIT_SECRET_ID_FILE: z.string().min(1).optional(),
  KEK_TRANSIT_CA_FILE: z.string().min(1).optional(),
  KEY_CACHE_SECONDS: z.coerce.number().int().min(1).max(3_600).default(60),
  readonly sandbox: boolean
  readonly logLevel: string
  readonly metricsPort: number | undefined
  readonly remote: { readonly url: string; readonly apiKey: Secret } | undefined
}

/**
 * Reads and validates the environment.
 *
 * @throws AppError `config.invalid` whose message lists each wrong variable by name and reason, one per line.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  // An empty variable means unset, as compose files and .env templates write it.
  const present = Object.fromEntries(Object.entries(env).filter(([, value]) => value !== undefined && value !== ''))
  const parsed = environmentSchema.safeParse(present)
  if (!parsed.success) throw invalid(parsed.error.issues.map((issue) => `${issue.path.join('.')}: ${issue.message}`))
  const e = parsed.data

  const publicUrl = new URL(e.PUBLIC_URL ?? `http://localhost:${e.PORT}`)
  const problems: string[] = []
  if (publicUrl.pathname !== '/' || publicUrl.search !== '' || publicUrl.hash !== '' || publicUrl.username !== '')
    problems.push('PUBLIC_URL: must be an origin without path, query or user')
  const publicUrlIsLoopback = isLoopbackHost(publicUrl.hostname)
  if (!publicUrlIsLoopback && publicUrl.protocol !== 'https:')
    problems.push('PUBLIC_URL: must be https unless it is loopback')
  if ((e.PORTCULLIS_URL === undefined) !== (e.PORTCULLIS_API_KEY === undefined))
    problems.push('PORTCULLIS_URL, PORTCULLIS_API_KEY: set both or neither')

  const providers: Partial<Record<ProviderName, ProviderAppConfig>> = {}
  const overrides = readOverrides(e.PROVIDER_OVERRIDES, problems)
  const real = {
    google: [e.GOOGLE_CLIENT_ID, e.GOOGLE_CLIENT_SECRET],
    github: [e.GITHUB_CLIENT_ID, e.GITHUB_CLIENT_SECRET],
    slack: [e.SLACK_CLIENT_ID, e.SLACK_CLIENT_SECRET],
  } as const
  for (const name of ['google', 'github', 'slack'] as const) {
    const [clientId, clientSecret] = real[name]
    if ((clientId === undefined) !== (clientSecret === undefined))
      problems.push(`${name.toUpperCase()}_CLIENT_ID, ${name.toUpperCase()}_CLIENT_SECRET: set both or neither`)
    if (clientId !== undefined && clientSecret !== undefined)
      providers[name] = { clientId, clientSecret, overrides: overrides[name] ?? {}, sandbox: false }
  }
  const sandboxAllow: string[] = []
  if (e.SANDBOX_PROVIDERS !== '') {
    if (!publicUrlIsLoopback && !e.SANDBOX)
      problems.push('SANDBOX_PROVIDERS: only with a loopback PUBLIC_URL or SANDBOX=1')
    else addSandbox(e.SANDBOX_PROVIDERS, providers, sandboxAllow, problems)
  }
  if (problems.length > 0) throw invalid(problems)

  return Object.freeze({
    production: !publicUrlIsLoopback,
    development: e.NODE_ENV === 'development',
    publicUrl: publicUrl.origin,
    publicUrlIsLoopback,
    port: e.PORT,
    trustedProxies: list(e.TRUSTED_PROXIES),
    dataDir,
    databaseUrl: e.DATABASE_URL,
    vaultDatabaseUrl: e.VAULT_DATABASE_URL,
    rolePasswords: {
      ...(e.WEB_DATABASE_PASSWORD === undefined ? {} : { web: e.WEB_DATABASE_PASSWORD }),
      ...(e.APP_DATABASE_PASSWORD === undefined ? {} : { app: e.APP_DATABASE_PASSWORD }),
      ...(e.VAULT_DATABASE_PASSWORD === undefined ? {} : { vault: e.VAULT_DATABASE_PASSWORD }),
    },
    redisUrl: e.REDIS_URL,
  /** How long an opened tenant key may stay in a process's memory. */
  readonly keyCacheSeconds: number
    kek,
    keyStoreDir: path.resolve(e.KEY_STORE_DIR ?? path.join(dataDir, 'keys', 'store')),
    nextAuthSecret: e.NEXTAUTH_SECRET,
    webOrigin: e.WEB_ORIGIN,
    providers,
    egress: {
      allow: [...list(e.EGRESS_ALLOW), ...sandboxAllow],
      allowUnsafe: e.EGRESS_ALLOW_UNSAFE || sandboxAllow.length > 0,
    },
    smtp: { url: e.SMTP_URL, from: e.SMTP_FROM },
    selfServiceSignUp: e.SELF_SERVICE_SIGN_UP,
    sandbox: sandboxAllow.length > 0 || e.SANDBOX_LABEL,
    logLevel: e.LOG_LEVEL,
    metricsPort: e.METRICS_PORT,
    remote:
      e.PORTCULLIS_URL !== undefined && e.PORTCULLIS_API_KEY !== undefined
        ? { url: e.PORTCULLIS_URL, apiKey: e.PORTCULLIS_API_KEY }
        : undefined,
  })
}

/**
 * What the launcher passes to gateway and worker about the sandbox it started itself:
 * `{"google":{"clientId","clientSecret","overrides":{…}}, …}`. A real app of the same provider wins.
 */
const sandboxProviders = z.record(
  z.enum(['google', 'github', 'slack']),
  z.object({ clientId: z.string().min(1), clientSecret: z.string().min(1), overrides: providerOverride }).optional(),
)

function addSandbox(
  json: string,
  providers: Partial<Record<ProviderName, ProviderAppConfig>>,
  allow: string[],
  problems: string[],
): void {
  const parsed = sandboxProviders.safeParse(parseJson(json))
  if (!parsed.success) {
    problems.push('SANDBOX_PROVIDERS: not the JSON the launcher writes')
    return
  }
  for (const name of ['google', 'github', 'slack'] as const) {
    const app = parsed.data[name]
    if (app === undefined || providers[name] !== undefined) continue
    providers[name] = {
      clientId: app.clientId,
      clientSecret: new Secret(app.clientSecret),
      overrides: app.overrides,
      sandbox: true,
    }
    for (const value of Object.values(app.overrides)) if (typeof value === 'string') allow.push(new URL(value).origin)
  }
}

/** This configuration with the sandbox that the launcher of a running product wrote down. */
export function withSandboxProviders(config: Config, json: string | undefined): Config {
  if (json === undefined) return config
  const providers = { ...config.providers }
  const dataDir = path.resolve(e.PORTCULLIS_DATA_DIR)
  const kek = kekOf(e, dataDir, problems)
  const allow: string[] = []
  const problems: string[] = []
  addSandbox(json, providers, allow, problems)
  if (problems.length > 0) throw invalid(problems)
  return Object.freeze({
    ...config,
    providers,
    egress: { allow: [...config.egress.allow, ...allow], allowUnsafe: config.egress.allowUnsafe || allow.length > 0 },
    sandbox: config.sandbox || allow.length > 0,
  })
}

function readOverrides(file: string | undefined, problems: string[]): z.infer<typeof providerOverrides> {
  if (file === undefined) return {}
  try {
    const parsed = providerOverrides.safeParse(parseJson(readFileSync(file, 'utf8')))
    if (parsed.success) return parsed.data
    for (const issue of parsed.error.issues)
      problems.push(`PROVIDER_OVERRIDES: ${issue.path.join('.')}: ${issue.message}`)
  } catch {
    problems.push('PROVIDER_OVERRIDES: the file cannot be read')
    keyCacheSeconds: e.KEY_CACHE_SECONDS,
  }
  return {}
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}

const list = (value: string) =>
  value
    .split(',')
    .map((part) => part.trim())
    .filter((part) => part !== '')

export function isLoopbackHost(hostname: string): boolean {
  return (
const KMS_KEY_ARN = /^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key\/[A-Za-z0-9-]{1,64}$/
const TRANSIT_KEY = /^[a-zA-Z0-9_.-]{1,64}$/

function kekOf(e: z.infer<typeof environmentSchema>, dataDir: string, problems: string[]): KekConfig {
  const isPlain = (value: string) => {
    const { protocol, hostname } = new URL(value)
    return protocol === 'http:' && !isLoopbackHost(hostname)
  }
  for (const name of ['KEK_AWS_ENDPOINT', 'KEK_TRANSIT_ADDRESS'] as const) {
    const value = e[name]
    if (value !== undefined && isPlain(value)) problems.push(`${name}: must be https unless it is on this machine`)
  }
  const awsKeys = list(e.KEK_AWS_KEYS ?? '')
  if (awsKeys.some((key) => !KMS_KEY_ARN.test(key)))
    problems.push('KEK_AWS_KEYS: must be key ARNs, arn:aws:kms:<region>:<account>:key/<id>, separated by commas')
  if (e.KEK_PROVIDER === 'aws-kms' && awsKeys.length === 0) problems.push('KEK_AWS_KEYS: is needed by aws-kms')

  const address = e.KEK_TRANSIT_ADDRESS
  const transitKeys = list(e.KEK_TRANSIT_KEYS ?? '')
  if (transitKeys.some((key) => !TRANSIT_KEY.test(key)))
    problems.push('KEK_TRANSIT_KEYS: must be names of transit keys, separated by commas')
  if (e.KEK_PROVIDER === 'vault-transit' && address === undefined)
    problems.push('KEK_TRANSIT_ADDRESS: is needed by vault-transit')
  if ((e.KEK_PROVIDER === 'vault-transit' || address !== undefined) && transitKeys.length === 0)
    problems.push('KEK_TRANSIT_KEYS: is needed by vault-transit')
  const { KEK_TRANSIT_TOKEN_FILE: tokenFile, KEK_TRANSIT_ROLE_ID: roleId, KEK_TRANSIT_SECRET_ID_FILE: secretIdFile } = e
  const auth =
    tokenFile !== undefined && roleId === undefined && secretIdFile === undefined
      ? { tokenFile: path.resolve(tokenFile) }
      : tokenFile === undefined && roleId !== undefined && secretIdFile !== undefined
        ? { roleId, secretIdFile: path.resolve(secretIdFile) }
        : undefined
  if ((e.KEK_PROVIDER === 'vault-transit' || address !== undefined) && auth === undefined)
    problems.push(
      'KEK_TRANSIT_TOKEN_FILE, KEK_TRANSIT_ROLE_ID, KEK_TRANSIT_SECRET_ID_FILE: set the first, or the other two',
    )
  return {
    provider: e.KEK_PROVIDER,
    file: path.resolve(e.KEK_FILE ?? path.join(dataDir, 'keys', 'kek.json')),
    ...(awsKeys.length === 0 ? {} : { awsKms: { keys: awsKeys, endpoint: e.KEK_AWS_ENDPOINT } }),
    ...(address === undefined || auth === undefined
      ? {}
      : {
          vaultTransit: {
            address,
            mount: e.KEK_TRANSIT_MOUNT,
            keys: transitKeys,
            namespace: e.KEK_TRANSIT_NAMESPACE,
            auth,
            caFile: e.KEK_TRANSIT_CA_FILE,
          },
        }),
  }
}

    hostname === 'localhost' ||
    hostname.endsWith('.localhost') ||
    hostname === '[::1]' ||
    /^127(\.\d{1,3}){3}$/.test(hostname)
  )
}

function invalid(problems: readonly string[]): AppError {
  return new AppError(
    'config.invalid',
    `The environment is not valid:\n${problems.map((problem) => `  ${problem}`).join('\n')}`,
  )
}
