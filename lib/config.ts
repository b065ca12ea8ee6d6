/**
 * The one reader of the environment. Parsed once, validated, frozen; what is wrong is reported by name, never by value.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

import { z } from 'zod'

import { AppError } from './errors'
import { FACES } from './providers/catalog/faces'
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

/** A key that signs. What a person thinks up is guessed; `openssl rand -base64 32` is not. */
const signingSecret = z
  .string()
  .min(32, 'must be at least 32 characters, for example from `openssl rand -base64 32`')
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
export type ProviderOverride = z.infer<typeof providerOverride>

/** A provider of the catalogue: other endpoints, or the app in a file instead of the environment. */
const catalogueEntry = z.strictObject({
  ...providerOverride.shape,
  clientId: z.string().min(1).max(512).optional(),
  clientSecretFile: z.string().min(1).optional(),
})

/** What the protocol itself decides; an extra parameter of this name would undo a check (RFC 6749 §4.1.1, RFC 7636). */
const PROTOCOL_PARAMETERS =
  /^(response_type|response_mode|client_id|client_secret|redirect_uri|scope|state|nonce|code_challenge|code_challenge_method|request|request_uri)$/
const scopeName = z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,200}$/, 'must be a scope (RFC 6749 §3.3)')
const jsonPath = z.string().regex(/^[\w$-]+(\.[\w$-]+){0,5}$/, 'must be a path such as data.user.id')

/** A provider of the operator's own. */
const declaredEntry = z.strictObject({
  kind: z.enum(['oidc', 'oauth2']),
  displayName: z.string().trim().min(1).max(60).optional(),
  issuer: endpoint.optional(),
  authorizationEndpoint: endpoint.optional(),
  tokenEndpoint: endpoint.optional(),
  revocationEndpoint: endpoint.optional(),
  userinfoEndpoint: endpoint.optional(),
  jwksUri: endpoint.optional(),
  apiBaseUrl: endpoint.optional(),
  clientId: z.string().min(1).max(512),
  clientSecretFile: z.string().min(1),
  clientAuth: z.enum(['post', 'basic']).optional(),
  tokenEncoding: z.enum(['form', 'json']).default('form'),
  pkce: z.boolean().default(true),
  scopeSeparator: z.enum([' ', ',']).default(' '),
  scopes: z
    .record(
      scopeName,
      z.strictObject({
        words: z.string().trim().min(1).max(200),
        access: z.enum(['read', 'write', 'destructive']).default('write'),
        required: z.boolean().default(false),
      }),
    )
    .default({}),
  authorizationParameters: z
    .record(
      z
        .string()
        .regex(/^[\w.-]{1,64}$/)
        .refine((name) => !PROTOCOL_PARAMETERS.test(name), 'belongs to the protocol'),
      z.string().max(512),
    )
    .default({}),
  /** What happens to a used refresh token; strict unless it is known better. */
  refreshMode: z.enum(['static', 'grace', 'strict', 'family_revoke']).default('strict'),
  /** Of access tokens whose answer names no lifetime. Null: they are renewed when they are refused. */
  accessLifetimeSeconds: z.number().int().min(60).max(31_536_000).nullable().default(null),
  /** Where the userinfo answer of a provider without ID tokens says who it is. */
  identity: z
    .strictObject({
      subject: jsonPath.default('sub'),
      email: jsonPath.default('email'),
      name: jsonPath.default('name'),
    })
    .prefault({}),
})
export type DeclaredProvider = Omit<z.infer<typeof declaredEntry>, 'clientSecretFile'> & {
  readonly clientSecret: Secret
}

/**
 * Every variable the product reads, with its shape, but for the two of each provider: `<NAME>_CLIENT_ID` and
 * `<NAME>_CLIENT_SECRET`. `.env.example` is compared with the keys of this object.
 */
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
  KEY_STORE_DIR: z.string().min(1).optional(),
  NEXTAUTH_SECRET: signingSecret.optional(),
  NEXTAUTH_URL: url(['https:', 'http:']).optional(),
  GATEWAY_ADVERTISE_URL: url(['https:', 'http:']).optional(),
  WEB_ORIGIN: url(['http:']).optional(),
  GITHUB_WEBHOOK_SECRET: secret.optional(),
  GITHUB_APP_ID: z.string().min(1).optional(),
  GITHUB_APP_PRIVATE_KEY_FILE: z.string().min(1).optional(),
  GOOGLE_RISC_SERVICE_ACCOUNT_FILE: z.string().min(1).optional(),
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
  AUDIT_CHECKPOINT_SECONDS: z.coerce.number().int().min(5).max(86_400).default(60),
  AUDIT_CHECKPOINT_S3_URL: url(['https:', 'http:']).optional(),
  AUDIT_CHECKPOINT_S3_REGION: z
    .string()
    .regex(/^[a-z0-9-]{1,40}$/, 'must be a region such as eu-central-1')
    .default('us-east-1'),
  AUDIT_CHECKPOINT_S3_ACCESS_KEY_ID: z.string().min(1).optional(),
  AUDIT_CHECKPOINT_S3_SECRET_ACCESS_KEY: secret.optional(),
  AUDIT_CHECKPOINT_WEBHOOK_URL: url(['https:', 'http:']).optional(),
  AUDIT_CHECKPOINT_WEBHOOK_SECRET: secret.optional(),
  PORTCULLIS_URL: url(['https:', 'http:']).optional(),
  PORTCULLIS_API_KEY: secret.optional(),
})

