/**
 * Deletes what has served its time, a bounded number of rows at a statement, so that no table grows for ever and no
 * deletion holds others up.
 *
 * | what                      | kept                                             |
 * | ------------------------- | ------------------------------------------------ |
 * | links sent by mail        | a day after they expired                         |
 * | web sessions              | a week after they ended or expired               |
 * | mail                      | a week after it was sent, a month when it failed |
 * | counters of the limiter   | until they expire                                |
 * | consents                  | a day after they expired                         |
 * | codes, tokens, consents   | until they expire; spent refresh tokens a week   |
 * | clients that registered   | a day unapproved, 90 days unused                 |
 * | arguments of calls        | until they expire (30 days)                      |
 * | history of refreshes      | 90 days, and of each connection the newest 200   |
 * | steps of clients          | 14 days, and of each agent the newest 200        |
 * | notifications             | 90 days                                          |
 * | deliveries of webhooks    | 30 days after they ended                         |
 * | episodes of trouble       | 180 days after they ended                        |
 *
 * @module
 */
import type { AppDb, AppTx } from '@/lib/db/app-db'
import { brand, type TenantId } from '@/lib/ids'
import type { Log } from '@/lib/log'

export interface RetentionReport {
  readonly emailTokens: number
  readonly webSessions: number
  readonly mails: number
  readonly rateLimits: number
  readonly oauthArtifacts: number
  readonly oauthClients: number
  readonly connectAttempts: number
  readonly callArguments: number
  readonly refreshEvents: number
  readonly doctorSteps: number
  readonly notifications: number
}

const BATCH = 1_000
const MAX_BATCHES = 50

