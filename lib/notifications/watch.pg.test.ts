import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'

import { createAppDb } from '@/lib/db/app-db'
import { newId, type PersonId } from '@/lib/ids'
import { createLog } from '@/lib/log'

import { createDigests } from './digest'
import { createInbox } from './inbox'
import { createNotifyWorld, PUBLIC_URL, type NotifyWorld } from './test-kit'
import { createConnectionWatch } from './watch'

let world: NotifyWorld
let owner: PersonId
beforeAll(async () => {
  world = await createNotifyWorld()
})
beforeEach(async () => {
  await world.reset()
  owner = await world.newPerson({ name: 'Ada' })
})
afterAll(() => world.close())

const kinds = async (personId?: string) => (await world.notifications(personId)).map((row) => row['kind'])
const allDue = () =>
  world.db.adminQuery('app', 'UPDATE notification SET mail_due_at = now() WHERE mail_due_at IS NOT NULL')

describe('a connection in trouble', () => {
  it('is told to its owner once, however often it is looked at', async () => {
    const [id] = await world.newConnections(1, owner, { label: 'ada@github' })
    await world.set([id!], 'reauthorization_required', { reason: 'invalid_grant' })
    for (let pass = 0; pass < 4; pass += 1) await world.pass()
    expect(await world.notifications()).toMatchObject([
      { person_id: owner, kind: 'reauthorization_required', connection_id: id, label: 'ada@github', is_owner: true },
    ])
    expect(world.sent).toHaveLength(1)
    expect(world.sent[0]?.mail.subject).toBe('The GitHub account “ada@github” has to be connected again')
    expect(world.sent[0]?.mail.text).toContain(`${PUBLIC_URL}/connections/${id!}`)
  })

  it('that is degraded for a moment tells nobody', async () => {
    const [blip, lasting] = await world.newConnections(2, owner)
    await world.set([blip!], 'degraded', { secondsAgo: 100 })
    await world.set([lasting!], 'degraded', { secondsAgo: 200 })
    await world.pass()
    expect(await world.notifications()).toMatchObject([{ connection_id: lasting, kind: 'degraded' }])
    await world.set([blip!], 'active')
    await world.pass()
    expect(await kinds()).toEqual(['degraded'])
    expect(await world.db.adminQuery('app', 'SELECT 1 FROM connection_episode WHERE ended_at IS NULL')).toHaveLength(1)
  })

  it('that keeps failing counts from when it began, not from its last try', async () => {
    const [id] = await world.newConnections(1, owner)
    await world.set([id!], 'degraded', { secondsAgo: 170 })
    await world.pass()
    await world.db.adminQuery('app', "UPDATE connection_episode SET began_at = began_at - interval '1 minute'")
    await world.set([id!], 'degraded', { secondsAgo: 1 })
    await world.pass()
    expect(await kinds()).toEqual(['degraded'])
  })

  it('that gets worse is told once more, and from one loss to the next not again', async () => {
    const [id] = await world.newConnections(1, owner)
    await world.set([id!], 'degraded', { secondsAgo: 600 })
    await world.pass()
    await world.set([id!], 'reauthorization_required')
    await world.pass()
    await world.set([id!], 'revoked')
    await world.pass()
    expect(await kinds()).toEqual(['degraded', 'reauthorization_required'])
  })

  it('that works again is told in the product alone, and only where trouble was', async () => {
    const [told, silent] = await world.newConnections(2, owner)
    await world.set([told!], 'degraded', { secondsAgo: 600 })
    await world.set([silent!], 'degraded', { secondsAgo: 1 })
    await world.pass()
    const mails = world.sent.length
    await world.set([told!, silent!], 'active')
    await world.pass()
    await world.pass()
    expect(await world.notifications()).toMatchObject([
      { kind: 'degraded', connection_id: told },
      { kind: 'recovered', connection_id: told, mail_due_at: null },
    ])
    expect(world.sent).toHaveLength(mails)
  })

  it('is told again when it breaks again, also when nobody looked in between', async () => {
    const [id] = await world.newConnections(1, owner)
    await world.set([id!], 'reauthorization_required', { secondsAgo: 60 })
    await world.pass()
    await world.db.adminQuery('app', 'UPDATE connection SET credential_generation = 2 WHERE id = $1', [id])
    await world.set([id!], 'reauthorization_required')
    await world.pass()
    await world.pass()
    expect(await kinds()).toEqual(['reauthorization_required', 'reauthorization_required'])
  })

  it('that was disconnected or deleted is let be', async () => {
    const [gone, ended] = await world.newConnections(2, owner)
    await world.set([gone!, ended!], 'revoked')
    await world.watch({ digestSeconds: 300 }).scan()
    await world.set([ended!], 'disconnected')
    await world.db.adminQuery('app', "UPDATE connection SET access = 'deleted' WHERE id = $1", [gone])
    await world.pass()
    await allDue()
    await world.pass()
    expect(await kinds()).toEqual(['revoked', 'revoked'])
    expect(world.sent).toEqual([]) // it was over before the mail left
  })

  it('reaches owners and admins where its owner has left, and never who left', async () => {
    const gone = await world.newPerson({ role: null })
    const [admin, boss] = [await world.newPerson({ role: 'admin' }), await world.newPerson({ role: 'owner' })]
    await world.newPerson({ role: 'auditor' })
    const disabled = await world.newPerson({ role: 'admin' })
    await world.db.adminQuery('app', 'UPDATE person SET disabled_at = now() WHERE id = $1', [disabled])
    const ids = [...(await world.newConnections(1, gone)), ...(await world.newConnections(1, null))]
    await world.set(ids, 'revoked')
    await world.pass()
    const rows = await world.notifications()
    expect(new Set(rows.map((row) => row['person_id']))).toEqual(new Set([admin, boss]))
    expect(rows).toHaveLength(4)
    expect(rows.every((row) => row['is_owner'] === false)).toBe(true)
  })

  it('is not told of to who leaves before the mail is written, nor to who leaves before it is sent', async () => {
    const other = await world.newPerson()
    const ids = [...(await world.newConnections(1, owner)), ...(await world.newConnections(1, other))]
    await world.set(ids, 'revoked')
    await world.watch().scan()
    await world.db.adminQuery('app', 'DELETE FROM membership WHERE person_id = $1', [owner])
    const mails = await world.digests.queueDue()
    expect(mails).toHaveLength(1)
    await world.db.adminQuery('app', 'DELETE FROM membership WHERE person_id = $1', [other])
    expect(await world.mailer.send(mails[0]!)).toBe('dropped')
    expect(world.sent).toEqual([])
  })

  it('of a disabled workspace is told to nobody', async () => {
    const ids = await world.newConnections(1, owner)
    await world.set(ids, 'revoked')
    await world.db.adminQuery('app', 'UPDATE tenant SET disabled_at = now()')
    await world.pass()
    expect(await world.notifications()).toEqual([])
  })
})

