import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { createAuthOptions, isUsedAction } from '@/lib/identity/next-auth'
import { brand, newId, type TenantId, type PersonId } from '@/lib/ids'
import type { PersonPrincipal } from '@/lib/tenancy/principal'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { codeOf } from '@/lib/testing/principal'
import {
  createTestIdentity,
  newBrowser,
  PASSWORD,
  secretOf,
  type TestBrowser,
  type TestIdentity,
} from '@/lib/testing/identity'

let db: TestDatabases
let id: TestIdentity

beforeAll(async () => {
  db = await createTestDatabases({ max: 24 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const NEW_PASSWORD = 'a quite different sentence'

async function signedIn(email: string, password = PASSWORD, browser: TestBrowser = newBrowser()) {
  const secret = await id.activate(await id.signIn.withPassword(email, password, browser), browser)
  const session = await id.sessions.lookup(secret)
  return { secret, session: session!, browser }
}

/** An agent session of this person in this workspace. */
async function agentSession(tenantId: TenantId, personId: PersonId): Promise<string> {
  const agentId = newId('agent')
  const sessionId = newId('agentSession')
  await db.app.tenant(tenantId, async (tx) => {
    await tx.agent.create({ data: { tenantId, id: agentId, name: 'A' } })
    await tx.agentSession.create({
      data: {
        tenantId,
        id: sessionId,
        agentId,
        kind: 'key',
        secretHash: new Uint8Array(Buffer.from(sessionId)),
        secretHint: 'x',
        personId,
        expiresAt: new Date(Date.now() + 3_600_000),
      },
    })
  })
  return sessionId
}
const endedReason = async (sessionId: string) =>
  (await db.adminQuery('app', 'SELECT ended_reason FROM agent_session WHERE id = $1', [sessionId]))[0]?.['ended_reason']

describe('a changed credential', () => {
  it('ends every other session of the person and of their agents in all workspaces, and nobody else’s', async () => {
    const ada = await id.person('ada@example.com')
    const second = await id.tenants.create({ name: 'Second', owner: ada.personId, actor: { kind: 'system' } })
    const eve = await id.person('eve@example.com')
    const acting = await signedIn('ada@example.com')
    const other = await signedIn('ada@example.com')
    const foreign = await signedIn('eve@example.com')
    const mine = [await agentSession(ada.tenantId, ada.personId), await agentSession(second.id, ada.personId)]
    const theirs = await agentSession(eve.tenantId, eve.personId)
    // Also where the workspace was closed meanwhile: opening it again must not bring the session back.
    await db.adminQuery('app', 'UPDATE tenant SET disabled_at = now() WHERE id = $1', [second.id])
    id.recorded.length = 0

    await id.credentials.changePassword(acting.session, PASSWORD, NEW_PASSWORD, '192.0.2.1')

    expect(await id.sessions.lookup(acting.secret)).toBeDefined()
    expect(await id.sessions.lookup(other.secret)).toBeUndefined()
    expect(await id.sessions.lookup(foreign.secret)).toBeDefined()
    expect(await Promise.all(mine.map(endedReason))).toEqual(['credential_changed', 'credential_changed'])
    expect(await endedReason(theirs)).toBeNull()
    expect(id.recorded.map((event) => event.action).sort()).toEqual([
      'person.password_changed',
      'person.sessions_ended',
      'session.revoked',
      'session.revoked',
    ])
    expect((await id.deliver()).map((mail) => [mail.to, mail.subject])).toEqual([
      ['ada@example.com', 'Your password was changed'],
    ])
    expect(await codeOf(id.signIn.withPassword('ada@example.com', PASSWORD, newBrowser()))).toBe('auth.unauthenticated')
    await id.signIn.withPassword('ada@example.com', NEW_PASSWORD, newBrowser())
  })

  it('kills links that were sent before and tickets that were not redeemed yet', async () => {
    await id.person('links@example.com')
    const asker = newBrowser()
    await id.signIn.askForMagicLink('links@example.com', asker)
    const magic = secretOf((await id.deliver())[0])
    const waiting = newBrowser()
    const ticket = await id.signIn.withPassword('links@example.com', PASSWORD, waiting)
    const acting = await signedIn('links@example.com')
    await id.credentials.changePassword(acting.session, PASSWORD, NEW_PASSWORD, '192.0.2.1')
    expect(await codeOf(id.signIn.withMagicLink(magic, asker))).toBe('auth.link_invalid')
    expect(await id.reader.redeem(ticket.secret.reveal(), waiting.browser)).toBeUndefined()
  })

  it('needs the present password; a stolen cookie is not enough', async () => {
    await id.person('proof@example.com')
    const { session } = await signedIn('proof@example.com')
    for (const proof of [undefined, '', 'wrong password']) {
      const error = await id.credentials
        .changePassword(session, proof, NEW_PASSWORD, '192.0.2.1')
        .catch((caught: unknown) => caught)
      expect(error).toMatchObject({ code: 'request.invalid', field: 'currentPassword' })
    }
    expect(await codeOf(id.credentials.askToChangeEmail(session, 'wrong', 'x@example.com', '192.0.2.1'))).toBe(
      'request.invalid',
    )
    await db.adminQuery('app', 'DELETE FROM person_password WHERE person_id = $1', [session.personId])
    const old = { ...session, authenticatedAt: new Date(Date.now() - 11 * 60_000) }
    expect(await codeOf(id.credentials.changePassword(old, undefined, NEW_PASSWORD, '192.0.2.1'))).toBe(
      'auth.forbidden',
    )
    await id.credentials.changePassword(session, undefined, NEW_PASSWORD, '192.0.2.1')
  })
})

describe('a password reset', () => {
  it('is asked for alike by known and unknown addresses', async () => {
    await id.person('reset@example.com')
    const ask = async (email: string) => {
      id.computed.length = 0
      await id.credentials.askToResetPassword(email, newBrowser())
      const rows = await db.adminQuery(
        'app',
        "SELECT t.purpose, t.person_id, t.secret_hash, m.kind, m.person_id AS mail_person, m.data FROM email_token t JOIN mail m ON m.ref_id = t.id WHERE t.email = $1 AND m.status = 'queued'",
        [email],
      )
      return { rows, computed: [...id.computed] }
    }
    expect(await ask('reset@example.com')).toEqual(await ask('nobody@example.com'))
  })

  it('sets the password once of twenty posts and leaves no session', async () => {
    const before = await signedIn('reset@example.com')
    await id.credentials.askToResetPassword('reset@example.com', newBrowser())
    const secret = secretOf((await id.deliver()).at(-1))
    const settled = await Promise.allSettled(
      Array.from({ length: 20 }, (_, index) =>
        id.credentials.resetPassword(secret, `${NEW_PASSWORD} ${index}`, newBrowser('192.0.2.77')),
      ),
    )
    const winners = settled.flatMap((one, index) => (one.status === 'fulfilled' ? [index] : []))
    expect(winners).toHaveLength(1)
    expect(await id.sessions.lookup(before.secret)).toBeUndefined()
    await id.signIn.withPassword('reset@example.com', `${NEW_PASSWORD} ${winners[0]}`, newBrowser())
    expect(await id.people.findByEmail('reset@example.com')).toMatchObject({ isEmailVerified: true })
  })

  it('cannot be done with a link of another kind', async () => {
    const browser = newBrowser()
    await id.signIn.askForMagicLink('reset@example.com', browser)
    const magic = secretOf((await id.deliver()).at(-1))
    expect(await codeOf(id.credentials.resetPassword(magic, NEW_PASSWORD, browser))).toBe('auth.link_invalid')
    expect(await codeOf(id.credentials.confirmEmail(magic, undefined, browser.network))).toBe('auth.link_invalid')
    await id.signIn.withMagicLink(magic, browser)
  })
})

describe('an e-mail address', () => {
  it('changes only by the link to the new one, in a session of the person, and the old one is told', async () => {
    await id.person('old@example.com')
    const { session, secret: cookie } = await signedIn('old@example.com')
    const other = await signedIn('old@example.com')
    await id.credentials.askToChangeEmail(session, PASSWORD, 'New@Example.com', '192.0.2.1')
    const [mail] = await id.deliver()
    expect(mail?.to).toBe('New@example.com')
    const secret = secretOf(mail)
    expect(await codeOf(id.credentials.confirmEmail(secret, undefined, '192.0.2.1'))).toBe('auth.unauthenticated')
    await id.person('thief@example.com')
    const thief = await signedIn('thief@example.com')
    expect(await codeOf(id.credentials.confirmEmail(secret, thief.session, '192.0.2.1'))).toBe('auth.link_invalid')
    expect(await id.people.findByEmail('old@example.com')).toBeDefined()

    await id.credentials.confirmEmail(secret, session, '192.0.2.1')
    expect(await id.people.findByEmail('old@example.com')).toBeUndefined()
    expect(await id.people.findByEmail('new@example.com')).toMatchObject({ isEmailVerified: true })
    expect(await id.sessions.lookup(cookie)).toBeDefined()
    expect(await id.sessions.lookup(other.secret)).toBeUndefined()
    const [notice] = await id.deliver()
    expect(notice).toMatchObject({ to: 'old@example.com', subject: 'The e-mail address of your account was changed' })
    expect(notice?.text).toContain('N…@example.com')
    expect(notice?.text).not.toContain('New@')
  })

  it('of somebody else is neither taken nor told about', async () => {
    await id.person('taken@example.com')
    const { session } = await signedIn('thief@example.com')
    await id.credentials.askToChangeEmail(session, PASSWORD, 'taken@example.com', '192.0.2.1')
    expect(await id.deliver()).toEqual([])
  })

  it('that somebody took meanwhile is not taken twice', async () => {
    const { session } = await signedIn('thief@example.com')
    await id.credentials.askToChangeEmail(session, PASSWORD, 'free@example.com', '192.0.2.1')
    const secret = secretOf((await id.deliver())[0])
    await id.person('free@example.com')
    expect(await codeOf(id.credentials.confirmEmail(secret, session, '192.0.2.1'))).toBe('auth.link_invalid')
    expect(await id.people.findByEmail('thief@example.com')).toBeDefined()
  })

  it('is verified by its own link, once', async () => {
    await id.person('verify@example.com')
    const { session } = await signedIn('verify@example.com')
    await id.credentials.askToVerifyEmail(session, '192.0.2.1')
    const secret = secretOf((await id.deliver())[0])
    await id.credentials.confirmEmail(secret, undefined, '192.0.2.1')
    expect(await id.people.findByEmail('verify@example.com')).toMatchObject({ isEmailVerified: true })
    expect(await codeOf(id.credentials.confirmEmail(secret, session, '192.0.2.1'))).toBe('auth.link_invalid')
  })
})

describe('ending sessions', () => {
  it('ends one’s own by id, and nobody else’s', async () => {
    await id.person('ender@example.com')
    const first = await signedIn('ender@example.com')
    const second = await signedIn('ender@example.com')
    const stranger = await signedIn('thief@example.com')
    expect(await id.credentials.endSession(first.session, stranger.session.sessionId, '192.0.2.1')).toBe(false)
    expect(await id.sessions.lookup(stranger.secret)).toBeDefined()
    expect(await id.credentials.endSession(first.session, second.session.sessionId, '192.0.2.1')).toBe(true)
    expect(await id.sessions.lookup(second.secret)).toBeUndefined()
    await signedIn('ender@example.com')
    expect(await id.credentials.endOtherSessions(first.session, '192.0.2.1')).toBe(1)
    expect((await id.sessions.list(first.session.personId)).map((one) => one.id)).toEqual([first.session.sessionId])
  })
})

describe('API keys', () => {
  let owner: PersonPrincipal
  beforeAll(async () => {
    const { tenantId, personId } = await id.person('keys@example.com')
    owner = {
      kind: 'person',
      tenantId,
      personId,
      role: 'owner',
      webSessionId: newId('webSession'),
      authenticatedAt: new Date(),
      network: '192.0.2.1',
    }
  })
  const present = (secret: string, address = '192.0.2.1') => ({
    cookie: undefined,
    authorization: `Bearer ${secret}`,
    network: address,
    address,
  })

  it('act in one workspace until they expire or are revoked, and the row holds no part of the secret but four characters', async () => {
    const { key, secret } = await id.apiKeys.create(owner, { name: 'CI', role: 'admin', days: 30 })
    const bearer = secret.reveal()
    expect(await id.authenticator.member(present(bearer))).toMatchObject({
      kind: 'api_key',
      tenantId: owner.tenantId,
      apiKeyId: key.id,
      role: 'admin',
    })
    const [row] = await db.adminQuery('app', 'SELECT k::text AS whole FROM api_key k WHERE id = $1', [key.id])
    expect(row?.['whole']).not.toContain(bearer.slice(8, 20))
    await db.adminQuery('app', 'UPDATE api_key SET expires_at = now() WHERE id = $1', [key.id])
    expect(await id.authenticator.member(present(bearer))).toBeUndefined()
    await db.adminQuery('app', "UPDATE api_key SET expires_at = now() + interval '1 day' WHERE id = $1", [key.id])
    expect(await id.authenticator.member(present(bearer))).toBeDefined()
    await id.apiKeys.revoke(owner, key.id)
    expect(await id.authenticator.member(present(bearer))).toBeUndefined()
  })

  it('never do more than their maker may do now', async () => {
    const { secret } = await id.apiKeys.create(owner, { name: 'Role', role: 'owner', days: 30 })
    await db.adminQuery('app', "UPDATE membership SET role = 'auditor' WHERE person_id = $1", [owner.personId])
    expect(await id.authenticator.member(present(secret.reveal()))).toMatchObject({ role: 'auditor' })
    await db.adminQuery('app', "UPDATE membership SET role = 'owner' WHERE person_id = $1", [owner.personId])
    await expect(
      id.apiKeys.create({ ...owner, role: 'member' }, { name: 'Up', role: 'admin', days: 30 }),
    ).rejects.toMatchObject({ code: 'auth.forbidden' })
  })

  it('cannot make keys, and a foreign key is as missing as no key', async () => {
    const { key } = await id.apiKeys.create(owner, { name: 'Foreign', role: 'member', days: 30 })
    const program = { ...owner, kind: 'api_key', apiKeyId: key.id, scopes: null } as const
    await expect(id.apiKeys.create(program, { name: 'x', role: 'member', days: 1 })).rejects.toMatchObject({
      code: 'auth.forbidden',
    })
    const stranger = await id.person('stranger@example.com')
    const foreign = { ...owner, ...stranger }
    for (const missing of [key.id, newId('apiKey')])
      await expect(id.apiKeys.revoke(foreign, missing)).rejects.toMatchObject({ code: 'resource.not_found' })
    await expect(
      id.apiKeys.create({ ...foreign, personId: owner.personId }, { name: 'x', role: 'member', days: 1 }),
    ).rejects.toMatchObject({ code: 'resource.not_found' })
  })
})

describe('a workspace', () => {
  it('is chosen by its members only, and the role is the one they have there', async () => {
    const one = await id.person('two-homes@example.com')
    const two = await id.tenants.create({ name: 'Analytical', actor: { kind: 'system' } })
    await db.app.tenant(two.id, (tx) =>
      tx.membership.create({ data: { tenantId: two.id, personId: one.personId, role: 'auditor' } }),
    )
    expect(two.slug).toMatch(/^analytical-[0-9a-f]{6}$/)
    const foreign = await id.person('other-home@example.com')
    const { secret, session } = await signedIn('two-homes@example.com')
    const me = () =>
      id.authenticator.member({
        cookie: `next-auth.session-token=${secret}`,
        authorization: undefined,
        network: 'x',
        address: 'x',
      })
    expect(await me()).toMatchObject({ tenantId: one.tenantId, role: 'owner' })
    expect(await id.authenticator.chooseTenant(session, foreign.tenantId, '10.0.0.1')).toBe(false)
    expect(await id.authenticator.chooseTenant(session, two.id, '10.0.0.1')).toBe(true)
    expect(await me()).toMatchObject({ tenantId: two.id, role: 'auditor' })
  })

  it('keeps an owner when two owners demote or remove each other at once', async () => {
    for (const act of ['demote', 'remove'] as const) {
      const a = await id.person(`${act}-a@example.com`)
      const b = await id.people.create({ email: `${act}-b@example.com`, name: 'B' })
      const as = (personId: PersonId): PersonPrincipal => ({
        kind: 'person',
        tenantId: a.tenantId,
        personId,
        role: 'owner',
        webSessionId: brand('ses_x'),
        authenticatedAt: new Date(),
        network: '192.0.2.1',
      })
      await id.members.add(as(a.personId), b.id, 'owner')
      const change = (from: PersonId, whom: PersonId) =>
        act === 'demote' ? id.members.changeRole(as(from), whom, 'member') : id.members.remove(as(from), whom)
      const settled = await Promise.allSettled([change(a.personId, b.id), change(b.id, a.personId)])
      expect(settled.map((one) => one.status).sort(), act).toEqual(['fulfilled', 'rejected'])
      const [row] = await db.adminQuery(
        'app',
        "SELECT count(*)::int AS n FROM membership WHERE tenant_id = $1 AND role = 'owner'",
        [a.tenantId],
      )
      expect(row, act).toEqual({ n: 1 })
    }
  })

  it('lets nobody give or take a role above their own', async () => {
    const { tenantId, personId } = await id.person('roles@example.com')
    const other = await id.people.create({ email: 'roles-2@example.com', name: 'B' })
    const admin: PersonPrincipal = {
      kind: 'person',
      tenantId,
      personId: other.id,
      role: 'admin',
      webSessionId: brand('ses_x'),
      authenticatedAt: new Date(),
      network: '192.0.2.1',
    }
    for (const work of [
      () => id.members.changeRole(admin, personId, 'member'),
      () => id.members.remove(admin, personId),
      () => id.members.add(admin, other.id, 'owner'),
      () => id.members.add({ ...admin, role: 'member' }, other.id, 'auditor'),
    ])
      expect(await codeOf(work())).toBe('auth.forbidden')
  })

  it('takes keys and agent sessions of a removed member away with the membership', async () => {
    const { tenantId, personId } = await id.person('removed@example.com')
    const member = await id.people.create({ email: 'removed-2@example.com', name: 'B' })
    const owner: PersonPrincipal = {
      kind: 'person',
      tenantId,
      personId,
      role: 'owner',
      webSessionId: brand('ses_x'),
      authenticatedAt: new Date(),
      network: '192.0.2.1',
    }
    await id.members.add(owner, member.id, 'member')
    const { secret } = await id.apiKeys.create(
      { ...owner, personId: member.id, role: 'member' },
      { name: 'k', role: 'member', days: 1 },
    )
    const session = await agentSession(tenantId, member.id)
    await id.members.remove(owner, member.id)
    expect(await id.apiKeys.lookup(secret.reveal(), '192.0.2.1')).toBeUndefined()
    await id.members.add(owner, member.id, 'member')
    expect(await id.apiKeys.lookup(secret.reveal(), '192.0.2.1')).toBeUndefined()
    expect(await endedReason(session)).toBe('member_removed')
  })
})

describe('next-auth', () => {
  const options = () =>
    createAuthOptions({
      reader: id.reader,
      cookies: id.cookies,
      secret: 'for the csrf cookie',
      onFault: () => undefined,
    })
  const authorize = (cookie: string) => {
    const provider = options().providers[0] as unknown as {
      authorize: (body: unknown, request: unknown) => Promise<{ id: string; ticket: string } | null>
    } // ours, from the options above
    return provider.authorize({ ticket: 'from the body' }, { headers: { cookie }, body: {}, query: {}, method: 'POST' })
  }

  it('takes the ticket from the cookie, never from the body, and carries it unchanged', async () => {
    await id.person('next-auth@example.com')
    const browser = newBrowser()
    const ticket = await id.signIn.withPassword('next-auth@example.com', PASSWORD, browser)
    expect(await authorize(`portcullis-ticket=${ticket.secret.reveal()}`)).toBeNull()
    const cookie = `portcullis-ticket=${ticket.secret.reveal()}; portcullis-browser=${browser.browser}`
    const user = await authorize(cookie)
    expect(user).toEqual({ id: ticket.personId, ticket: ticket.secret.reveal() })
    expect(await authorize(cookie)).toBeNull()

    const { callbacks, jwt } = options()
    const token = await callbacks!.jwt!({ token: {}, user: user!, account: null }) // the shape next-auth calls with
    const written = await jwt!.encode!({ token, secret: '' })
    expect(written).toBe(ticket.secret.reveal())
    const read = await jwt!.decode!({ token: written, secret: '' })
    expect(read).toMatchObject({ personId: ticket.personId })
    // On every read there is no user, and the cookie is written back as it was.
    const again = await callbacks!.jwt!({ token: read } as never)
    expect(await jwt!.encode!({ token: again, secret: '' })).toBe(written)
    // What the browser may read of it has ids only.
    const shown = await callbacks!.session!({ session: { expires: 'then' }, token: read } as never)
    expect(JSON.stringify(shown)).not.toContain(ticket.secret.reveal())
  })

  it('reads null for a session that has ended, and writes to no table', async () => {
    const { secret, session } = await signedIn('next-auth@example.com')
    const { jwt } = options()
    expect(await jwt!.decode!({ token: secret, secret: '' })).not.toBeNull()
    await db.adminQuery('app', 'DELETE FROM web_session WHERE id = $1', [session.sessionId])
    expect(await jwt!.decode!({ token: secret, secret: '' })).toBeNull()
    expect(await jwt!.decode!({ token: 'anything else', secret: '' })).toBeNull()
  })

  it('has no path of its own to sign out, which would leave the row alive', () => {
    expect(isUsedAction('POST', ['signout'])).toBe(false)
    expect(isUsedAction('GET', ['signin'])).toBe(false)
    expect(isUsedAction('POST', ['session'])).toBe(false)
    expect(isUsedAction('POST', ['callback', 'ticket'])).toBe(true)
  })

  it('names its cookies for https only where there is https', async () => {
    const secure = createTestIdentity(db, { publicUrl: 'https://portcullis.example' })
    expect(secure.cookies).toEqual({
      secure: true,
      session: '__Secure-next-auth.session-token',
      ticket: '__Host-portcullis-ticket',
      browser: '__Host-portcullis-browser',
    })
    expect(
      createAuthOptions({ reader: secure.reader, cookies: secure.cookies, secret: 'x', onFault: () => undefined })
        .useSecureCookies,
    ).toBe(true)
    await secure.close()
  })
})
