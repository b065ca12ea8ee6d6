import { Secret as OtpSecret, TOTP } from 'otpauth'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { createAuthenticator, type Misbehaviour } from '@/lib/testing/authenticator'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, type TestBrowser, type TestIdentity } from '@/lib/testing/identity'

import { RECOVERY_CODES } from './recovery-codes'
import type { WebSession } from './sessions'

const origin = 'http://localhost:3000'
let db: TestDatabases
let id: TestIdentity
/** Codes are of this time; the database's own goes on. */
let now = Date.now()

beforeAll(async () => {
  db = await createTestDatabases({ max: 24 })
  id = createTestIdentity(db, { publicUrl: origin, clock: { now: () => new Date(now) } })
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const codeOf = async (work: Promise<unknown>): Promise<string> => {
  try {
    await work
    return 'ok'
  } catch (error) {
    if (error instanceof AppError) return error.code
    throw error
  }
}
const nextStep = () => (now += 30_000)
const digits = (secret: string, at = now) =>
  new TOTP({ secret: OtpSecret.fromBase32(secret) }).generate({ timestamp: at })

let people = 0
/** Somebody with a password, signed in. */
async function somebody() {
  people += 1
  const email = `person${people}@example.com`
  const { personId, tenantId } = await id.person(email)
  const browser = newBrowser()
  const signIn = async (from: TestBrowser = browser) => {
    const ticket = await id.signIn.withPassword(email, PASSWORD, from)
    return { ticket, cookie: await id.activate(ticket, from) }
  }
  const { cookie } = await signIn()
  return { email, personId, tenantId, browser, signIn, cookie, session: await whole(cookie) }
}
async function whole(cookie: string): Promise<WebSession> {
  const session = await id.sessions.lookup(cookie)
  if (session === undefined) throw new Error('there is no session')
  return session
}
async function withApp() {
  const person = await somebody()
  const made = await id.signInMethods.beginTotp(person.session)
  const secret = made.secret.reveal()
  nextStep()
  const codes = await id.signInMethods.confirmTotp(person.session, digits(secret), person.browser.network)
  nextStep()
  return { ...person, secret, codes: codes?.reveal() ?? [] }
}
async function withPasskey() {
  const person = await somebody()
  const device = createAuthenticator(origin)
  const options = await id.signInMethods.askToAddPasskey(person.session)
  const { network } = person.browser
  const added = await id.signInMethods.addPasskey(person.session, 'Phone', device.create(options), network)
  return { ...person, device, passkey: added.passkey, codes: added.codes?.reveal() ?? [] }
}
async function waiting(cookie: string) {
  const session = await id.sessions.lookupWaiting(cookie)
  if (session === undefined) throw new Error('no session waits')
  return session
}

describe('the gate', () => {
  it('makes a session whose second factor is missing none at all, in the gateway, in the pages and for next-auth', async () => {
    const person = await withApp()
    // The session that added the factor goes on; the others of the person are none from that moment on.
    expect(await id.sessions.lookup(person.cookie)).toBeDefined()
    expect(await id.reader.find(person.cookie)).toBeDefined()
    const { ticket, cookie } = await person.signIn(newBrowser())
    expect(ticket.isWaiting).toBe(true)
    expect(await id.sessions.lookup(cookie)).toBeUndefined()
    expect(await id.reader.find(cookie)).toBeUndefined()
    const header = `${id.cookies.session}=${cookie}`
    expect(await id.authenticator.session({ cookie: header })).toBeUndefined()
    const presented = { cookie: header, authorization: undefined, network: '10.0.0.1', address: '10.0.0.1' }
    expect(await id.authenticator.member(presented)).toBeUndefined()
    expect((await id.sessions.list(person.personId)).map((one) => one.id)).not.toContain(ticket.sessionId)
    expect(await id.sessions.proveAgain(db.app.global, { ...ticket }, false)).toBe(true)
    expect(await id.sessions.lookup(cookie)).toBeUndefined()
  })

  it('closes on sessions from before the factor was added, and opens again when the last one is removed', async () => {
    const person = await somebody()
    const elsewhere = await person.signIn(newBrowser())
    expect(await id.sessions.lookup(elsewhere.cookie)).toBeDefined()
    const made = await id.signInMethods.beginTotp(person.session)
    // A secret that nobody confirmed is no factor.
    expect(await id.sessions.lookup(elsewhere.cookie)).toBeDefined()
    nextStep()
    await id.signInMethods.confirmTotp(person.session, digits(made.secret.reveal()), '')
    expect(await id.sessions.lookup(elsewhere.cookie)).toBeUndefined()
    await id.signInMethods.removeTotp(person.session, '')
    expect(await id.sessions.lookup(elsewhere.cookie)).toBeDefined()
    expect((await id.signInMethods.list(person.session)).recoveryCodesLeft).toBe(0)
  })

  it('lets a half-made sign-in make nobody known, and ends it after a quarter of an hour', async () => {
    const person = await withApp()
    const thief = newBrowser()
    const { cookie, ticket } = await person.signIn(thief)
    expect(await id.sessions.isKnown(person.email, thief.browserHash, thief.network)).toBe(false)
    expect(await id.sessions.isKnown(person.email, person.browser.browserHash, 'elsewhere')).toBe(true)
    const session = await waiting(cookie)
    await db.app.global.$executeRaw`
      UPDATE web_session SET created_at = now() - interval '16 minutes' WHERE id = ${ticket.sessionId}`
    expect(await id.sessions.lookupWaiting(cookie)).toBeUndefined()
    const late = id.secondFactor.give(session, { kind: 'code', code: digits(person.secret) }, thief)
    expect(await codeOf(late)).toBe('auth.unauthenticated')
  })

  it('goes on under a new secret: the cookie of the first half opens nothing afterwards', async () => {
    const person = await withApp()
    const browser = newBrowser()
    const { cookie } = await person.signIn(browser)
    const session = await waiting(cookie)
    const thief = newBrowser()
    expect(await codeOf(id.secondFactor.give(session, { kind: 'code', code: digits(person.secret) }, thief))).toBe(
      'auth.unauthenticated',
    )
    const ticket = await id.secondFactor.give(session, { kind: 'code', code: digits(person.secret) }, browser)
    expect(ticket.isWaiting).toBe(false)
    const after = await id.activate(ticket, browser)
    expect(after).not.toBe(cookie)
    expect(await id.sessions.lookup(after)).toMatchObject({ sessionId: session.sessionId })
    expect(await id.sessions.lookup(cookie)).toBeUndefined()
    expect(await id.sessions.lookupWaiting(cookie)).toBeUndefined()
    const [signedIn] = id.recorded.filter(({ targetId }) => targetId === session.sessionId).slice(-1)
    expect(signedIn).toMatchObject({ action: 'person.signed_in', detail: { method: 'password', secondFactor: 'code' } })
  })
})

describe('codes of an authenticator app', () => {
  it('are taken once, of twenty at a time and ever after, and no older one after a newer', async () => {
    const person = await withApp()
    const attempts = await Promise.all(
      Array.from({ length: 20 }, async (_, index) => {
        const browser = newBrowser()
        return { browser, session: await waiting((await person.signIn(browser)).cookie), index }
      }),
    )
    const code = digits(person.secret)
    const results = await Promise.all(
      attempts.map(({ session, browser }) => codeOf(id.secondFactor.give(session, { kind: 'code', code }, browser))),
    )
    expect(results.filter((result) => result === 'ok')).toHaveLength(1)
    expect(results.filter((result) => result === 'request.invalid').length).toBeGreaterThan(0)

    const other = await withApp()
    const browser = newBrowser()
    const session = await waiting((await other.signIn(browser)).cookie)
    const older = digits(other.secret, now)
    nextStep()
    await id.secondFactor.give(session, { kind: 'code', code: digits(other.secret) }, browser)
    const again = await waiting((await other.signIn(browser)).cookie)
    expect(await codeOf(id.secondFactor.give(again, { kind: 'code', code: older }, browser))).toBe('request.invalid')
  })

  it('are right one step early and late, and no further', async () => {
    const { session, personId } = await somebody()
    const secret = (await id.signInMethods.beginTotp(session)).secret.reveal()
    const isRight = async (steps: number) =>
      (await id.totps.match(personId, digits(secret, now + steps * 30_000), 'waiting')) !== undefined
    expect(await Promise.all([-2, -1, 0, 1, 2].map(isRight))).toEqual([false, true, true, true, false])
    for (const bad of ['', '12345', '1234567', 'abcdef', '١٢٣٤٥٦'])
      expect(await id.totps.match(personId, bad, 'waiting'), bad).toBeUndefined()
  })

  it('stop being guessed after six, and a stranger who guesses does not keep the person out', async () => {
    const person = await withApp()
    const thief = newBrowser()
    const session = await waiting((await person.signIn(thief)).cookie)
    const guesses: string[] = []
    for (let guess = 0; guess < 7; guess += 1)
      guesses.push(await codeOf(id.secondFactor.give(session, { kind: 'code', code: '000000' }, thief)))
    expect(guesses).toEqual([...Array.from({ length: 6 }, () => 'request.invalid'), 'request.rate_limited'])
    // From ever new networks the account's own ring is full after ten, for strangers.
    const rest: string[] = []
    for (let guess = 0; guess < 6; guess += 1) {
      const elsewhere = newBrowser()
      const half = await waiting((await person.signIn(elsewhere)).cookie)
      rest.push(await codeOf(id.secondFactor.give(half, { kind: 'code', code: '000000' }, elsewhere)))
    }
    expect(rest.slice(-2)).toEqual(['request.rate_limited', 'request.rate_limited'])
    const own = await waiting((await person.signIn()).cookie)
    const code = digits(person.secret)
    expect(await codeOf(id.secondFactor.give(own, { kind: 'code', code }, person.browser))).toBe('ok')
  })

  it('come from a secret that is sealed at rest, bound to its person and its generation', async () => {
    const person = await withApp()
    const stranger = await withApp()
    const [row] = await db.adminQuery('app', 'SELECT * FROM person_totp WHERE person_id = $1', [person.personId])
    expect(JSON.stringify(row)).not.toContain(person.secret)
    const bytes = Buffer.from(OtpSecret.fromBase32(person.secret).bytes)
    expect(Buffer.from(row?.['sealed'] as Uint8Array).includes(bytes)).toBe(false)
    // Somebody who writes to the database gives a person their own app.
    await db.adminQuery(
      'app',
      'UPDATE person_totp t SET sealed = s.sealed FROM person_totp s WHERE t.person_id = $1 AND s.person_id = $2',
      [person.personId, stranger.personId],
    )
    expect(await codeOf(id.totps.match(person.personId, digits(stranger.secret), 'confirmed'))).toBe('vault.unreadable')
  })

  it('cannot be put in place of an app that counts', async () => {
    const person = await withApp()
    expect(await codeOf(id.signInMethods.beginTotp(person.session))).toBe('resource.conflict')
  })
})

describe('recovery codes', () => {
  it('are shown once, stored as hashes, and each lets in one of twenty', async () => {
    const person = await withApp()
    expect(person.codes).toHaveLength(RECOVERY_CODES)
    expect(new Set(person.codes).size).toBe(RECOVERY_CODES)
    const [first = '', second = ''] = person.codes
    expect(first).toMatch(/^([0-9a-hjkmnp-tv-z]{4}-){3}[0-9a-hjkmnp-tv-z]{4}$/)
    const stored = await db.adminQuery('app', 'SELECT * FROM person_recovery_code WHERE person_id = $1', [
      person.personId,
    ])
    expect(JSON.stringify(stored)).not.toContain(first)
    const attempts = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const browser = newBrowser()
        return { browser, session: await waiting((await person.signIn(browser)).cookie) }
      }),
    )
    await db.adminQuery('app', 'DELETE FROM rate_limit', [])
    const results = await Promise.all(
      attempts.map(async ({ session, browser }) =>
        codeOf(
          db.app.transaction(async (tx) => {
            const take = await id.proofs.check(
              { kind: 'recovery_code', code: first },
              {
                personId: person.personId,
                purpose: 'second_factor',
                sessionId: session.sessionId,
                network: browser.network,
                isKnown: () => Promise.resolve(true),
              },
            )
            await take(tx)
          }),
        ),
      ),
    )
    expect(results.filter((result) => result === 'ok')).toHaveLength(1)
    expect(results.filter((result) => result === 'request.invalid')).toHaveLength(19)
    // As people type them.
    await db.adminQuery('app', 'DELETE FROM rate_limit', [])
    const browser = newBrowser()
    const session = await waiting((await person.signIn(browser)).cookie)
    const typed = second.toUpperCase().replaceAll('-', ' ').replaceAll('0', 'O').replaceAll('1', 'l')
    expect(await codeOf(id.secondFactor.give(session, { kind: 'recovery_code', code: typed }, browser))).toBe('ok')
    expect((await id.signInMethods.list(person.session)).recoveryCodesLeft).toBe(RECOVERY_CODES - 2)
    const fresh = (await id.signInMethods.newRecoveryCodes(person.session, '')).reveal()
    expect(fresh.some((code) => person.codes.includes(code))).toBe(false)
    const old = await waiting((await person.signIn(browser)).cookie)
    const third = { kind: 'recovery_code', code: person.codes[2] ?? '' } as const
    expect(await codeOf(id.secondFactor.give(old, third, browser))).toBe('request.invalid')
  })
})