export type { ProviderName } from './providers/catalog/faces'

export interface ProviderAppConfig {
  readonly clientId: string
  readonly clientSecret: Secret
  readonly overrides: ProviderOverride
  /** Credentials of the local sandbox rather than of a real app. Labelled wherever it is shown. */
  readonly sandbox: boolean
}

/** Where key-encryption keys live. `provider` wraps; whatever else is configured still opens what it wrapped. */
export interface KekConfig {
  readonly provider: 'file' | 'aws-kms' | 'vault-transit'
  readonly file: string
  readonly awsKms?: { readonly keys: readonly string[]; readonly endpoint: string | undefined }
  readonly vaultTransit?: {
    readonly address: string
    readonly mount: string
    readonly keys: readonly string[]
    readonly namespace: string | undefined
    readonly auth: { readonly tokenFile: string } | { readonly roleId: string; readonly secretIdFile: string }
    readonly caFile: string | undefined
  }
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
  /** How long an opened tenant key may stay in a process's memory. */
  readonly keyCacheSeconds: number
  readonly nextAuthSecret: Secret | undefined
  /** Where web listens on loopback; the gateway proxies pages to it. */
  readonly webOrigin: string | undefined
  /** Where other gateways of this installation reach this one. Undefined: they cannot. */
  readonly advertiseUrl: string | undefined
  /** Registered apps by provider. */
  readonly providers: Readonly<Record<string, ProviderAppConfig>>
  /** Providers of the operator's own. */
  readonly declaredProviders: Readonly<Record<string, DeclaredProvider>>
  readonly egress: { readonly allow: readonly string[]; readonly allowUnsafe: boolean }
  readonly smtp: { readonly url: string | undefined; readonly from: string }
  readonly selfServiceSignUp: boolean
  readonly sandbox: boolean
  readonly logLevel: string
  readonly metricsPort: number | undefined
  /** Where signed checkpoints of the audit chains are told beside the data folder, and how often at most. */
  readonly auditCheckpoints: {
    readonly everySeconds: number
    readonly s3?: {
      readonly url: string
      readonly region: string
      readonly accessKeyId: string
      readonly secretAccessKey: Secret
    }
    readonly webhook?: { readonly url: string; readonly secret: Secret }
  }
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

  const file = readOverrides(e.PROVIDER_OVERRIDES, problems)
  const providers: Record<string, ProviderAppConfig> = {}
  for (const { name } of FACES) {
    const variables = variablesOfProvider(name)
    const [clientId, clientSecret] = [present[variables.clientId], present[variables.clientSecret]]
    if ((clientId === undefined) !== (clientSecret === undefined))
      problems.push(`${variables.clientId}, ${variables.clientSecret}: set both or neither`)
    const { app, overrides = {} } = file.catalogue[name] ?? {}
    if (app !== undefined && (clientId !== undefined || clientSecret !== undefined))
      problems.push(`PROVIDER_OVERRIDES: ${name}.clientId: is set in the environment too; set it in one place`)
    if (app !== undefined) providers[name] = { ...app, overrides, sandbox: false }
    else if (clientId !== undefined && clientSecret !== undefined)
      providers[name] = { clientId, clientSecret: new Secret(clientSecret), overrides, sandbox: false }
  }
  const sandboxAllow: string[] = []
  if (e.SANDBOX_PROVIDERS !== '') {
    if (!publicUrlIsLoopback && !e.SANDBOX)
      problems.push('SANDBOX_PROVIDERS: only with a loopback PUBLIC_URL or SANDBOX=1')
    else addSandbox(e.SANDBOX_PROVIDERS, providers, sandboxAllow, problems)
  }
  const dataDir = path.resolve(e.PORTCULLIS_DATA_DIR)
  const kek = kekOf(e, dataDir, problems)
  const auditCheckpoints = checkpointsOf(e, problems)
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
    kek,
    keyStoreDir: path.resolve(e.KEY_STORE_DIR ?? path.join(dataDir, 'keys', 'store')),
    keyCacheSeconds: e.KEY_CACHE_SECONDS,
    nextAuthSecret: e.NEXTAUTH_SECRET,
    webOrigin: e.WEB_ORIGIN,
    advertiseUrl: e.GATEWAY_ADVERTISE_URL,
    providers,
    declaredProviders: file.declared,
    egress: {
      allow: [...list(e.EGRESS_ALLOW), ...sandboxAllow],
      allowUnsafe: e.EGRESS_ALLOW_UNSAFE || sandboxAllow.length > 0,
    },
    smtp: { url: e.SMTP_URL, from: e.SMTP_FROM },
    selfServiceSignUp: e.SELF_SERVICE_SIGN_UP,
    sandbox: sandboxAllow.length > 0 || e.SANDBOX_LABEL,
    logLevel: e.LOG_LEVEL,
    metricsPort: e.METRICS_PORT,
    auditCheckpoints,
    remote:
      e.PORTCULLIS_URL !== undefined && e.PORTCULLIS_API_KEY !== undefined
        ? { url: e.PORTCULLIS_URL, apiKey: e.PORTCULLIS_API_KEY }
        : undefined,
  })
}

