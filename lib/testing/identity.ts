/**
 * Everything of signing in, wired as the gateway and the worker wire it, on a database of the test's own. Mail goes into
 * a list; audit events into another.
 *
 * @module
 */
import { randomBytes } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import path from 'node:path'

import type { AuditEvent } from '@/lib/audit/record'
import { systemClock, type Clock } from '@/lib/clock'
import { createAppDb, type AppDb } from '@/lib/db/app-db'
import { createRateLimitStore } from '@/lib/db/rate-limit-store'
import { createApiKeys } from '@/lib/identity/api-keys'
import { createAuthenticator } from '@/lib/identity/authenticate'
import { signInCookies } from '@/lib/identity/cookies'
import { createCredentials } from '@/lib/identity/credentials'
import { parseDisplayName } from '@/lib/identity/display-name'
import { createInvitations } from '@/lib/identity/invitations'
import { createSignInLimits } from '@/lib/identity/limits'
import { createPasswords } from '@/lib/identity/password'
import { createPersonalData } from '@/lib/identity/personal-data'
import { createPasskeys } from '@/lib/identity/passkeys'
import { createPeople } from '@/lib/identity/people'
import { createProofs } from '@/lib/identity/proofs'
import { createReauthentication } from '@/lib/identity/reauthentication'
import { createSecondFactor } from '@/lib/identity/second-factor'
import { createSessionReader } from '@/lib/identity/session-reader'
import { createWebSessions } from '@/lib/identity/sessions'
import { createSignInMethods } from '@/lib/identity/sign-in-methods'
import { createSignIn } from '@/lib/identity/sign-in'
import { createSignUp } from '@/lib/identity/sign-up'
import { createTotps } from '@/lib/identity/totp'
import type { Ticket, Visitor } from '@/lib/identity/visitor'
import { hashSecret, newSecret, type Id, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createMailer } from '@/lib/notifications/mail'
import type { RenderedMail } from '@/lib/notifications/templates'
import type { DeliveryResult } from '@/lib/notifications/transport'
import { createMembers } from '@/lib/tenancy/members'
import type { RecordsEvents } from '@/lib/tenancy/events'
import { createTenants } from '@/lib/tenancy/tenants'
import { createWorkspaces } from '@/lib/tenancy/workspaces'
import type { TenantKeys } from '@/lib/vault/tenant-keys'
import { createTotpSeal } from '@/wiring/totp-seal'

import type { TestDatabases } from './database'

export interface SentMail extends RenderedMail {
  readonly to: string
}

export const PASSWORD = 'correct horse battery'

export interface TestBrowser extends Visitor {
  /** Value of the browser cookie. */
  readonly browser: string
}

let networks = 0

/** Somebody at a browser of their own, on a network of their own, so that tests do not use up each other's limits. */
export function newBrowser(network?: string): TestBrowser {
  networks += 1
  const browser = newSecret('pcb_')
  return {
    browser,
    browserHash: hashSecret(browser),
    network: network ?? `10.${(networks >> 16) & 255}.${(networks >> 8) & 255}.${networks & 255}`,
    userAgent: 'test',
  }
}