describe('passkeys', () => {
  it('sign in by themselves, wholly, and nobody is named before', async () => {
    const person = await withPasskey()
    const browser = newBrowser()
    const options = await id.signIn.askForPasskey(browser)
    expect(options).toMatchObject({ rpId: 'localhost', userVerification: 'required' })
    expect(options.allowCredentials).toBeUndefined()
    const ticket = await id.signIn.withPasskey(person.device.get(options), browser)
    expect(ticket).toMatchObject({ personId: person.personId, isWaiting: false })
    expect(await whole(await id.activate(ticket, browser))).toMatchObject({ personId: person.personId })
  })

  it.each<[string, Misbehaviour]>([
    ['another origin', { origin: 'https://evil.example' }],
    ['another relying party', { rpId: 'evil.example' }],
    ['a device that nobody unlocked', { isUnverified: true }],
    ['a challenge of its own', { challenge: Buffer.alloc(32, 1).toString('base64url') }],
    ['somebody else’s key', { hasOtherKey: true }],
    ['a counter that went back', { counter: 0 }],
    ['another person’s name', { userHandle: 'per_somebodyelse' }],
  ])('are refused with %s', async (_, wrong) => {
    const person = await withPasskey()
    const browser = newBrowser()
    const first = await id.signIn.askForPasskey(browser)
    await id.signIn.withPasskey(person.device.get(first), browser)
    const options = await id.signIn.askForPasskey(browser)
    expect(await codeOf(id.signIn.withPasskey(person.device.get(options, wrong), browser))).toBe('auth.unauthenticated')
    const again = await id.signIn.askForPasskey(browser)
    expect(await codeOf(id.signIn.withPasskey(person.device.get(again), browser))).toBe('ok')
  })

  it('take a challenge once, in the browser that asked, for what it was asked', async () => {
    const person = await withPasskey()
    const [browser, thief] = [newBrowser(), newBrowser()]
    const options = await id.signIn.askForPasskey(browser)
    const answer = person.device.get(options)
    expect(await codeOf(id.signIn.withPasskey(answer, thief))).toBe('auth.unauthenticated')
    const results = await Promise.all(Array.from({ length: 20 }, () => codeOf(id.signIn.withPasskey(answer, browser))))
    expect(results.filter((result) => result === 'ok')).toHaveLength(1)
    const stepUp = await id.passkeys.askToSign('step_up', person.session.sessionId, person.personId)
    expect(await codeOf(id.signIn.withPasskey(person.device.get(stepUp), browser))).toBe('auth.unauthenticated')
    const old = await id.signIn.askForPasskey(browser)
    await db.app.global.$executeRaw`UPDATE passkey_challenge SET expires_at = now()`
    expect(await codeOf(id.signIn.withPasskey(person.device.get(old), browser))).toBe('auth.unauthenticated')
  })

  it('cost the same verification when nobody has them', async () => {
    const person = await withPasskey()
    const browser = newBrowser()
    const unknown = createAuthenticator(origin)
    id.verified.length = 0
    await codeOf(id.signIn.withPasskey(unknown.get(await id.signIn.askForPasskey(browser)), browser))
    expect(id.verified).toHaveLength(1)
    await codeOf(id.signIn.withPasskey(person.device.get(await id.signIn.askForPasskey(browser)), browser))
    expect(id.verified).toHaveLength(2)
  })

  it('are a second factor after the password, and another person’s is none', async () => {
    const person = await withPasskey()
    const stranger = await withPasskey()
    const browser = newBrowser()
    const session = await waiting((await person.signIn(browser)).cookie)
    expect(await id.secondFactor.methodsOf(session)).toEqual(['passkey', 'recovery_code'])
    const options = await id.secondFactor.askPasskey(session)
    expect(options.allowCredentials?.map((one) => one.id)).toEqual([person.device.id])
    const foreign = { kind: 'passkey', response: stranger.device.get(options) } as const
    expect(await codeOf(id.secondFactor.give(session, foreign, browser))).toBe('request.invalid')
    const own = { kind: 'passkey', response: person.device.get(await id.secondFactor.askPasskey(session)) } as const
    expect(await codeOf(id.secondFactor.give(session, own, browser))).toBe('ok')
  })

  it('are what step-up asks of whoever has one; their password alone is not enough there', async () => {
    const person = await withPasskey()
    expect(await id.reauthentication.methodsOf(person.session)).toEqual(['passkey', 'recovery_code'])
    const { network } = person.browser
    const byPassword = id.reauthentication.confirm(person.session, { kind: 'password', password: PASSWORD }, network)
    expect(await codeOf(byPassword)).toBe('request.invalid')
    await db.app.global.$executeRaw`
      UPDATE web_session SET authenticated_at = now() - interval '1 hour' WHERE id = ${person.session.sessionId}`
    const response = person.device.get(await id.reauthentication.askPasskey(person.session))
    await id.reauthentication.confirm(person.session, { kind: 'passkey', response }, network)
    expect(Date.now() - (await whole(person.cookie)).authenticatedAt.getTime()).toBeLessThan(60_000)
  })

  it('are added once, to one person, renamed and removed by their owner alone, and never the last way to sign in', async () => {
    const person = await withPasskey()
    const stranger = await somebody()
    const again = await id.signInMethods.askToAddPasskey(stranger.session)
    expect(await codeOf(id.signInMethods.addPasskey(stranger.session, 'x', person.device.create(again), ''))).toBe(
      'resource.conflict',
    )
    const mine = await id.signInMethods.askToAddPasskey(person.session)
    expect(mine.excludeCredentials?.map((one) => one.id)).toEqual([person.device.id])
    // A challenge of one session is none of another's.
    const other = createAuthenticator(origin).create(mine)
    expect(await codeOf(id.signInMethods.addPasskey(stranger.session, 'x', other, ''))).toBe('request.invalid')
    for (const work of [
      id.signInMethods.renamePasskey(stranger.session, person.passkey.id, 'x'),
      id.signInMethods.removePasskey(stranger.session, person.passkey.id, ''),
    ])
      expect(await codeOf(work)).toBe('resource.not_found')
    await id.signInMethods.renamePasskey(person.session, person.passkey.id, 'Key ring')
    expect((await id.signInMethods.list(person.session)).passkeys.map((one) => one.name)).toEqual(['Key ring'])

    await id.deliver()
    await db.adminQuery('app', 'DELETE FROM person_password WHERE person_id = $1', [person.personId])
    const remove = () => id.signInMethods.removePasskey(person.session, person.passkey.id, '')
    expect(await codeOf(remove())).toBe('resource.conflict')
    const spare = createAuthenticator(origin)
    const options = await id.signInMethods.askToAddPasskey(person.session)
    const { passkey, codes } = await id.signInMethods.addPasskey(person.session, 'Spare', spare.create(options), '')
    expect(codes).toBeUndefined()
    // Of two that are removed at the same moment one stays.
    const both = await Promise.all([
      codeOf(remove()),
      codeOf(id.signInMethods.removePasskey(person.session, passkey.id, '')),
    ])
    expect(both.sort()).toEqual(['ok', 'resource.conflict'])
    // Of what changed, and of nothing that was refused, the person hears by mail.
    const told = (await id.deliver()).filter(({ to }) => to === person.email).map(({ subject }) => subject)
    expect(told.sort()).toEqual(['A passkey was added', 'A passkey was removed'])
  })
})
