/**
 * A workspace with people and accounts that can be put into trouble, over real databases, for tests.
 *
 * @module
 */
import { newId, type ConnectionId, type PersonId, type TenantId } from '@/lib/ids'
import { createLog } from '@/lib/log'
import { createTestDatabases, type TestDatabases } from '@/lib/testing/database'

import { createDigests } from './digest'
import { createMailer } from './mail'
import type { RenderedMail } from './templates'
import type { DeliveryResult, MailTransport } from './transport'
import { createConnectionWatch, type WatchOptions } from './watch'

export const PUBLIC_URL = 'https://portcullis.example'

export interface NotifyWorld {
  readonly db: TestDatabases
  readonly tenantId: TenantId
  readonly sent: { readonly id: string; readonly to: string; readonly mail: RenderedMail }[]
  deliverAs(result: DeliveryResult): void
  newTenant(name?: string): Promise<TenantId>
  newPerson(options?: {
    readonly role?: string | null
    readonly tenantId?: TenantId
    readonly name?: string
  }): Promise<PersonId>
  newConnections(
    count: number,
    owner: PersonId | null,
    fields?: { readonly tenantId?: TenantId; readonly label?: string },
  ): Promise<ConnectionId[]>
  /** Puts connections into a state, as it was that long ago. */
  set(
    ids: readonly string[],
    state: string,
    options?: { readonly reason?: string; readonly secondsAgo?: number },
  ): Promise<void>
  watch(options?: Partial<WatchOptions>): ReturnType<typeof createConnectionWatch>
  /** Looks at the connections, gathers mails and sends them, all as if their time had come. */
  pass(): Promise<void>
  notifications(personId?: string): Promise<Record<string, unknown>[]>
  /** As it was made: the workspace, and nobody in it. */
  reset(): Promise<void>
  readonly digests: ReturnType<typeof createDigests>
  readonly mailer: ReturnType<typeof createMailer>
  close(): Promise<void>
}

export async function createNotifyWorld(): Promise<NotifyWorld> {
  const db = await createTestDatabases({ max: 16 })
  const log = createLog('test', 'silent')
  const sent: NotifyWorld['sent'] = []
  let result: DeliveryResult = { kind: 'delivered' }
  const transport: MailTransport = {
    deliver: (id, to, mail) => {
      if (result.kind === 'delivered') sent.push({ id, to, mail })
      return Promise.resolve(result)
    },
    close: () => undefined,
  }
  const mailer = createMailer({ appDb: db.app, transport, publicUrl: PUBLIC_URL, log })
  const digests = createDigests({ appDb: db.app })
  const newTenant: NotifyWorld['newTenant'] = async (name = 'Acme') => {
    const id = newId('tenant')
    await db.app.tenant(id, (tx) => tx.tenant.create({ data: { id, name, slug: id.replace('_', '-') } }))
    return id
  }
  const tenantId = await newTenant()
  const watch: NotifyWorld['watch'] = (options = {}) =>
    createConnectionWatch({ appDb: db.app, log, digestSeconds: 0, ...options })

  return {
    db,
    tenantId,
    sent,
    mailer,
    digests,
    watch,
    deliverAs: (wanted) => {
      result = wanted
    },
    newTenant,
    async newPerson({ role = 'member', tenantId: where = tenantId, name = '' } = {}) {
      const id = newId('person')
      const email = `${id}@example.test`
      await db.app.global.person.create({ data: { id, email, emailCanonical: email, name } })
      if (role !== null)
        await db.app.tenant(where, (tx) => tx.membership.create({ data: { tenantId: where, personId: id, role } }))
      return id
    },
    async newConnections(count, owner, { tenantId: where = tenantId, label } = {}) {
      const ids = Array.from({ length: count }, () => newId('connection'))
      await db.app.tenant(where, (tx) =>
        tx.connection.createMany({
          data: ids.map((id, index) => ({
            tenantId: where,
            id,
            provider: 'github',
            providerApp: 'app',
            subject: id,
            accountLabel: label ?? `account-${index}`,
            ownerPersonId: owner,
            access: 'allowed',
            state: 'active',
            stateAt: new Date(Date.now() - 86_400_000),
            credentialGeneration: 1,
          })),
        }),
      )
      return ids
    },
    async set(ids, state, { reason, secondsAgo = 0 } = {}) {
      await db.adminQuery(
        'app',
        `UPDATE connection SET state = $2, state_reason = $3, state_at = clock_timestamp() - make_interval(secs => $4) WHERE id = ANY($1)`,
        [ids, state, reason ?? null, secondsAgo],
      )
    },
    async pass() {
      await watch().scan()
      for (const mailId of await digests.queueDue()) await mailer.send(mailId)
    },
    notifications: (personId) =>
      db.adminQuery('app', 'SELECT * FROM notification WHERE $1::text IS NULL OR person_id = $1 ORDER BY id', [
        personId ?? null,
      ]),
    async reset() {
      sent.length = 0
      result = { kind: 'delivered' }
      await db.adminQuery(
        'app',
        'TRUNCATE notification, connection_episode, webhook_event, webhook_delivery, webhook, connection, mail, membership',
      )
      await db.adminQuery('app', 'UPDATE tenant SET disabled_at = NULL')
    },
    close: () => db.close(),
  }
}
