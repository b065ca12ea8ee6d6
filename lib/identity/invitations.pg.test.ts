import { afterAll, beforeAll, describe, expect, it } from 'vitest'

import type { PersonId, TenantId } from '@/lib/ids'
import type { PersonPrincipal, Role } from '@/lib/tenancy/principal'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'
import { createTestIdentity, newBrowser, PASSWORD, secretOf, type TestIdentity } from '@/lib/testing/identity'
import { codeOf as outcomeOf, personPrincipal } from '@/lib/testing/principal'

let db: TestDatabases
let id: TestIdentity
let count = 0

beforeAll(async () => {
  db = await createTestDatabases({ max: 24 })
  id = createTestIdentity(db)
})
afterAll(async () => {
  await id.close()
  await db.close()
})

const codeOf = (work: Promise<unknown>) => outcomeOf(work, 'done')
const as = (tenantId: TenantId, personId: PersonId, role: Role) =>
  personPrincipal({ tenantId, personId }, role, { network: newBrowser().network })

async function owner(): Promise<PersonPrincipal> {
  count += 1
  const made = await id.person(`inviter-${count}@example.com`)
  return as(made.tenantId, made.personId, 'owner')
}
const guest = () => `guest-${(count += 1)}@example.com`
const network = () => newBrowser().network

/** @returns the secret that the inviter sees and the one in the mail */
async function invite(principal: PersonPrincipal, email: string, role: Role = 'member') {
  const { invitation, secret } = await id.invitations.create(principal, { email, role, days: 7 })
  const mail = (await id.deliver()).findLast(({ to }) => to === email)
  return { invitation, shown: secret.reveal(), mailed: secretOf(mail), mail }
}
const rolesOf = (tenantId: TenantId) =>
  db.adminQuery(
    'app',
    'SELECT p.email, m.role FROM membership m JOIN person p ON p.id = m.person_id WHERE m.tenant_id = $1 ORDER BY p.email',
    [tenantId],
  )
async function verifiedPerson(email: string) {
  const person = await id.people.create({ email, name: 'G', password: PASSWORD })
  await db.adminQuery('app', 'UPDATE person SET email_verified_at = now() WHERE id = $1', [person.id])
  return person
}
async function sessionOf(email: string) {
  const browser = newBrowser()
  const secret = await id.activate(await id.signIn.withPassword(email, PASSWORD, browser), browser)
  return (await id.sessions.lookup(secret))!
}

