// @ts-check
/**
 * Who is told what. Each process gets its own environment, built from nothing: the pages' process, which answers to
 * people's browsers, is given no vault, no key, no queue and no provider secret, because what it does not know it cannot
 * give away.
 *
 * @see ARCHITECTURE.md, the three processes
 * @module
 */
import { readdirSync, readFileSync } from 'node:fs'
import process from 'node:process'

/** What belongs to the machine and the person, as opposed to the product. */
const MACHINE = [
  'PATH',
  'HOME',
  'USER',
  'LOGNAME',
  'SHELL',
  'LANG',
  'LC_ALL',
  'TMPDIR',
  'TZ',
  'TERM',
  'HTTP_PROXY',
  'HTTPS_PROXY',
  'NO_PROXY',
  'http_proxy',
  'https_proxy',
  'no_proxy',
  'NODE_EXTRA_CA_CERTS',
  'SSL_CERT_FILE',
  'SSL_CERT_DIR',
]

/** Everything gateway and worker may be configured with by their operator. */
const PRODUCT = [
  'TRUSTED_PROXIES',
  'REDIS_URL',
  'KEK_PROVIDER',
  'KEK_FILE',
  'KEK_AWS_KEYS',
  'KEK_AWS_ENDPOINT',
  'KEK_TRANSIT_ADDRESS',
  'KEK_TRANSIT_KEYS',
  'KEK_TRANSIT_MOUNT',
  'KEK_TRANSIT_NAMESPACE',
  'KEK_TRANSIT_TOKEN_FILE',
  'KEK_TRANSIT_ROLE_ID',
  'KEK_TRANSIT_SECRET_ID_FILE',
  'KEK_TRANSIT_CA_FILE',
  'KEY_STORE_DIR',
  'KEY_CACHE_SECONDS',
  'GATEWAY_ADVERTISE_URL',
  'GITHUB_WEBHOOK_SECRET',
  'GITHUB_APP_ID',
  'GITHUB_APP_PRIVATE_KEY_FILE',
  'GOOGLE_RISC_SERVICE_ACCOUNT_FILE',
  'SLACK_SIGNING_SECRET',
  'PROVIDER_OVERRIDES',
  'EGRESS_ALLOW',
  'EGRESS_ALLOW_UNSAFE',
  'AUDIT_CHECKPOINT_SECONDS',
  'AUDIT_CHECKPOINT_S3_URL',
  'AUDIT_CHECKPOINT_S3_REGION',
  'AUDIT_CHECKPOINT_S3_ACCESS_KEY_ID',
  'AUDIT_CHECKPOINT_S3_SECRET_ACCESS_KEY',
  'AUDIT_CHECKPOINT_WEBHOOK_URL',
  'AUDIT_CHECKPOINT_WEBHOOK_SECRET',
  'SMTP_URL',
  'SMTP_FROM',
  'SANDBOX',
  'SELF_SERVICE_SIGN_UP',
  'LOG_LEVEL',
]

