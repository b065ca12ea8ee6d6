/** Who is told what, under `npm start` and in containers; and that the settings a person can read about are those there are. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import { describe, expect, it } from 'vitest'

import { environmentSchema, variablesOfProvider } from '@/lib/config'
import { FACES } from '@/lib/providers/catalog/faces'

import { buildEnvironment, environmentOf, loadEnvFile, providerNames, type Facts } from './environment.mjs'

const root = path.resolve(import.meta.dirname, '..')
const read = (file: string) => readFileSync(path.join(root, file), 'utf8')
const apps = FACES.flatMap(({ name }) => Object.values<string>(variablesOfProvider(name)))
const settings = [...Object.keys(environmentSchema.shape), ...apps]
const documented = [...read('.env.example').matchAll(/^([A-Z][A-Z0-9_]*)=(.*)$/gm)]

/** Everything a shell could hold: each setting with a recognisable value, and what belongs to nobody here. */
const everything: Record<string, string> = {
  ...Object.fromEntries(settings.map((name) => [name, `canary-${name}`])),
  PATH: '/usr/bin',
  AWS_SECRET_ACCESS_KEY: 'canary-aws',
  NODE_OPTIONS: '--require=/tmp/canary',
  PGPASSWORD: 'canary-pg',
}
const facts: Facts = {
  from: everything,
  publicUrl: 'https://portcullis.example',
  port: 3000,
  webPort: 4000,
  dataDir: '/data',
  urls: { web: 'postgresql://web@h/app', app: 'postgresql://app@h/app', vault: 'postgresql://vault@h/vault' },
  nextAuthSecret: 'sign-cookies',
  sandboxProviders: '{"github":{"clientSecret":"canary-sandbox"}}',
  hasSandbox: true,
  development: false,
}

/** What would let the pages' process open a credential, fill the queue or speak for a provider app. */
const OUT_OF_BOUNDS =
  /VAULT|KEK|KEY_STORE|CLIENT_SECRET|WEBHOOK_SECRET|SIGNING_SECRET|PRIVATE_KEY|SERVICE_ACCOUNT|REDIS|SMTP|SANDBOX_PROVIDERS|API_KEY|DATABASE_PASSWORD|PORTCULLIS_DATA_DIR|EGRESS/

describe('under npm start', () => {
  it('the pages know how to read one database and to check a cookie, and nothing else', () => {
    expect(environmentOf('web', facts)).toEqual({
      PATH: '/usr/bin',
      NODE_ENV: 'production',
      LOG_LEVEL: 'canary-LOG_LEVEL',
      SELF_SERVICE_SIGN_UP: 'canary-SELF_SERVICE_SIGN_UP',
      NEXT_TELEMETRY_DISABLED: '1',
      __NEXT_PROCESSED_ENV: 'true',
      PUBLIC_URL: 'https://portcullis.example',
      DATABASE_URL: 'postgresql://web@h/app',
      NEXTAUTH_URL: 'https://portcullis.example',
      NEXTAUTH_SECRET: 'sign-cookies',
      SANDBOX_LABEL: '1',
    })
    expect(Object.keys(environmentOf('web', facts)).filter((name) => OUT_OF_BOUNDS.test(name))).toEqual([])
  })

  it('gateway and worker use their own role, never the account that migrates', () => {
    for (const name of ['gateway', 'worker'] as const) {
      const env = environmentOf(name, facts)
      expect(env).toMatchObject({ DATABASE_URL: facts.urls.app, VAULT_DATABASE_URL: facts.urls.vault })
      expect(Object.keys(env).filter((key) => /DATABASE_PASSWORD|PORTCULLIS_(URL|API_KEY)/.test(key))).toEqual([])
    }
    expect(environmentOf('worker', facts)).not.toHaveProperty('NEXTAUTH_SECRET')
    expect(environmentOf('sandbox', facts)).not.toHaveProperty('DATABASE_URL')
  })

  it('no process inherits what the person’s shell happens to hold', () => {
    for (const name of ['gateway', 'worker', 'web', 'sandbox'] as const) {
      const text = JSON.stringify(environmentOf(name, facts))
      for (const foreign of ['canary-aws', '/tmp/canary', 'canary-pg']) expect(text, name).not.toContain(foreign)
    }
    expect(JSON.stringify(buildEnvironment({}, everything))).not.toContain('canary')
  })

  it('AWS credentials reach those who open credentials, and only where AWS KMS holds the keys', () => {
    const holding = { ...facts, from: { ...everything, KEK_AWS_KEYS: 'arn:aws:kms:eu-central-1:111122223333:key/k' } }
    expect(environmentOf('gateway', holding)).toMatchObject({ AWS_SECRET_ACCESS_KEY: 'canary-aws' })
    expect(environmentOf('worker', holding)).toMatchObject({ AWS_SECRET_ACCESS_KEY: 'canary-aws' })
    for (const name of ['web', 'sandbox'] as const)
      expect(JSON.stringify(environmentOf(name, holding))).not.toContain('canary-aws')
  })

  it('the providers are those of the catalogue', () => {
    expect(providerNames()).toEqual(FACES.map(({ name }) => name).sort())
  })

  it('every setting reaches the gateway, or is known to be somebody else’s', () => {
    const gateway = environmentOf('gateway', facts)
    const elsewhere = settings.filter((name) => !(name in gateway))
    expect(elsewhere.sort()).toEqual([
      'APP_DATABASE_PASSWORD', // the three: migrate
      'PORTCULLIS_API_KEY', // these two: the command line
      'PORTCULLIS_URL',
      'SANDBOX_LABEL', // the pages
      'SANDBOX_PUBLIC_URL', // the sandbox
      'VAULT_DATABASE_PASSWORD',
      'WEB_DATABASE_PASSWORD',
    ])
  })
})

