import { readFileSync, statSync, existsSync } from 'node:fs'
import path from 'node:path'

import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'
import { hashSecret } from '@/lib/ids'
import { createSignIn } from '@/lib/identity/sign-in'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, secretOf, type TestIdentity } from '@/lib/testing/identity'
import { codeOf } from '@/lib/testing/principal'

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

/** Runs `work` n times at once. @returns what succeeded, and the codes of what did not */
async function race<T>(n: number, work: (index: number) => Promise<T>): Promise<{ won: T[]; codes: string[] }> {
  const settled = await Promise.allSettled(Array.from({ length: n }, (_, index) => work(index)))
  return {
    won: settled.flatMap((one) => (one.status === 'fulfilled' ? [one.value] : [])),
    codes: settled.flatMap((one) =>
      one.status === 'rejected' ? [one.reason instanceof AppError ? one.reason.code : String(one.reason)] : [],
    ),
  }
}

describe('the first sign-up link', () => {
  const input = { workspaceName: 'Engines', name: 'Ada', email: 'first@example.com', password: PASSWORD }
  const linkInFile = () => readFileSync(path.join(id.dataDir, 'signup-link'), 'utf8').trim().split('#')[1] ?? ''

  it('is in a file that only its owner reads, and in the database only as a hash', async () => {
    const file = await id.signUp.prepareFirstLink()
    expect(file).toBe(path.join(id.dataDir, 'signup-link'))
    expect(statSync(file ?? '').mode & 0o777).toBe(0o600)
    expect(readFileSync(file ?? '', 'utf8')).toMatch(/^http:\/\/localhost:3000\/sign-up#pcf_[A-Za-z0-9_-]{43}\n$/)
    const [row] = await db.adminQuery('app', 'SELECT secret_hash, setup_link::text AS whole FROM setup_link')
    expect(row?.['secret_hash']).toEqual(hashSecret(linkInFile()))
    expect(row?.['whole']).not.toContain(linkInFile().slice(4, 16))
  })

  it('stops working when the next boot makes another', async () => {
    const before = linkInFile()
    await id.signUp.prepareFirstLink()
    expect(linkInFile()).not.toBe(before)
    expect(await codeOf(id.signUp.useFirstLink(before, input, newBrowser()))).toBe('auth.link_invalid')
  })

  it('costs a guesser no password computation', async () => {
    id.computed.length = 0
    const guess = `pcf_${'A'.repeat(43)}`
    expect(await codeOf(id.signUp.useFirstLink(guess, input, newBrowser()))).toBe('auth.link_invalid')
    expect(id.computed).toEqual([])
  })

  it('refuses a password that is the address, the workspace or a common one, and stays usable', async () => {
    const secret = linkInFile()
    for (const password of ['first@example.com', 'Engines engines', '1234567890', 'short'])
      expect(await codeOf(id.signUp.useFirstLink(secret, { ...input, password }, newBrowser()))).toBe('request.invalid')
    expect(await id.signUp.inspectFirstLink(secret, '192.0.2.1')).toEqual({ purpose: 'setup' })
  })

  it('makes one owner and one workspace of twenty posts at once', async () => {
    const secret = linkInFile()
    const browser = newBrowser()
    const { won, codes } = await race(20, (index) =>
      id.signUp.useFirstLink(secret, { ...input, email: `first${index}@example.com` }, browser),
    )
    expect(won).toHaveLength(1)
    expect(codes).toEqual(Array.from({ length: 19 }, () => 'auth.link_invalid'))
    const [counts] = await db.adminQuery(
      'app',
      `SELECT (SELECT count(*)::int FROM person) AS people, (SELECT count(*)::int FROM tenant) AS tenants,
              (SELECT count(*)::int FROM membership WHERE role = 'owner') AS owners, (SELECT count(*)::int FROM web_session) AS sessions`,
    )
    expect(counts).toEqual({ people: 1, tenants: 1, owners: 1, sessions: 1 })
    const secretOfSession = await id.activate(won[0]!, browser)
    expect(await id.authenticator.member(asCookie(secretOfSession))).toMatchObject({ kind: 'person', role: 'owner' })
    expect(existsSync(path.join(id.dataDir, 'signup-link'))).toBe(false)
  })

  it('is not made again once somebody exists', async () => {
    expect(await id.signUp.prepareFirstLink()).toBeUndefined()
    expect(existsSync(path.join(id.dataDir, 'signup-link'))).toBe(false)
  })
})

const asCookie = (secret: string, network = '192.0.2.9') => ({
  cookie: `next-auth.session-token=${secret}`,
  authorization: undefined,
  network,
  address: network,
})

describe('signing in by password', () => {
  beforeAll(() => id.person('ada@example.com'))

  it('ends in a session that is none before its ticket is redeemed', async () => {
    const browser = newBrowser()
    const ticket = await id.signIn.withPassword('Ada@Example.com ', PASSWORD, browser)
    const secret = ticket.secret.reveal()
    expect(await id.sessions.lookup(secret)).toBeUndefined()
    expect(await id.reader.find(secret)).toBeUndefined()
    await id.activate(ticket, browser)
    expect(await id.sessions.lookup(secret)).toMatchObject({ personId: ticket.personId })
    expect(await id.reader.find(secret)).toMatchObject({ personId: ticket.personId })
  })

  it('answers and works alike for an unknown address, a wrong password, no password and a disabled person', async () => {
    const noPassword = await id.people.create({ email: 'link-only@example.com', name: 'L' })
    const disabled = await id.person('disabled@example.com')
    await db.adminQuery('app', 'UPDATE person SET disabled_at = now() WHERE id = $1', [disabled.personId])
    const answers = new Set<string>()
    for (const [email, password] of [
      ['nobody@example.com', PASSWORD],
      ['ada@example.com', 'a wrong password'],
      [noPassword.email, PASSWORD],
      ['disabled@example.com', PASSWORD],
      ['not an address', PASSWORD],
    ] as const) {
      id.computed.length = 0
      const error = await id.signIn.withPassword(email, password, newBrowser()).catch((caught: unknown) => caught)
      const { code, message, field, retryAfterSeconds } = error as AppError
      answers.add(JSON.stringify({ code, message, field, retryAfterSeconds }))
      expect(id.computed, email).toEqual(['verify'])
    }
    expect(answers.size).toBe(1)
  })

  it('hashes again what was hashed with weaker parameters, once, and both passwords check out', async () => {
    const { personId } = await id.person('old-hash@example.com')
    const { hash } = await import('@node-rs/argon2')
    const weak = await hash(PASSWORD, { memoryCost: 19_456, timeCost: 2 })
    await db.adminQuery('app', 'UPDATE person_password SET hash = $1 WHERE person_id = $2', [weak, personId])
    await id.signIn.withPassword('old-hash@example.com', PASSWORD, newBrowser())
    const [row] = await db.adminQuery('app', 'SELECT hash FROM person_password WHERE person_id = $1', [personId])
    expect(row?.['hash']).toMatch(/^\$argon2id\$v=19\$m=32768,t=3,p=1\$/)
    id.computed.length = 0
    await id.signIn.withPassword('old-hash@example.com', PASSWORD, newBrowser())
    expect(id.computed).toEqual(['verify'])
  })

  it('refuses a sign-in whose password was changed while it was being checked', async () => {
    const { personId } = await id.person('racer@example.com')
    const signIn = createSignIn({
      ...id.signInDeps,
      passwords: {
        ...id.passwords,
        verify: async (stored, password) => {
          const check = await id.passwords.verify(stored, password)
          expect(check.matches).toBe(true)
          await db.adminQuery('app', 'UPDATE person_password SET hash = $1 WHERE person_id = $2', [
            await id.passwords.hash('another password'),
            personId,
          ])
          return check
        },
      },
    })
    const pending = signIn.withPassword('racer@example.com', PASSWORD, newBrowser())
    expect(await codeOf(pending)).toBe('auth.unauthenticated')
  })

  it('keeps at most fifty sessions of one person', async () => {
    const { personId } = await id.person('many@example.com')
    for (let index = 0; index < 53; index += 1)
      await db.app.transaction((tx) => id.sessions.start(tx, { personId, method: 'password', ...newBrowser() }))
    const [row] = await db.adminQuery(
      'app',
      "SELECT count(*)::int AS n FROM web_session WHERE person_id = $1 AND status <> 'ended'",
      [personId],
    )
    expect(row).toEqual({ n: 50 })
  })
})

describe('a ticket', () => {
  beforeAll(() => id.person('ticket@example.com'))
  const fresh = async (browser = newBrowser()) => ({
    browser,
    ticket: await id.signIn.withPassword('ticket@example.com', PASSWORD, browser),
  })

  it('is redeemed once of twenty at the same time', async () => {
    const { browser, ticket } = await fresh()
    const { won } = await race(20, () => id.reader.redeem(ticket.secret.reveal(), browser.browser))
    expect(won.filter((personId) => personId !== undefined)).toEqual([ticket.personId])
  })

  it('is worth nothing in another browser, nor in one that sends no name', async () => {
    const { ticket } = await fresh()
    expect(await id.reader.redeem(ticket.secret.reveal(), newBrowser().browser)).toBeUndefined()
    expect(await id.reader.redeem(ticket.secret.reveal(), undefined)).toBeUndefined()
    expect(await id.reader.redeem(ticket.secret.reveal(), '')).toBeUndefined()
  })

  it('is worth nothing after a minute', async () => {
    const { browser, ticket } = await fresh()
    await db.adminQuery('app', "UPDATE web_session SET created_at = now() - interval '61 seconds' WHERE id = $1", [
      ticket.sessionId,
    ])
    expect(await id.reader.redeem(ticket.secret.reveal(), browser.browser)).toBeUndefined()
  })
})

describe('a session', () => {
  let secret: string
  let sessionId: string
  beforeEach(async () => {
    if ((await id.people.findByEmail('session@example.com')) === undefined) await id.person('session@example.com')
    const browser = newBrowser()
    const ticket = await id.signIn.withPassword('session@example.com', PASSWORD, browser)
    sessionId = ticket.sessionId
    secret = await id.activate(ticket, browser)
  })

  it('is over at the very next look-up of gateway and web when its row ends, is deleted, or its person is disabled', async () => {
    for (const [sql, undo] of [
      [
        "UPDATE web_session SET status = 'ended' WHERE id = $1",
        "UPDATE web_session SET status = 'active' WHERE id = $1",
      ],
      [
        'UPDATE person SET disabled_at = now() WHERE id = (SELECT person_id FROM web_session WHERE id = $1)',
        'UPDATE person SET disabled_at = NULL WHERE id = (SELECT person_id FROM web_session WHERE id = $1)',
      ],
      ['DELETE FROM web_session WHERE id = $1', 'SELECT $1'],
    ] as const) {
      expect(await id.authenticator.member(asCookie(secret)), sql).toBeDefined()
      await db.adminQuery('app', sql, [sessionId])
      expect(await id.authenticator.member(asCookie(secret)), sql).toBeUndefined()
      expect(await id.reader.find(secret), sql).toBeUndefined()
      await db.adminQuery('app', undo, [sessionId])
    }
  })

  it('is over when idle for seven days, and after thirty days however busy', async () => {
    for (const column of ['idle_expires_at', 'expires_at']) {
      await db.adminQuery('app', `UPDATE web_session SET ${column} = now() WHERE id = $1`, [sessionId])
      expect(await id.sessions.lookup(secret), column).toBeUndefined()
      expect(await id.reader.find(secret), column).toBeUndefined()
      await db.adminQuery('app', `UPDATE web_session SET ${column} = now() + interval '1 day' WHERE id = $1`, [
        sessionId,
      ])
    }
    const [row] = await db.adminQuery(
      'app',
      `SELECT extract(day FROM (SELECT idle_expires_at FROM web_session WHERE id <> $1 AND status = 'active' LIMIT 1) - now())::int AS idle`,
      [sessionId],
    )
    expect([6, 7]).toContain(row?.['idle'])
  })

  it('prolongs its idle limit with use, once a minute, and never beyond its absolute limit', async () => {
    await db.adminQuery(
      'app',
      `UPDATE web_session SET last_used_at = now() - interval '2 minutes', idle_expires_at = now() + interval '1 hour',
              expires_at = now() + interval '2 days' WHERE id = $1`,
      [sessionId],
    )
    await id.sessions.lookup(secret)
    const [row] = await db.adminQuery(
      'app',
      'SELECT idle_expires_at = expires_at AS capped, last_used_at FROM web_session WHERE id = $1',
      [sessionId],
    )
    expect(row?.['capped']).toBe(true)
    await id.sessions.lookup(secret)
    const [again] = await db.adminQuery('app', 'SELECT last_used_at FROM web_session WHERE id = $1', [sessionId])
    expect(again?.['last_used_at']).toEqual(row?.['last_used_at'])
  })

  it('is not taken from a cookie sent twice, nor beside a bearer token', async () => {
    const twice = { ...asCookie(secret), cookie: `next-auth.session-token=${secret}; next-auth.session-token=x` }
    expect(await id.authenticator.member(twice)).toBeUndefined()
    expect(await id.authenticator.member({ ...asCookie(secret), authorization: 'Bearer pck_nothing' })).toBeUndefined()
  })

  it('ends with signing out', async () => {
    const session = await id.sessions.lookup(secret)
    await id.signIn.signOut(session!, '192.0.2.1')
    expect(await id.sessions.lookup(secret)).toBeUndefined()
    expect(id.recorded.some((event) => event.action === 'person.signed_out' && event.targetId === sessionId)).toBe(true)
  })
})

describe('a magic link', () => {
  beforeAll(() => id.person('magic@example.com'))

  it('is asked for alike by known and unknown: same rows, no look-up, no computation', async () => {
    const rows = async (email: string) => {
      id.computed.length = 0
      const before = id.announced.length
      await id.signIn.askForMagicLink(email, newBrowser())
      const tokens = await db.adminQuery(
        'app',
        "SELECT purpose, person_id, secret_hash, used_at FROM email_token WHERE email = $1 AND purpose = 'magic_link' AND used_at IS NULL",
        [email],
      )
      const mails = await db.adminQuery(
        'app',
        "SELECT kind, person_id, data, status FROM mail WHERE email = $1 AND kind = 'magic_link'",
        [email],
      )
      return { tokens, mails, announced: id.announced.length - before, computed: [...id.computed] }
    }
    const known = await rows('magic@example.com')
    expect(known.tokens).toHaveLength(1)
    expect(await rows('stranger@example.com')).toEqual(known)
  })

  it('is sent to nobody who has no account, and nothing of the stranger is kept', async () => {
    await id.deliver()
    const browser = newBrowser()
    await id.signIn.askForMagicLink('nobody-here@example.com', browser)
    expect(await id.deliver()).toEqual([])
    const [left] = await db.adminQuery(
      'app',
      "SELECT (SELECT count(*)::int FROM mail WHERE email = 'nobody-here@example.com') + (SELECT count(*)::int FROM email_token WHERE email = 'nobody-here@example.com') AS n",
    )
    expect(left).toEqual({ n: 0 })
  })

  it('goes to the address of the account, not to the spelling that was typed', async () => {
    await id.signIn.askForMagicLink('MAGIC@EXAMPLE.COM', newBrowser())
    expect((await id.deliver()).map((mail) => mail.to)).toEqual(['magic@example.com'])
  })

  it('signs in once of twenty posts, in the browser that asked', async () => {
    const browser = newBrowser()
    await id.signIn.askForMagicLink('magic@example.com', browser)
    const secret = secretOf((await id.deliver())[0])
    expect(await codeOf(id.signIn.withMagicLink(secret, newBrowser()))).toBe('auth.link_invalid')
    // What a scanner's GET of the page and the page's own question do: nothing is spent.
    expect(await id.signUp.inspectLink(secret, browser.network)).toEqual({
      purpose: 'magic_link',
      email: 'magic@example.com',
    })
    const { won, codes } = await race(20, () => id.signIn.withMagicLink(secret, browser))
    expect(won).toHaveLength(1)
    expect(new Set(codes)).toEqual(new Set(['auth.link_invalid']))
    await id.activate(won[0]!, browser)
  })

  it('is over after fifteen minutes', async () => {
    const browser = newBrowser()
    await id.signIn.askForMagicLink('magic@example.com', browser)
    const secret = secretOf((await id.deliver())[0])
    const [row] = await db.adminQuery(
      'app',
      'SELECT extract(epoch FROM expires_at - created_at)::int AS seconds FROM email_token WHERE secret_hash = $1',
      [hashSecret(secret)],
    )
    expect(row).toEqual({ seconds: 900 })
    await db.adminQuery('app', 'UPDATE email_token SET expires_at = now() WHERE secret_hash = $1', [hashSecret(secret)])
    expect(await codeOf(id.signIn.withMagicLink(secret, browser))).toBe('auth.link_invalid')
  })
})

describe('signing up oneself', () => {
  const input = { workspaceName: '<b>Acme</b>', name: 'Grace', password: PASSWORD }

  it('is refused where the operator did not allow it', async () => {
    const closed = createTestIdentity(db, { selfServiceSignUp: false })
    expect(await codeOf(closed.signUp.askToSignUp('x@example.com', newBrowser()))).toBe('auth.forbidden')
    await closed.close()
  })

  it('makes person and workspace of the address the link went to, once of twenty', async () => {
    const browser = newBrowser()
    await id.signUp.askToSignUp('grace@example.com', browser)
    const secret = secretOf((await id.deliver())[0])
    const { won } = await race(20, () => id.signUp.useSignUpLink(secret, input, browser))
    expect(won).toHaveLength(1)
    expect(await id.people.findByEmail('grace@example.com')).toMatchObject({ isEmailVerified: true, name: 'Grace' })
  })

  it('tells somebody who has an account by mail alone', async () => {
    await id.signUp.askToSignUp('grace@example.com', newBrowser())
    const [mail] = await id.deliver()
    expect(mail?.subject).toContain('have an account')
    expect(mail?.text).not.toContain('#pcu_')
  })
})