export function createTestIdentity(
  db: Pick<TestDatabases, 'app' | 'urls'>,
  options: {
    readonly publicUrl?: string
    readonly selfServiceSignUp?: boolean
    /** Absent: events go into `recorded`. */
    readonly events?: RecordsEvents
    /** What codes are of. */
    readonly clock?: Clock
  } = {},
) {
  const publicUrl = options.publicUrl ?? 'http://localhost:3000'
  const dataDir = mkdtempSync(path.join(tmpdir(), 'portcullis-identity-'))
  const appDb: AppDb = db.app
  const webDb = createAppDb(db.urls.web, { role: 'portcullis_web', max: 4 })
  const recorded: AuditEvent[] = []
  const events: RecordsEvents = options.events ?? {
    event: (_: unknown, event: AuditEvent) => Promise.resolve(void recorded.push(event)),
    never: (_: unknown, event: AuditEvent) => Promise.resolve(void recorded.push(event)),
  }
  const computed: ('hash' | 'verify')[] = []
  const announced: Id<'mail'>[] = []
  const announceMail = (id: Id<'mail'>) => Promise.resolve(void announced.push(id))
  const store = createRateLimitStore(db.urls.app)
  const limits = createSignInLimits(store)
  const passwords = createPasswords({ queue: 64, onCompute: (operation) => computed.push(operation) })
  const sessions = createWebSessions({ appDb })
  const cookies = signInCookies(publicUrl)
  const verified: string[] = []
  const passkeys = createPasskeys({ appDb, publicUrl, onVerify: () => verified.push('passkey') })
  const clock = options.clock ?? systemClock
  const totps = createTotps({ appDb, seal: createTotpSeal(personKeys()), clock, issuer: 'Portcullis' })
  const proofs = createProofs({ appDb, passwords, totps, passkeys, limits })
  const signInDeps = { appDb, passwords, sessions, limits, events, announceMail, passkeys, totps, proofs }
  const apiKeys = createApiKeys({ appDb, events, clock: systemClock })
  const signUp = createSignUp({
    ...signInDeps,
    dataDir,
    publicUrl,
    selfServiceSignUp: options.selfServiceSignUp ?? true,
  })
  const reader = createSessionReader(webDb)

  const sent: SentMail[] = []
  let answer: DeliveryResult = { kind: 'delivered' }
  const mailer = createMailer({
    appDb,
    publicUrl,
    log: createLog('test', 'silent'),
    transport: {
      deliver: (_, to, mail) => {
        if (answer.kind === 'delivered') sent.push({ to, ...mail })
        return Promise.resolve(answer)
      },
      close: () => undefined,
    },
  })

  return {
    publicUrl,
    dataDir,
    /** For a test that puts something of its own between two steps. */
    signInDeps,
    recorded,
    computed,
    verified,
    passkeys,
    totps,
    proofs,
    secondFactor: createSecondFactor(signInDeps),
    signInMethods: createSignInMethods(signInDeps),
    announced,
    store,
    limits,
    passwords,
    sessions,
    cookies,
    apiKeys,
    signUp,
    reader,
    mailer,
    sent,
    signIn: createSignIn(signInDeps),
    credentials: createCredentials({ ...signInDeps, clock: systemClock }),
    authenticator: createAuthenticator({ appDb, sessions, apiKeys, cookies, events }),
    reauthentication: createReauthentication(signInDeps),
    people: createPeople({ appDb, passwords, events }),
    tenants: createTenants({ appDb, events }),
    members: createMembers({ appDb, events }),
    personalData: createPersonalData({ appDb, events }),
    invitations: createInvitations(signInDeps),
    workspaces: createWorkspaces({ appDb, events, parseName: parseDisplayName }),
    deliverAs: (result: DeliveryResult) => {
      answer = result
    },
    /** Sends what is due and returns it. */
    async deliver(): Promise<SentMail[]> {
      const from = sent.length
      for (const id of await mailer.due(1_000)) await mailer.send(id)
      return sent.slice(from)
    },
    /** A person with a password, owner of a workspace of their own. */
    async person(email: string): Promise<{ readonly personId: PersonId; readonly tenantId: TenantId }> {
      const made = await this.people.create({ email, name: 'Ada', password: PASSWORD })
      const tenant = await this.tenants.create({ name: 'Analytical', owner: made.id, actor: { kind: 'system' } })
      return { personId: made.id, tenantId: tenant.id }
    },
    /** Redeems as next-auth does. @returns the session's secret, as it stands in the cookie */
    async activate(ticket: Ticket, browser: TestBrowser): Promise<string> {
      const secret = ticket.secret.reveal()
      if ((await reader.redeem(secret, browser.browser)) === undefined) throw new Error('the ticket was not redeemed')
      return secret
    },
    async close(): Promise<void> {
      await Promise.all([webDb.close(), store.close()])
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

/** One key that is always there; each use gets a copy, because its user zeroes it. */
function personKeys(): Pick<TenantKeys, 'current' | 'at'> {
  const key = randomBytes(32)
  return {
    current: () => Promise.resolve({ version: 1, key: Buffer.from(key) }),
    at: () => Promise.resolve(Buffer.from(key)),
  }
}

export type TestIdentity = ReturnType<typeof createTestIdentity>

/** The secret in the fragment of a mail's link. */
export function secretOf(mail: SentMail | undefined): string {
  const found = /#(pc[a-z]_[A-Za-z0-9_-]{43})/.exec(mail?.text ?? '')
  if (found?.[1] === undefined) throw new Error('the mail has no link')
  return found[1]
}