describe('a thousand connections that fail at once', () => {
  it('are one mail for each owner, with their number and the first of them', async () => {
    const second = await world.newPerson()
    const mine = await world.newConnections(995, owner)
    const theirs = await world.newConnections(5, second)
    await world.set([...mine, ...theirs], 'reauthorization_required')
    await world.pass()
    await world.pass()
    expect(await world.notifications(owner)).toHaveLength(995)
    expect(world.sent.map(({ mail }) => mail.subject).sort()).toEqual([
      '5 connections need attention in Acme',
      '995 connections need attention in Acme',
    ])
    const big = world.sent.find(({ mail }) => mail.subject.startsWith('995'))?.mail
    expect(big?.text.match(/has to be connected again/g)).toHaveLength(20)
    expect(big?.text).toContain('975 more')
    expect(big?.text.length).toBeLessThan(20_000)
  })

  it('that then recover and fail again and again are at most four mails an hour', async () => {
    const ids = await world.newConnections(50, owner)
    for (let round = 0; round < 8; round += 1) {
      await world.set(ids, 'revoked')
      await world.pass()
      await world.set(ids, 'active')
      await world.pass()
    }
    await world.set(ids, 'revoked')
    await world.pass()
    expect(world.sent).toHaveLength(4)
    // What waits is told when an hour has passed, once.
    await world.db.adminQuery('app', "UPDATE mail SET created_at = created_at - interval '61 minutes'")
    await allDue()
    await world.pass()
    await world.pass()
    expect(world.sent).toHaveLength(5)
    expect(world.sent[4]?.mail.subject).toBe('50 connections need attention in Acme')
  })

  it('wait for each other: what joins within the window is in the same mail', async () => {
    const [first, second] = await world.newConnections(2, owner)
    const watch = world.watch({ digestSeconds: 300 })
    await world.set([first!], 'revoked')
    await watch.scan()
    expect(await world.digests.queueDue()).toEqual([])
    await world.set([second!], 'revoked')
    await watch.scan()
    await world.db.adminQuery('app', 'UPDATE notification SET mail_due_at = now() WHERE connection_id = $1', [first])
    const mails = await world.digests.queueDue()
    expect(mails).toHaveLength(1)
    await world.mailer.send(mails[0]!)
    expect(world.sent[0]?.mail.subject).toBe('2 connections need attention in Acme')
    expect(await world.digests.queueDue()).toEqual([])
  })
})