export function createRetention(deps: { readonly appDb: AppDb; readonly log: Log; readonly batch?: number }) {
  const { appDb, log, batch = BATCH } = deps
  const { global } = appDb

  /** Until nothing is left, or the rest is left to the next run. */
  const untilDone = async (deleteSome: () => Promise<number>): Promise<number> => {
    let deleted = 0
    for (let round = 0; round < MAX_BATCHES; round += 1) {
      const some = await deleteSome()
      deleted += some
      if (some < batch) break
    }
    return deleted
  }

  const perTenant = async (
    tenants: readonly { readonly tenant_id: string }[],
    deleteSome: (tenantId: TenantId) => Promise<number>,
  ): Promise<number> => {
    let deleted = 0
    for (const { tenant_id } of tenants) deleted += await untilDone(() => deleteSome(brand<'tenant'>(tenant_id)))
    return deleted
  }

  const forgetNotifications = async (): Promise<number> => {
    const tenants = await global.$queryRaw<
      { tenant_id: string }[]
    >`SELECT tenant_id FROM expired_notification_tenants()`
    let deleted = 0
    for (const forget of FORGET)
      deleted += await perTenant(tenants, (tenantId) => appDb.tenant(tenantId, (tx) => forget(tx, tenantId, batch)))
    return deleted
  }

  return async (): Promise<RetentionReport> => {
    const report: RetentionReport = {
      emailTokens: await untilDone(
        () => global.$executeRaw`
          DELETE FROM email_token WHERE id IN (
            SELECT id FROM email_token WHERE expires_at < now() - interval '1 day' LIMIT ${batch})`,
      ),
      webSessions: await untilDone(
        () => global.$executeRaw`
          DELETE FROM web_session WHERE id IN (
            SELECT id FROM web_session
             WHERE expires_at < now() - interval '7 days' OR idle_expires_at < now() - interval '7 days'
                OR ended_at < now() - interval '7 days' OR (status = 'pending' AND created_at < now() - interval '1 day')
             LIMIT ${batch})`,
      ),
      mails: await untilDone(
        () => global.$executeRaw`
          DELETE FROM mail WHERE id IN (
            SELECT id FROM mail
             WHERE (status = 'sent' AND sent_at < now() - interval '7 days')
                OR (status = 'failed' AND created_at < now() - interval '30 days')
             LIMIT ${batch})`,
      ),
      rateLimits: await untilDone(
        () => global.$executeRaw`
          DELETE FROM rate_limit WHERE key IN (
            SELECT key FROM rate_limit WHERE expire < extract(epoch FROM now()) * 1000 LIMIT ${batch})`,
      ),
      // A spent refresh token stays a while, so that whoever presents it again is noticed.
      oauthArtifacts: await untilDone(
        () => global.$executeRaw`
          DELETE FROM oauth_artifact WHERE (model, id_hash) IN (
            SELECT model, id_hash FROM oauth_artifact
             WHERE expires_at < now() OR (model = 'RefreshToken' AND consumed_at < now() - interval '7 days')
             LIMIT ${batch})`,
      ),
      oauthClients: await untilDone(
        () => global.$executeRaw`
          DELETE FROM oauth_client WHERE id IN (
            SELECT id FROM oauth_client WHERE expires_at < now() - interval '1 day' LIMIT ${batch})`,
      ),
      connectAttempts: await perTenant(
        await global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM expired_attempt_tenants()`,
        (tenantId) =>
          appDb.tenant(
            tenantId,
            (tx) => tx.$executeRaw`
              DELETE FROM connect_attempt WHERE tenant_id = ${tenantId} AND id IN (
                SELECT id FROM connect_attempt WHERE tenant_id = ${tenantId} AND expires_at < now() - interval '1 day' LIMIT ${batch})`,
          ),
      ),
      callArguments: await perTenant(
        await global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM expired_argument_tenants()`,
        (tenantId) =>
          appDb.tenant(
            tenantId,
            (tx) => tx.$executeRaw`
              DELETE FROM audit_arguments WHERE tenant_id = ${tenantId} AND call_id IN (
                SELECT call_id FROM audit_arguments WHERE tenant_id = ${tenantId} AND expires_at < now() LIMIT ${batch})`,
          ),
      ),
      // The newest of each connection are counted where they are written.
      refreshEvents: await perTenant(
        await global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM expired_refresh_event_tenants()`,
        (tenantId) =>
          appDb.tenant(
            tenantId,
            (tx) => tx.$executeRaw`
              DELETE FROM refresh_event WHERE tenant_id = ${tenantId} AND id IN (
                SELECT id FROM refresh_event WHERE tenant_id = ${tenantId} AND at < now() - interval '90 days' LIMIT ${batch})`,
          ),
      ),
      // The newest of each agent are counted where they are written.
      doctorSteps: await perTenant(
        await global.$queryRaw<{ tenant_id: string }[]>`SELECT tenant_id FROM expired_doctor_tenants()`,
        (tenantId) =>
          appDb.tenant(
            tenantId,
            (tx) => tx.$executeRaw`
              DELETE FROM doctor_step WHERE tenant_id = ${tenantId} AND id IN (
                SELECT id FROM doctor_step WHERE tenant_id = ${tenantId} AND at < now() - interval '14 days' LIMIT ${batch})`,
          ),
      ),
      notifications: await forgetNotifications(),
    }
    if (Object.values(report).some((deleted: number) => deleted > 0))
      log.info({ ...report }, 'expired rows were deleted')
    return report
  }
}

/** What was told long ago. Each deletes at most `batch` rows. */
const FORGET: readonly ((tx: AppTx, tenantId: TenantId, batch: number) => Promise<number>)[] = [
  (tx, tenantId, batch) => tx.$executeRaw`
    DELETE FROM notification WHERE tenant_id = ${tenantId} AND id IN (
      SELECT id FROM notification WHERE tenant_id = ${tenantId} AND created_at < now() - interval '90 days' LIMIT ${batch})`,
  (tx, tenantId, batch) => tx.$executeRaw`
    DELETE FROM webhook_delivery WHERE tenant_id = ${tenantId} AND id IN (
      SELECT id FROM webhook_delivery WHERE tenant_id = ${tenantId} AND ended_at < now() - interval '30 days' LIMIT ${batch})`,
  (tx, tenantId, batch) => tx.$executeRaw`
    DELETE FROM webhook_event WHERE tenant_id = ${tenantId} AND (webhook_id, episode_id, step) IN (
      SELECT webhook_id, episode_id, step FROM webhook_event
       WHERE tenant_id = ${tenantId} AND delivery_id IS NOT NULL AND created_at < now() - interval '30 days' LIMIT ${batch})`,
  (tx, tenantId, batch) => tx.$executeRaw`
    DELETE FROM connection_episode WHERE tenant_id = ${tenantId} AND id IN (
      SELECT id FROM connection_episode WHERE tenant_id = ${tenantId} AND ended_at < now() - interval '180 days' LIMIT ${batch})`,
]