function checkpointsOf(e: z.infer<typeof environmentSchema>, problems: string[]): Config['auditCheckpoints'] {
  const [s3, accessKeyId, secretAccessKey] = [
    e.AUDIT_CHECKPOINT_S3_URL,
    e.AUDIT_CHECKPOINT_S3_ACCESS_KEY_ID,
    e.AUDIT_CHECKPOINT_S3_SECRET_ACCESS_KEY,
  ]
  const [webhook, webhookSecret] = [e.AUDIT_CHECKPOINT_WEBHOOK_URL, e.AUDIT_CHECKPOINT_WEBHOOK_SECRET]
  for (const name of ['AUDIT_CHECKPOINT_S3_URL', 'AUDIT_CHECKPOINT_WEBHOOK_URL'] as const) {
    const value = e[name] === undefined ? undefined : new URL(e[name])
    if (value?.protocol === 'http:' && !isLoopbackHost(value.hostname))
      problems.push(`${name}: must be https unless it is on this machine`)
  }
  if (s3 !== undefined && new URL(s3).pathname.length < 2)
    problems.push('AUDIT_CHECKPOINT_S3_URL: must have the bucket as its path')
  const given = [s3, accessKeyId, secretAccessKey].filter((value) => value !== undefined).length
  if (given !== 0 && given !== 3)
    problems.push(
      'AUDIT_CHECKPOINT_S3_URL, AUDIT_CHECKPOINT_S3_ACCESS_KEY_ID, AUDIT_CHECKPOINT_S3_SECRET_ACCESS_KEY: set all or none',
    )
  if ((webhook === undefined) !== (webhookSecret === undefined))
    problems.push('AUDIT_CHECKPOINT_WEBHOOK_URL, AUDIT_CHECKPOINT_WEBHOOK_SECRET: set both or neither')
  if (webhookSecret !== undefined && !/^whsec_[A-Za-z0-9+/]{43}=$/.test(webhookSecret.reveal()))
    problems.push('AUDIT_CHECKPOINT_WEBHOOK_SECRET: must be whsec_ and 32 bytes in base64')
  return {
    everySeconds: e.AUDIT_CHECKPOINT_SECONDS,
    ...(s3 === undefined || accessKeyId === undefined || secretAccessKey === undefined
      ? {}
      : { s3: { url: s3, region: e.AUDIT_CHECKPOINT_S3_REGION, accessKeyId, secretAccessKey } }),
    ...(webhook === undefined || webhookSecret === undefined
      ? {}
      : { webhook: { url: webhook, secret: webhookSecret } }),
  }
}

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

/**
 * What the launcher passes to gateway and worker about the sandbox it started itself:
 * `{"google":{"clientId","clientSecret","overrides":{…}}, …}`. A real app of the same provider wins.
 */
const sandboxProviders = z.record(
  z.string(),
  z.object({ clientId: z.string().min(1), clientSecret: z.string().min(1), overrides: providerOverride }),
)

