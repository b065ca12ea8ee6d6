/**
 * What is stored about one person, for that person: their account, where they are signed in, and in each workspace what is
 * theirs. Never a secret, and of other people nothing. Taking it is recorded in every workspace it covers, before
 * anything is read.
 *
 * @see Regulation (EU) 2016/679, Articles 15 and 20
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { notFound } from '../errors'
import type { Id, PersonId, TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { openTenantsOf } from './entry'

/** Of each kind, the newest. */
const MOST = 1_000

export interface PersonalData {
  readonly format: 'portcullis-personal-data/1'
  readonly generatedAt: string
  readonly person: Readonly<Record<string, unknown>>
  readonly signedIn: readonly unknown[]
  readonly linkedSignIns: readonly unknown[]
  readonly mails: readonly unknown[]
  readonly workspaces: readonly Readonly<Record<string, unknown>>[]
}

export interface PersonalDataReader {
  take(who: {
    readonly personId: PersonId
    readonly webSessionId: Id<'webSession'>
    readonly network: string
  }): Promise<PersonalData>
}

export function createPersonalData(deps: {
  readonly appDb: AppDb
  readonly events: RecordsEvents
}): PersonalDataReader {
  const { appDb, events } = deps
  return {
    async take({ personId, webSessionId, network }) {
      const tenants = await appDb.transaction(async (tx) => {
        // Those that this session may enter: a workspace that wants its people to come another way gives nothing to it.
        const found = await openTenantsOf(tx, webSessionId)
        for (const tenantId of found) {
          await enterTenant(tx, tenantId)
          await events.event(tx, {
            tenantId,
            action: 'person.data_exported',
            actor: { kind: 'person', personId, webSessionId },
            network,
          })
        }
        return found
      })
      const own = await appDb.transaction((tx) => readOwn(tx, personId))
      const workspaces: Record<string, unknown>[] = []
      for (const tenantId of tenants)
        workspaces.push(await appDb.tenant(tenantId, (tx) => readIn(tx, tenantId, personId)))
      return { format: 'portcullis-personal-data/1', generatedAt: new Date().toISOString(), ...own, workspaces }
    },
  }
}

async function readOwn(
  tx: AppTx,
  id: PersonId,
): Promise<Pick<PersonalData, 'person' | 'signedIn' | 'linkedSignIns' | 'mails'>> {
  const person = await tx.person.findUnique({
    where: { id },
    select: { id: true, email: true, name: true, emailVerifiedAt: true, createdAt: true },
  })
  if (person === null) throw notFound()
  const password = await tx.personPassword.findUnique({ where: { personId: id }, select: { updatedAt: true } })
  const passkeys = await tx.personPasskey.findMany({
    where: { personId: id },
    select: { name: true, isSynced: true, createdAt: true, lastUsedAt: true },
    take: MOST,
  })
  const authenticator = await tx.personTotp.findUnique({ where: { personId: id }, select: { confirmedAt: true } })
  const preference = await tx.uiPreference.findMany({ where: { personId: id }, take: MOST })
  return {
    person: {
      ...person,
      passwordChangedAt: password?.updatedAt ?? null,
      passkeys,
      authenticatorAppSince: authenticator?.confirmedAt ?? null,
      preferences: preference,
    },
    signedIn: await tx.webSession.findMany({
      where: { personId: id },
      select: {
        id: true,
        method: true,
        network: true,
        userAgent: true,
        createdAt: true,
        lastUsedAt: true,
        endedAt: true,
        endedReason: true,
      },
      orderBy: { createdAt: 'desc' },
      take: MOST,
    }),
    linkedSignIns: await tx.personIdentity.findMany({
      where: { personId: id },
      select: { provider: true, issuer: true, subject: true, label: true, createdAt: true, lastUsedAt: true },
      take: MOST,
    }),
    mails: await tx.mail.findMany({
      where: { personId: id },
      select: { kind: true, email: true, status: true, createdAt: true, sentAt: true },
      orderBy: { createdAt: 'desc' },
      take: MOST,
    }),
  }
}

async function readIn(tx: AppTx, tenantId: TenantId, personId: PersonId): Promise<Record<string, unknown>> {
  const tenant = await tx.tenant.findUnique({ where: { id: tenantId }, select: { id: true, name: true, slug: true } })
  const membership = await tx.membership.findUnique({ where: { tenantId_personId: { tenantId, personId } } })
  const newest = { orderBy: { createdAt: 'desc' }, take: MOST } as const
  const connections = await tx.connection.findMany({
    where: { tenantId, ownerPersonId: personId },
    select: {
      id: true,
      provider: true,
      subject: true,
      accountLabel: true,
      accountEmail: true,
      sharing: true,
      state: true,
      grantedScopes: true,
      createdAt: true,
      lastUsedAt: true,
    },
    ...newest,
  })
  const agentSessions = await tx.agentSession.findMany({
    where: { tenantId, personId },
    select: {
      id: true,
      agentId: true,
      kind: true,
      label: true,
      scopes: true,
      createdAt: true,
      expiresAt: true,
      lastUsedAt: true,
      endedAt: true,
      lastNetwork: true,
      lastClient: true,
    },
    ...newest,
  })
  const apiKeys = await tx.apiKey.findMany({
    where: { tenantId, personId },
    select: {
      id: true,
      name: true,
      role: true,
      scopes: true,
      ipRanges: true,
      prefix: true,
      createdAt: true,
      expiresAt: true,
      lastUsedAt: true,
      revokedAt: true,
    },
    ...newest,
  })
  const notifications = await tx.notification.findMany({
    where: { tenantId, personId },
    select: { kind: true, provider: true, label: true, createdAt: true, readAt: true },
    ...newest,
  })
  const records = await tx.$queryRaw<Record<string, unknown>[]>`
    SELECT r.id, r.recorded_at AS "recordedAt", r.kind, r.action, r.target_id AS "targetId", r.connection_id AS "connectionId",
           r.tool, r.decision, r.outcome, r.reason
      FROM audit_record r JOIN audit_identity i ON i.tenant_id = r.tenant_id AND i.pseudonym = r.actor_pseudonym
     WHERE r.tenant_id = ${tenantId} AND i.kind = 'person' AND i.subject_id = ${personId}
     ORDER BY r.recorded_at DESC, r.id DESC LIMIT ${MOST}`
  return {
    ...tenant,
    role: membership?.role ?? null,
    joinedAt: membership?.createdAt ?? null,
    connections,
    agentSessions,
    apiKeys,
    notifications,
    records,
  }
}