describe('.env.example', () => {
  it('names exactly the settings there are, with nothing filled in', () => {
    const forCompose = ['POSTGRES_PASSWORD', 'AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']
    const names = documented.map(([, name]) => name ?? '')
    // The two of a provider follow from its name, which the file says; those it spells out are real ones.
    expect(names.filter((name) => !apps.includes(name)).sort()).toEqual(
      [...Object.keys(environmentSchema.shape), ...forCompose].sort(),
    )
    expect(new Set(names).size).toBe(names.length)
    expect(documented.filter(([, , value]) => value !== '')).toEqual([])
  })

  it('read as .env, changes nothing; a filled line counts unless the shell says otherwise', () => {
    const folder = mkdtempSync(path.join(tmpdir(), 'portcullis-test-'))
    try {
      writeFileSync(path.join(folder, '.env'), read('.env.example'))
      const untouched = {}
      loadEnvFile(folder, untouched)
      expect(untouched).toEqual({})

      writeFileSync(
        path.join(folder, '.env'),
        'PORT=4000 # a comment\nexport SMTP_FROM="A # B <a@b.example>"\nLOG_LEVEL=debug\nPUBLIC_URL=\n# SANDBOX=1\n',
      )
      const env = { LOG_LEVEL: 'warn' }
      loadEnvFile(folder, env)
      expect(env).toEqual({ LOG_LEVEL: 'warn', PORT: '4000', SMTP_FROM: 'A # B <a@b.example>' })

      const inTests = { NODE_ENV: 'test' }
      loadEnvFile(folder, inTests)
      expect(inTests).toEqual({ NODE_ENV: 'test' })
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})

describe('docker-compose.yml', () => {
  const compose = parseYaml(read('docker-compose.yml'))
  const at = (...keys: string[]): Yaml =>
    keys.reduce<Yaml>((node, key) => (isMap(node) ? (node[key] ?? null) : null), compose)
  const map = (...keys: string[]): YamlMap => {
    const node = at(...keys)
    if (!isMap(node)) throw new Error(`${keys.join('.')} is not a map`)
    return node
  }
  const services = Object.keys(map('services'))
  const ours = ['migrate', 'gateway', 'web', 'worker']
  const internal = Object.keys(map('networks')).filter((name) => at('networks', name, 'internal') === 'true')

  it('runs the three processes, what they need, and one migration before them', () => {
    expect(services.sort()).toEqual(['gateway', 'migrate', 'postgres', 'redis', 'web', 'worker'])
    for (const name of ['gateway', 'web', 'worker'])
      expect(at('services', name, 'depends_on', 'migrate', 'condition')).toBe('service_completed_successfully')
    expect(at('services', 'postgres', 'image')).toBe('postgres:18')
  })

  it('gives the pages no vault, no key, no queue, no provider secret and no volume', () => {
    const web = map('services', 'web')
    expect(Object.keys(map('services', 'web', 'environment')).sort()).toEqual([
      'DATABASE_URL',
      'LOG_LEVEL',
      'NEXTAUTH_SECRET',
      'NEXTAUTH_URL',
      'PUBLIC_URL',
      'SELF_SERVICE_SIGN_UP',
    ])
    expect(web).not.toHaveProperty('volumes')
    expect(web).not.toHaveProperty('ports')
    expect(web).not.toHaveProperty('env_file')
    const values = JSON.stringify(web['environment'])
    expect(values).not.toMatch(OUT_OF_BOUNDS.source.replace('DATABASE_PASSWORD', 'APP_DATABASE_PASSWORD'))
    expect(values).toContain('portcullis_web:')
  })

  it('leaves the pages no way out and no way to the queue', () => {
    const networks = at('services', 'web', 'networks')
    expect(networks).toEqual(['database', 'pages'])
    for (const name of ['database', 'pages']) expect(internal).toContain(name)
    expect(at('services', 'redis', 'networks')).toEqual(['queue'])
  })

  it('opens one port, the gateway’s', () => {
    const open = services.filter((name) => at('services', name, 'ports') !== null)
    expect(open).toEqual(['gateway'])
  })

  it('keeps the administrator’s password to the database and to migrating', () => {
    const knowing = services.filter((name) => JSON.stringify(at('services', name)).includes('POSTGRES_PASSWORD'))
    expect(knowing.sort()).toEqual(['migrate', 'postgres'])
  })

  it('keeps keys, wrapped keys and spools on named volumes that only gateway and worker mount', () => {
    for (const name of ['gateway', 'worker'])
      expect(at('services', name, 'volumes')).toEqual(['data:/data', 'kek:/kek', 'key-store:/key-store'])
    expect(at('services', 'postgres', 'volumes')).toEqual(['postgres:/var/lib/postgresql'])
    for (const name of ['data', 'kek', 'key-store', 'postgres']) expect(map('volumes')).toHaveProperty(name)
    expect(read('Dockerfile')).toMatch(/KEK_FILE=\/kek\/kek\.json[\s\S]*KEY_STORE_DIR=\/key-store/)
  })

  it('runs our processes without privileges, from an image that is not root and that they cannot change', () => {
    for (const name of ours) {
      expect(at('services', name, 'cap_drop'), name).toEqual(['ALL'])
      expect(at('services', name, 'security_opt'), name).toEqual(['no-new-privileges:true'])
      expect(at('services', name, 'read_only'), name).toBe('true')
      expect(at('services', name, 'image'), name).toBe('portcullis')
    }
    const last =
      read('Dockerfile')
        .split(/^FROM /m)
        .at(-1) ?? ''
    expect(last).toMatch(/^USER node$/m)
    expect(last).not.toMatch(/COPY .*--chown/)
  })

  it('asks for no variable that .env.example does not explain, and holds no secret itself', () => {
    const text = read('docker-compose.yml')
    const names = documented.map(([, name]) => name)
    for (const [, name] of text.matchAll(/\$\{([A-Z_0-9]+)/g)) expect(names).toContain(name)
    for (const service of ours)
      for (const name of Object.keys(map('services', service, 'environment'))) expect(names, service).toContain(name)
    for (const [line, value] of text.matchAll(/^ +[A-Z_]*(?:PASSWORD|SECRET|KEY): (.*)$/gm))
      expect(value, line).toMatch(/^\$\{/)
  })

  it('lets nothing of the working folder that is private or built into the image', () => {
    const ignored = read('.dockerignore').split('\n')
    for (const name of ['.env', '.data', '.git', 'node_modules', '.build', '.next']) expect(ignored).toContain(name)
  })
})

type Yaml = string | null | Yaml[] | YamlMap
interface YamlMap {
  [key: string]: Yaml
}
const isMap = (node: Yaml): node is YamlMap => node !== null && typeof node === 'object' && !Array.isArray(node)

/** The plain subset our file keeps to: maps by two spaces, lists of scalars (below or in brackets). Anything else throws. */
function parseYaml(text: string): YamlMap {
  const lines = text
    .split('\n')
    .filter((line) => line.trim() !== '' && !line.trim().startsWith('#'))
    .map((line) => ({ indent: line.length - line.trimStart().length, text: line.trim() }))
  const scalar = (value: string) => {
    const quoted = /^(['"])(.*)\1$/.exec(value)?.[2]
    if (quoted === undefined && /: |^[[{&*!|>%@]| #/.test(value)) throw new Error(`quote it: ${value}`)
    return quoted ?? value
  }
  let position = 0
  function block(indent: number): Yaml {
    if (lines[position]?.text.startsWith('- ') === true) {
      const list: Yaml[] = []
      for (let line = lines[position]; line?.indent === indent && line.text.startsWith('- '); line = lines[position]) {
        list.push(scalar(line.text.slice(2)))
        position += 1
      }
      return list
    }
    const result: YamlMap = {}
    for (let line = lines[position]; line?.indent === indent; line = lines[position]) {
      const match = /^([\w-]+):(?: (.*))?$/.exec(line.text)
      if (match?.[1] === undefined) throw new Error(`not understood: ${line.text}`)
      position += 1
      const next = lines[position]
      const value = match[2]
      if (value === '{}') result[match[1]] = {}
      else if (value !== undefined && value.startsWith('[') && value.endsWith(']')) {
        result[match[1]] = value.slice(1, -1).split(', ').map(scalar)
      } else if (value !== undefined) result[match[1]] = scalar(value)
      else if (next !== undefined && next.indent > indent) result[match[1]] = block(next.indent)
      else result[match[1]] = null
    }
    return result
  }
  const parsed = block(0)
  if (position !== lines.length) throw new Error(`not understood: ${lines[position]?.text ?? ''}`)
  if (!isMap(parsed)) throw new Error('not a map')
  return parsed
}