describe('an invitation', () => {
  it('makes somebody new a member by the link in their mail, and their address is theirs', async () => {
    const ada = await owner()
    const email = guest()
    const { mailed, mail } = await invite(ada, email, 'admin')
    expect(mail?.subject).toContain('Analytical')
    expect(mail?.text).toContain(`${id.publicUrl}/invite#pci_`)
    expect(await id.invitations.inspect(mailed, network())).toMatchObject({
      workspace: 'Analytical',
      role: 'admin',
      email,
      inviter: 'Ada',
      isMailed: true,
      hasAccount: false,
    })
    const browser = newBrowser()
    id.recorded.length = 0
    const ticket = await id.invitations.join(mailed, { name: 'Grace', password: PASSWORD }, browser)
    const session = await id.sessions.lookup(await id.activate(ticket, browser))
    expect(session).toMatchObject({ personId: ticket.personId, tenantId: ada.tenantId })
    expect(await rolesOf(ada.tenantId)).toContainEqual({ email, role: 'admin' })
    expect(await id.people.findByEmail(email)).toMatchObject({ isEmailVerified: true, name: 'Grace' })
    expect(id.recorded.map(({ action }) => action)).toEqual(['invitation.accepted', 'member.added', 'person.signed_up'])
    expect(await codeOf(id.invitations.join(mailed, { name: 'G', password: PASSWORD }, browser))).toBe(
      'auth.link_invalid',
    )
  })

  it('is accepted once by twenty who do it at the same moment, signed in or by the mail', async () => {
    const ada = await owner()
    const email = guest()
    await verifiedPerson(email)
    const { mailed, shown } = await invite(ada, email)
    const session = await sessionOf(email)
    const codes = await Promise.all(
      Array.from({ length: 20 }, (_, n) =>
        codeOf(
          n % 3 === 0
            ? id.invitations.accept(mailed, undefined, network())
            : id.invitations.accept(n % 3 === 1 ? mailed : shown, session, network()),
        ),
      ),
    )
    expect(codes.filter((code) => code === 'done')).toHaveLength(1)
    expect(new Set(codes)).toEqual(new Set(['done', 'auth.link_invalid']))
    expect(await rolesOf(ada.tenantId)).toHaveLength(2)
  })

  it('makes one account of twenty who join at the same moment', async () => {
    const ada = await owner()
    const email = guest()
    const { mailed } = await invite(ada, email)
    const codes = await Promise.all(
      Array.from({ length: 20 }, () =>
        codeOf(id.invitations.join(mailed, { name: 'G', password: PASSWORD }, newBrowser())),
      ),
    )
    expect(codes.filter((code) => code === 'done')).toHaveLength(1)
    expect(await rolesOf(ada.tenantId)).toHaveLength(2)
  })

  it('is for its address alone: nobody else accepts it, however they came by the link', async () => {
    const ada = await owner()
    const email = guest()
    const { mailed, shown } = await invite(ada, email)
    const eve = `eve-${count}@example.com`
    await verifiedPerson(eve)
    const session = await sessionOf(eve)
    expect(await codeOf(id.invitations.accept(shown, session, network()))).toBe('auth.forbidden')
    expect(await codeOf(id.invitations.accept(mailed, session, network()))).toBe('auth.forbidden')
    // Refusing spent nothing.
    expect(await codeOf(id.invitations.inspect(mailed, network()))).toBe('done')
  })

  it('gives the inviter’s own link no account in another’s name, and no word about whether there is one', async () => {
    const ada = await owner()
    const fresh = guest()
    const known = guest()
    await id.people.create({ email: known, name: 'K', password: PASSWORD })
    const links = [await invite(ada, fresh), await invite(ada, known)]
    for (const { shown } of links) {
      expect(await id.invitations.inspect(shown, network())).toMatchObject({ isMailed: false, hasAccount: null })
      expect(await codeOf(id.invitations.join(shown, { name: 'X', password: PASSWORD }, newBrowser()))).toBe(
        'auth.link_invalid',
      )
      expect(await codeOf(id.invitations.accept(shown, undefined, network()))).toBe('auth.unauthenticated')
    }
    // An account that never proved the address is not proof of it either, until the mail is.
    const session = await sessionOf(known)
    expect(await codeOf(id.invitations.accept(links[1]!.shown, session, network()))).toBe('auth.forbidden')
    expect(await codeOf(id.invitations.accept(links[1]!.mailed, session, network()))).toBe('done')
    expect(await id.people.findByEmail(known)).toMatchObject({ isEmailVerified: true })
  })

  it('can be mailed again by whoever has the link; the mail before it then opens nothing', async () => {
    const ada = await owner()
    const email = guest()
    const { shown, mailed } = await invite(ada, email)
    await id.invitations.sendMail(shown, newBrowser())
    const again = secretOf((await id.deliver()).findLast(({ to }) => to === email))
    expect(await codeOf(id.invitations.inspect(mailed, network()))).toBe('auth.link_invalid')
    expect(await codeOf(id.invitations.inspect(again, network()))).toBe('done')
  })

  it('ends when it is withdrawn, replaced or too old, and when its workspace is closed', async () => {
    const ada = await owner()
    const email = guest()
    const first = await invite(ada, email)
    const second = await invite(ada, email)
    expect(await codeOf(id.invitations.inspect(first.mailed, network()))).toBe('auth.link_invalid')
    await id.invitations.revoke(ada, second.invitation.id)
    await id.invitations.revoke(ada, second.invitation.id)
    for (const secret of [second.shown, second.mailed])
      expect(await codeOf(id.invitations.join(secret, { name: 'G', password: PASSWORD }, newBrowser()))).toBe(
        'auth.link_invalid',
      )
    const third = await invite(ada, email)
    await db.adminQuery('app', "UPDATE invitation SET expires_at = now() - interval '1 second' WHERE id = $1", [
      third.invitation.id,
    ])
    expect(await codeOf(id.invitations.inspect(third.mailed, network()))).toBe('auth.link_invalid')
    const fourth = await invite(ada, email)
    await db.adminQuery('app', 'UPDATE tenant SET disabled_at = now() WHERE id = $1', [ada.tenantId])
    expect(await codeOf(id.invitations.inspect(fourth.mailed, network()))).toBe('auth.link_invalid')
    expect(await codeOf(id.invitations.join(fourth.mailed, { name: 'G', password: PASSWORD }, newBrowser()))).toBe(
      'auth.link_invalid',
    )
    expect((await id.invitations.list(ada)).map(({ revokedAt }) => revokedAt !== null)).toEqual([
      false,
      true,
      true,
      true,
    ])
  })

  it.each([
    ['may no longer invite', "UPDATE membership SET role = 'member' WHERE tenant_id = $1 AND person_id = $2"],
    ['may no longer give that role', "UPDATE membership SET role = 'admin' WHERE tenant_id = $1 AND person_id = $2"],
    ['has left', 'DELETE FROM membership WHERE tenant_id = $1 AND person_id = $2'],
    ['was disabled', 'UPDATE person SET disabled_at = now() WHERE id = $2 AND $1 <> $2'],
  ])('opens nothing when its inviter %s', async (_, sql) => {
    const ada = await owner()
    const { mailed } = await invite(ada, guest(), 'owner')
    await db.adminQuery('app', sql, [ada.tenantId, ada.personId])
    expect(await codeOf(id.invitations.join(mailed, { name: 'G', password: PASSWORD }, newBrowser()))).toBe(
      'auth.link_invalid',
    )
  })

  it('is never into a role above the inviter’s own, nor by somebody who may not invite', async () => {
    const ada = await owner()
    const other = await id.people.create({ email: guest(), name: 'O' })
    const make = async (role: Role, wanted: Role) => {
      await db.adminQuery('app', 'DELETE FROM membership WHERE tenant_id = $1 AND person_id = $2', [
        ada.tenantId,
        other.id,
      ])
      await db.app.tenant(ada.tenantId, (tx) =>
        tx.membership.create({ data: { tenantId: ada.tenantId, personId: other.id, role } }),
      )
      const input = { email: guest(), role: wanted, days: 1 }
      return codeOf(id.invitations.create(as(ada.tenantId, other.id, role), input))
    }
    expect(await make('admin', 'owner')).toBe('auth.forbidden')
    expect(await make('admin', 'admin')).toBe('done')
    expect(await make('member', 'auditor')).toBe('auth.forbidden')
    expect(await make('auditor', 'auditor')).toBe('auth.forbidden')
    // Demoted a moment ago, and still an owner by the session's word.
    expect(
      await codeOf(
        id.invitations.create(as(ada.tenantId, other.id, 'owner'), { email: guest(), role: 'owner', days: 1 }),
      ),
    ).toBe('auth.forbidden')
  })

  it('keeps neither secret: what is stored opens nothing', async () => {
    const ada = await owner()
    const { shown, mailed, invitation } = await invite(ada, guest())
    const [row] = await db.adminQuery('app', 'SELECT i::text AS row FROM invitation i WHERE id = $1', [invitation.id])
    const mails = await db.adminQuery('app', "SELECT data::text AS row FROM mail WHERE kind = 'invitation'")
    for (const secret of [shown, mailed])
      for (const stored of [row, ...mails]) {
        expect(stored?.['row']).not.toContain(secret)
        expect(stored?.['row']).not.toContain(secret.slice(4))
      }
  })

  it('is mailed to one address only so often, however often it is made anew', async () => {
    const ada = await owner()
    const email = guest()
    const make = () => codeOf(id.invitations.create(ada, { email, role: 'member', days: 1 }))
    const codes: string[] = []
    for (let n = 0; n < 10; n += 1) codes.push(await make())
    expect(codes.filter((code) => code === 'done')).toHaveLength(8)
    expect(codes.at(-1)).toBe('request.rate_limited')
    // The owner of the address gets their own links all the same.
    await verifiedPerson(email)
    expect(await codeOf(id.signIn.askForMagicLink(email, newBrowser()))).toBe('done')
  })

  it('of a member, or to nonsense, is refused', async () => {
    const ada = await owner()
    const make = (email: string, days = 1) => codeOf(id.invitations.create(ada, { email, role: 'member', days }))
    const [me] = await rolesOf(ada.tenantId)
    expect(await make(String(me?.['email']).toUpperCase())).toBe('resource.conflict')
    expect(await make('nobody')).toBe('request.invalid')
    expect(await make(guest(), 31)).toBe('request.invalid')
    for (const secret of ['', 'pci_', `pci_${'a'.repeat(43)}`, `pcm_${'a'.repeat(43)}`])
      expect(await codeOf(id.invitations.inspect(secret, network()))).toBe('auth.link_invalid')
  })
})