function addSandbox(
  json: string,
  providers: Record<string, ProviderAppConfig>,
  allow: string[],
  problems: string[],
): void {
  const parsed = sandboxProviders.safeParse(parseJson(json))
  if (!parsed.success) {
    problems.push('SANDBOX_PROVIDERS: not the JSON the launcher writes')
    return
  }
  for (const [name, app] of Object.entries(parsed.data)) {
    if (providers[name] !== undefined) continue
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

/** `GITHUB_CLIENT_ID` belongs to the provider `github`; a dash in a name is an underscore here. */
export function variablesOfProvider(name: string): { readonly clientId: string; readonly clientSecret: string } {
  const prefix = name.toUpperCase().replaceAll('-', '_')
  return { clientId: `${prefix}_CLIENT_ID`, clientSecret: `${prefix}_CLIENT_SECRET` }
}

interface OverridesFile {
  readonly catalogue: Record<
    string,
    {
      readonly overrides: ProviderOverride
      readonly app?: { readonly clientId: string; readonly clientSecret: Secret }
    }
  >
  readonly declared: Record<string, DeclaredProvider>
}

/** Each provider by itself, so that all that is wrong is named at once. */
function readOverrides(file: string | undefined, problems: string[]): OverridesFile {
  const found: OverridesFile = { catalogue: {}, declared: {} }
  if (file === undefined) return found
  const wrong = (where: string, what: string) => problems.push(`PROVIDER_OVERRIDES: ${where}: ${what}`)
  let entries: unknown
  try {
    entries = parseJson(readFileSync(file, 'utf8'))
  } catch {
    problems.push('PROVIDER_OVERRIDES: the file cannot be read')
    return found
  }
  if (typeof entries !== 'object' || entries === null || Array.isArray(entries)) {
    problems.push('PROVIDER_OVERRIDES: the file must be a JSON object')
    return found
  }
  const secretIn = (name: string, secretFile: string): Secret | undefined => {
    try {
      // Beside the file that names it, unless it says where.
      const text = readFileSync(path.resolve(path.dirname(file), secretFile), 'utf8').trim()
      if (text !== '') return new Secret(text)
      wrong(`${name}.clientSecretFile`, 'is empty')
    } catch {
      wrong(`${name}.clientSecretFile`, 'cannot be read')
    }
    return undefined
  }
  for (const [name, entry] of Object.entries(entries)) {
    if (!/^[a-z][a-z0-9-]{0,30}$/.test(name)) {
      wrong('a provider’s name', 'must be lower case letters, digits and dashes, 31 at most')
      continue
    }
    const isOurs = FACES.some((face) => face.name === name)
    const isDeclared = typeof entry === 'object' && entry !== null && 'kind' in entry
    if (isOurs === isDeclared) {
      if (isOurs) wrong(`${name}.kind`, 'this provider is known; leave kind out')
      else wrong(name, `is none of ${FACES.map((face) => face.name).join(', ')}; one of your own needs kind`)
      continue
    }
    const parsed = isDeclared ? declaredEntry.safeParse(entry) : catalogueEntry.safeParse(entry)
    if (!parsed.success) {
      for (const issue of parsed.error.issues) wrong([name, ...issue.path.map(String)].join('.'), issue.message)
      continue
    }
    if ('kind' in parsed.data) {
      const { clientSecretFile, ...declared } = parsed.data
      const missing = missingOf(declared)
      if (missing !== undefined) wrong(`${name}.${missing}`, `is needed by ${declared.kind}, unless issuer is given`)
      const clientSecret = secretIn(name, clientSecretFile)
      if (missing === undefined && clientSecret !== undefined) found.declared[name] = { ...declared, clientSecret }
      continue
    }
    const { clientId, clientSecretFile, ...overrides } = parsed.data
    if ((clientId === undefined) !== (clientSecretFile === undefined))
      wrong(`${name}.clientId, ${name}.clientSecretFile`, 'set both or neither')
    const clientSecret = clientSecretFile === undefined ? undefined : secretIn(name, clientSecretFile)
    found.catalogue[name] = {
      overrides,
      ...(clientId === undefined || clientSecret === undefined ? {} : { app: { clientId, clientSecret } }),
    }
  }
  return found
}

/** What nobody could find out: with an issuer the server publishes it, without it must be said. */
function missingOf(declared: Omit<z.infer<typeof declaredEntry>, 'clientSecretFile'>): string | undefined {
  const { kind, issuer, authorizationEndpoint, tokenEndpoint, userinfoEndpoint } = declared
  if (issuer !== undefined) return undefined
  if (kind === 'oidc') return 'issuer'
  if (authorizationEndpoint === undefined) return 'authorizationEndpoint'
  if (tokenEndpoint === undefined) return 'tokenEndpoint'
  return userinfoEndpoint === undefined ? 'userinfoEndpoint' : undefined
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
