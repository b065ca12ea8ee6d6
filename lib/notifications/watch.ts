/**
 * Tells people that a connection is in trouble, once for each step of an episode.
 *
 * Nothing calls this when a state changes: the rows themselves are looked at, again and again, so that no crash of
 * whoever changed them loses a word. What has been told stands in the same transaction as the words, behind unique keys:
 * however many workers look at once, each person hears each step once. Mails and webhooks are not sent here; they wait
 * for the digest, so that a thousand accounts failing together make one message.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { brand, newId, type TenantId } from '../ids'
import type { Log } from '../log'
import { stepOf, type Level } from './episode'
import { isTrouble, plainLabel, type NotificationKind, type Trouble } from './words'

export interface WatchReport {
  /** Episodes that were begun or worsened and were told of. */
  readonly told: number
  /** Episodes that ended. */
  readonly ended: number
}

export interface ConnectionWatch {
  scan(): Promise<WatchReport>
}

export interface WatchOptions {
  readonly appDb: AppDb
  readonly log: Log
  /** How long a connection is degraded before anybody hears of it. */
  readonly settleSeconds?: number
  /** How long the first word of a mail waits for others to join it. */
  readonly digestSeconds?: number
}

export const SETTLE_SECONDS = 180
export const DIGEST_SECONDS = 300
const TENANTS = 200
const BATCH = 500
const MAX_ROUNDS = 50
/** Of those who stand in for an owner who is not there. */
const MAX_MANAGERS = 25
const MAX_WEBHOOKS = 10

interface TroubledRow {
  readonly connection_id: string
  readonly provider: string
  readonly account_label: string
  readonly owner_person_id: string | null
  readonly state: string
  readonly state_reason: string | null
  readonly state_at: Date
  readonly generation: number
  readonly episode_id: string | null
  readonly level: number
  readonly is_another: boolean
  readonly has_settled: boolean
}

interface EndedRow {
  readonly episode_id: string
  readonly connection_id: string
  readonly level: number
  readonly is_back: boolean
  readonly provider: string | null
  readonly account_label: string | null
}

interface NewEpisode {
  readonly tenantId: TenantId
  readonly id: string
  readonly connectionId: string
  readonly beganAt: Date
  readonly stateAt: Date
  readonly generation: number
  readonly level: Level
}

/** What is said about one connection now. */
interface News {
  readonly row: TroubledRow
  readonly state: Trouble
  readonly episodeId: string
  readonly level: Level
}

export function createConnectionWatch(options: WatchOptions): ConnectionWatch {
  const { appDb, log, settleSeconds = SETTLE_SECONDS, digestSeconds = DIGEST_SECONDS } = options

  const lookAt = (tenantId: TenantId) =>
    appDb.tenant(tenantId, async (tx) => {
      // Only spares others the work: unique keys keep what is told from being told twice.
      const [lock] = await tx.$queryRaw<{ mine: boolean; now: Date }[]>`
        SELECT pg_try_advisory_xact_lock(hashtextextended('notify ' || ${tenantId}, 0)) AS mine, now() AS now`
      if (lock?.mine !== true) return { seen: 0, told: 0, ended: 0 }
      const troubled = await tx.$queryRaw<TroubledRow[]>`
        SELECT * FROM (
          SELECT c.id AS connection_id, c.provider, c.account_label, c.owner_person_id, c.state, c.state_reason, c.state_at,
                 c.credential_generation AS generation, e.id AS episode_id, COALESCE(e.level, 0)::int AS level,
                 COALESCE(e.generation < c.credential_generation AND e.state_at < c.state_at, false) AS is_another,
                 CASE WHEN e.generation >= c.credential_generation OR e.state_at >= c.state_at THEN e.began_at ELSE c.state_at END <= now() - make_interval(secs => ${settleSeconds}::int) AS has_settled
            FROM connection c
            LEFT JOIN connection_episode e ON e.tenant_id = c.tenant_id AND e.connection_id = c.id AND e.ended_at IS NULL
           WHERE c.tenant_id = ${tenantId} AND c.access <> 'deleted'
             AND c.state IN ('degraded', 'reauthorization_required', 'revoked', 'suspended')) x
         WHERE episode_id IS NULL OR is_another OR (level < 2 AND state <> 'degraded') OR (level < 1 AND has_settled)
         ORDER BY connection_id LIMIT ${BATCH}`
      const over = await tx.$queryRaw<EndedRow[]>`
        SELECT e.id AS episode_id, e.connection_id, e.level::int AS level, c.provider, c.account_label,
               COALESCE(c.state = 'active' AND c.access <> 'deleted', false) AS is_back
          FROM connection_episode e
          LEFT JOIN connection c ON c.tenant_id = e.tenant_id AND c.id = e.connection_id
         WHERE e.tenant_id = ${tenantId} AND e.ended_at IS NULL
           AND (c.id IS NULL OR c.access = 'deleted' OR c.state IN ('active', 'disconnected'))
         ORDER BY e.connection_id LIMIT ${BATCH}`
      await end(
        tx,
        tenantId,
        over.map((row) => row.episode_id),
      )
      await tellOfRecovery(tx, tenantId, over, lock.now)
      const news = await step(tx, tenantId, troubled, lock.now)
      await tellOfTrouble(tx, tenantId, news, lock.now, digestSeconds)
      return { seen: troubled.length + over.length, told: news.length, ended: over.length }
    })

  return {
    async scan() {
      let told = 0
      let ended = 0
      for (let round = 0; round < MAX_ROUNDS; round += 1) {
        const tenants = await appDb.global.$queryRaw<{ tenant_id: string }[]>`
          SELECT tenant_id FROM tenants_with_connection_news(${settleSeconds}::int, ${TENANTS}::int)`
        let seen = 0
        for (const { tenant_id } of tenants) {
          const report = await lookAt(brand<'tenant'>(tenant_id))
          seen += report.seen
          told += report.told
          ended += report.ended
        }
        // Nothing left, or what is left is in another worker's hands.
        if (seen === 0) break
      }
      if (told + ended > 0) log.info({ told, ended }, 'people are told about connections')
      return { told, ended }
    },
  }
}