describe('several workers', () => {
  it('that look at once tell each thing once', async () => {
    const ids = await world.newConnections(300, owner)
    await world.set(ids, 'revoked')
    // Each with a pool of its own, as processes have.
    const pools = Array.from({ length: 4 }, () => createAppDb(world.db.urls.app, { max: 4 }))
    const log = createLog('test', 'silent')
    try {
      const scans = pools.flatMap((appDb) => [0, 1].map(() => createConnectionWatch({ appDb, log, digestSeconds: 0 })))
      const reports = await Promise.all(scans.map((watch) => watch.scan()))
      expect(reports.reduce((sum, { told }) => sum + told, 0)).toBe(300)
      const mails = await Promise.all(pools.flatMap((appDb) => [0, 1].map(() => createDigests({ appDb }).queueDue())))
      expect(mails.flat()).toHaveLength(1)
    } finally {
      await Promise.all(pools.map((pool) => pool.close()))
    }
    expect(await world.notifications()).toHaveLength(300)
  })

  it('cannot tell twice even without the lock between them: the keys of the table hold', async () => {
    const ids = await world.newConnections(1, owner)
    await world.set(ids, 'revoked')
    await world.pass()
    await expect(
      world.db.adminQuery(
        'app',
        `INSERT INTO notification (tenant_id, id, person_id, kind, step, episode_id, label)
         SELECT tenant_id, $1, person_id, kind, step, episode_id, label FROM notification`,
        [newId('notification')],
      ),
    ).rejects.toMatchObject({ code: '23505', constraint: 'notification_once' })
  })

  it('of which one dies between telling and mailing, or between mailing and sending, lose nothing', async () => {
    const ids = await world.newConnections(3, owner)
    await world.set(ids, 'revoked')
    await world.watch().scan() // dies here
    const mails = await world.digests.queueDue() // another dies here: the job is never announced
    expect(await world.digests.queueDue()).toEqual([])
    expect(await world.mailer.due(10)).toEqual(mails)
    // And one that died while it sent: the row is claimed, nobody knows.
    await world.db.adminQuery('app', "UPDATE mail SET attempts = 1, next_at = now() - interval '1 second'")
    for (const mailId of await world.mailer.due(10)) await world.mailer.send(mailId)
    expect(world.sent).toHaveLength(1)
  })
})