/** @returns {readonly string[]} the providers of this version: a folder each */
export function providerNames() {
  return readdirSync(new URL('../lib/providers/catalog', import.meta.url), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map((entry) => entry.name)
    .sort()
}

/** The app of each provider. */
function providerApps() {
  return providerNames().flatMap((name) => {
    const prefix = name.toUpperCase().replaceAll('-', '_')
    return [`${prefix}_CLIENT_ID`, `${prefix}_CLIENT_SECRET`]
  })
}

/** How the AWS SDK finds its credentials. For those who open credentials, and only where AWS KMS holds the keys. */
const AWS = [
  'AWS_ACCESS_KEY_ID',
  'AWS_SECRET_ACCESS_KEY',
  'AWS_SESSION_TOKEN',
  'AWS_PROFILE',
  'AWS_CONFIG_FILE',
  'AWS_SHARED_CREDENTIALS_FILE',
  'AWS_ROLE_ARN',
  'AWS_ROLE_SESSION_NAME',
  'AWS_WEB_IDENTITY_TOKEN_FILE',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  'AWS_CONTAINER_CREDENTIALS_FULL_URI',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN',
  'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE',
  'AWS_EC2_METADATA_DISABLED',
  'AWS_REGION',
]

/** @typedef {Record<string, string | undefined>} Environment */

/**
 * @param {Environment} from
 * @param {readonly string[]} names
 * @returns {Record<string, string>}
 */
function pick(from, names) {
  /** @type {Record<string, string>} */
  const picked = {}
  for (const name of names) {
    const value = from[name]
    if (value !== undefined && value !== '') picked[name] = value
  }
  return picked
}

/**
 * The person's shell, without anything that could change what is built, tested or started.
 *
 * @param {Record<string, string>} [extra]
 * @param {Environment} [from]
 * @returns {NodeJS.ProcessEnv}
 */
export function buildEnvironment(extra = {}, from = process.env) {
  const npm = Object.keys(from).filter((name) => /^npm_config_/i.test(name))
  // Next adds NODE_ENV to what an environment must have; here its absence is meant.
  return /** @type {NodeJS.ProcessEnv} */ (
    /** @type {unknown} */ ({ ...pick(from, [...MACHINE, ...npm]), ...PAGES_PRIVACY, ...extra })
  )
}

/** Next reports its use, and reads `.env` files into the pages' process behind our back, unless told that it has. */
const PAGES_PRIVACY = { NEXT_TELEMETRY_DISABLED: '1', __NEXT_PROCESSED_ENV: 'true' }

/**
 * @typedef {object} Facts
 * @property {Environment} from  the launcher's own environment
 * @property {string} publicUrl
 * @property {number} port
 * @property {number} webPort
 * @property {string} dataDir
 * @property {{ web: string, app: string, vault: string }} urls
 * @property {string} nextAuthSecret
 * @property {string | undefined} sandboxProviders
 * @property {boolean} hasSandbox  a provider without a real app is played by the sandbox
 * @property {boolean} development
 */

/**
 * @param {'gateway' | 'worker' | 'web' | 'sandbox'} name
 * @param {Facts} facts
 * @returns {Record<string, string>}
 */
export function environmentOf(name, facts) {
  const { from } = facts
  const common = {
    ...pick(from, [...MACHINE, 'LOG_LEVEL']),
    NODE_ENV: facts.development ? 'development' : 'production',
    PUBLIC_URL: facts.publicUrl,
  }
  switch (name) {
    case 'web':
      return {
        ...common,
        ...PAGES_PRIVACY,
        ...pick(from, ['SELF_SERVICE_SIGN_UP']),
        DATABASE_URL: facts.urls.web,
        NEXTAUTH_URL: facts.publicUrl,
        NEXTAUTH_SECRET: facts.nextAuthSecret,
        // That there is a sandbox, for the banner; not its addresses or secrets.
        ...(facts.hasSandbox ? { SANDBOX_LABEL: '1' } : {}),
      }
    case 'gateway':
      return {
        ...common,
        ...pick(from, [...PRODUCT, ...providerApps(), 'METRICS_PORT']),
        ...engine(facts),
        PORT: String(facts.port),
        WEB_ORIGIN: `http://127.0.0.1:${facts.webPort}`,
        NEXTAUTH_URL: facts.publicUrl,
        NEXTAUTH_SECRET: facts.nextAuthSecret,
      }
    case 'worker':
      return { ...common, ...pick(from, [...PRODUCT, ...providerApps()]), ...engine(facts) }
    case 'sandbox':
      return { ...common, ...pick(from, ['SANDBOX_PUBLIC_URL']) }
  }
}

/**
 * What opens credentials: the two processes that may.
 *
 * @param {Facts} facts
 * @returns {Record<string, string>}
 */
function engine(facts) {
  return {
    ...(facts.from['KEK_AWS_KEYS']?.startsWith('arn:') === true ? pick(facts.from, AWS) : {}),
    PORTCULLIS_DATA_DIR: facts.dataDir,
    DATABASE_URL: facts.urls.app,
    VAULT_DATABASE_URL: facts.urls.vault,
    ...(facts.sandboxProviders === undefined ? {} : { SANDBOX_PROVIDERS: facts.sandboxProviders }),
  }
}

/**
 * Reads `.env` in the project, where a variable of the shell wins. Tests start with a clean table instead.
 *
 * @param {string} root
 * @param {Environment} env
 */
export function loadEnvFile(root, env = process.env) {
  if (env['NODE_ENV'] === 'test' || !readdirSync(root).includes('.env')) return
  for (const line of readFileSync(`${root}/.env`, 'utf8').split(/\r?\n/)) {
    const match = /^\s*(?:export\s+)?([A-Z][A-Z0-9_]*)\s*=\s*(.*?)\s*$/.exec(line)
    const name = match?.[1]
    let value = match?.[2]
    if (name === undefined || value === undefined || env[name] !== undefined) continue
    const quoted = /^(["'])(.*)\1$/.exec(value)
    value = quoted?.[2] ?? value.replace(/\s+#.*$/, '').replace(/^#.*$/, '')
    if (value !== '') env[name] = value
  }
}