/** Opens and raises episodes. @returns those of which something is to be said */
async function step(tx: AppTx, tenantId: TenantId, rows: readonly TroubledRow[], now: Date): Promise<News[]> {
  const news: News[] = []
  const opened: NewEpisode[] = []
  const outdated: string[] = []
  const raised: News[] = []
  for (const row of rows) {
    if (!isTrouble(row.state)) continue
    const episode = row.episode_id === null ? undefined : { level: row.level, isAnother: row.is_another }
    const next = stepOf({ state: row.state, hasSettled: row.has_settled, episode })
    if (next.kind === 'open') {
      if (row.episode_id !== null) outdated.push(row.episode_id)
      const episodeId = newId('episode', now)
      const { connection_id: connectionId, state_at: stateAt, generation } = row
      opened.push({ tenantId, id: episodeId, connectionId, beganAt: stateAt, stateAt, generation, level: next.level })
      if (next.level > 0) news.push({ row, state: row.state, episodeId, level: next.level })
    } else if (next.kind === 'raise' && row.episode_id !== null)
      raised.push({ row, state: row.state, episodeId: row.episode_id, level: next.level })
  }
  await end(tx, tenantId, outdated)
  if (opened.length > 0) await tx.connectionEpisode.createMany({ data: opened })
  for (const level of [1, 2] as const) {
    const ids = raised.filter((one) => one.level === level).map((one) => one.episodeId)
    if (ids.length === 0) continue
    const risen = await tx.$queryRaw<{ id: string }[]>`
      UPDATE connection_episode SET level = ${level}::smallint WHERE tenant_id = ${tenantId} AND id = ANY(${ids}) AND level < ${level} RETURNING id`
    const known = new Set(risen.map(({ id }) => id))
    news.push(...raised.filter((one) => known.has(one.episodeId)))
  }
  return news
}

async function end(tx: AppTx, tenantId: TenantId, ids: readonly string[]): Promise<void> {
  if (ids.length === 0) return
  await tx.$executeRaw`
    UPDATE connection_episode SET ended_at = now() WHERE tenant_id = ${tenantId} AND id = ANY(${[...ids]}) AND ended_at IS NULL`
}