describe('an inbox', () => {
  const principalOf = (personId: PersonId, tenantId = world.tenantId) =>
    ({
      kind: 'person',
      tenantId,
      personId,
      role: 'owner',
      webSessionId: newId('webSession'),
      authenticatedAt: new Date(),
      network: '192.0.2.1',
    }) as const

  it('shows and marks one’s own, whatever one’s role, and nothing of another workspace', async () => {
    const inbox = createInbox({ appDb: world.db.app })
    const colleague = await world.newPerson({ role: 'owner' })
    const elsewhere = await world.newTenant('Other')
    await world.db.app.tenant(elsewhere, (tx) =>
      tx.membership.create({ data: { tenantId: elsewhere, personId: owner, role: 'owner' } }),
    )
    const there = await world.newConnections(1, owner, { tenantId: elsewhere })
    const here = await world.newConnections(3, owner)
    await world.set([...here, ...there], 'revoked')
    await world.pass()

    const mine = await inbox.list(principalOf(owner), { limit: 2 })
    expect(mine).toMatchObject({ hasMore: true, items: [{ readAt: null }, { readAt: null }] })
    const rest = await inbox.list(principalOf(owner), { limit: 2, before: mine.items[1]?.id })
    expect(rest).toMatchObject({
      hasMore: false,
      items: [{ path: expect.stringMatching(/^\/connections\/con_/) as string }],
    })
    expect(await inbox.unread(principalOf(owner))).toBe(3)
    expect(await inbox.unread(principalOf(owner, elsewhere))).toBe(1)
    expect(await inbox.list(principalOf(colleague), { limit: 50 })).toEqual({ items: [], hasMore: false })

    const [one] = mine.items
    await expect(inbox.markRead(principalOf(colleague), { notificationId: one!.id })).rejects.toMatchObject({
      code: 'resource.not_found',
    })
    await expect(inbox.markRead(principalOf(owner, elsewhere), { upTo: one!.id })).rejects.toMatchObject({
      code: 'resource.not_found',
    })
    expect(await inbox.markRead(principalOf(owner), { notificationId: one!.id })).toBe(2)
    expect(await inbox.markRead(principalOf(colleague), {})).toBe(0)
    expect(await inbox.unread(principalOf(owner))).toBe(2)
    expect(await inbox.markRead(principalOf(owner), { upTo: mine.items[1]!.id })).toBe(0)
    expect(await inbox.unread(principalOf(owner, elsewhere))).toBe(1)
  })

  it('is shut to the pages of another person, by the database itself', async () => {
    const colleague = await world.newPerson({ role: 'owner' })
    await world.set(await world.newConnections(1, owner), 'revoked')
    await world.pass()
    const web = createAppDb(world.db.urls.web, { role: 'portcullis_web' })
    const seen = (personId: PersonId) =>
      web.scoped({ tenantId: world.tenantId, personId }, (tx) => tx.notification.count())
    try {
      expect(await seen(owner)).toBe(1)
      expect(await seen(colleague)).toBe(0)
      expect(await web.tenant(world.tenantId, (tx) => tx.notification.count())).toBe(0)
    } finally {
      await web.close()
    }
  })
})

describe('a label that a provider or a person chose', () => {
  it('adds no header to the mail, no line to its text and no markup to its page', async () => {
    const hostile = 'ada\r\nBcc: all@example.com\r\n\r\n<script>alert(1)</script>\u202e"><a href="//evil.example">'
    const ids = await world.newConnections(1, owner, { label: hostile })
    await world.set(ids, 'revoked', { reason: 'x\r\nBcc: b@example.com' })
    await world.pass()
    const mail = world.sent[0]!.mail
    expect(mail.subject).not.toMatch(/[\r\n\u202e]/)
    expect(mail.text).not.toMatch(/^Bcc:/m)
    expect(mail.text).not.toContain('b@example.com')
    expect(mail.html).not.toMatch(/<script|<a href="\/\/evil/)
  })
})