async function tellOfTrouble(
  tx: AppTx,
  tenantId: TenantId,
  news: readonly News[],
  now: Date,
  digestSeconds: number,
): Promise<void> {
  if (news.length === 0) return
  const owners = await membersOf(tx, tenantId, { among: distinct(news.map(({ row }) => row.owner_person_id)) })
  const isOwner = new Set(owners)
  const needsManagers = news.some(({ row }) => row.owner_person_id === null || !isOwner.has(row.owner_person_id))
  const managers = needsManagers ? await membersOf(tx, tenantId, 'managers') : []
  const mailDueAt = new Date(now.getTime() + digestSeconds * 1_000)
  const data = news.flatMap((one) => {
    const { owner_person_id: owner } = one.row
    const people = owner !== null && isOwner.has(owner) ? [owner] : managers
    return people.map((personId) => ({
      tenantId,
      id: newId('notification', now),
      personId,
      ...factsOf(one.state, one.row),
      step: one.level,
      episodeId: one.episodeId,
      isOwner: personId === owner,
      createdAt: now,
      mailDueAt,
    }))
  })
  if (data.length > 0) await tx.notification.createMany({ data, skipDuplicates: true })

  const webhooks = await tx.webhook.findMany({
    where: { tenantId, disabledAt: null },
    select: { id: true },
    take: MAX_WEBHOOKS,
  })
  const events = webhooks.flatMap(({ id: webhookId }) =>
    news.map(({ row, state, episodeId, level }) => ({
      tenantId,
      webhookId,
      episodeId,
      step: level,
      createdAt: now,
      item: {
        connectionId: row.connection_id,
        provider: row.provider,
        account: plainLabel(row.account_label),
        state,
        reason: row.state_reason,
        since: row.state_at.toISOString(),
      },
    })),
  )
  if (events.length > 0) await tx.webhookEvent.createMany({ data: events, skipDuplicates: true })
}

/** In the product alone, and only to whom trouble was told. */
async function tellOfRecovery(tx: AppTx, tenantId: TenantId, rows: readonly EndedRow[], now: Date): Promise<void> {
  const back = new Map(rows.filter((row) => row.is_back && row.level > 0).map((row) => [row.episode_id, row]))
  if (back.size === 0) return
  const told = await tx.$queryRaw<{ episode_id: string; person_id: string; is_owner: boolean }[]>`
    SELECT DISTINCT n.episode_id, n.person_id, n.is_owner FROM notification n
      JOIN membership m ON m.tenant_id = n.tenant_id AND m.person_id = n.person_id
     WHERE n.tenant_id = ${tenantId} AND n.episode_id = ANY(${[...back.keys()]}) AND n.step > 0`
  const data = told.flatMap(({ episode_id: episodeId, person_id: personId, is_owner: isOwner }) => {
    const row = back.get(episodeId)
    if (row === undefined) return []
    const facts = { ...row, provider: row.provider ?? '', account_label: row.account_label ?? '', state_reason: null }
    return [
      {
        tenantId,
        id: newId('notification', now),
        personId,
        ...factsOf('recovered', facts),
        step: 0,
        episodeId,
        isOwner,
        createdAt: now,
      },
    ]
  })
  if (data.length > 0) await tx.notification.createMany({ data, skipDuplicates: true })
}

const factsOf = (
  kind: NotificationKind,
  row: Pick<TroubledRow, 'connection_id' | 'provider' | 'account_label' | 'state_reason'>,
) => ({
  kind,
  connectionId: row.connection_id,
  provider: row.provider,
  label: plainLabel(row.account_label),
  reason: row.state_reason?.slice(0, 64) ?? null,
})

const distinct = (ids: Iterable<string | null>): string[] => [...new Set([...ids].filter((id) => id !== null))]

/** Only who belongs to the workspace and may sign in is ever told anything. */
export async function membersOf(
  tx: AppTx,
  tenantId: TenantId,
  which: 'managers' | { readonly among: readonly string[] },
): Promise<readonly string[]> {
  const isManagers = which === 'managers'
  const among = isManagers ? [] : [...which.among]
  if (!isManagers && among.length === 0) return []
  const rows = await tx.$queryRaw<{ person_id: string }[]>`
    SELECT m.person_id FROM membership m JOIN person p ON p.id = m.person_id AND p.disabled_at IS NULL
     WHERE m.tenant_id = ${tenantId} AND ((${isManagers} AND m.role IN ('owner', 'admin')) OR m.person_id = ANY(${among}))
     ORDER BY (m.role = 'owner') DESC, m.created_at, m.person_id LIMIT ${isManagers ? MAX_MANAGERS : among.length}`
  return rows.map((row) => row.person_id)
}
