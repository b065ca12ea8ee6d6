/**
 * The two links of an invitation. One is shown once to who invites, and opens the invitation; the other is made when the
 * mail is sent, and besides proves that whoever follows it reads that mailbox. Both are kept as hashes.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { brand, hashSecret, newSecret, type Id, type TenantId } from '../ids'
import { Secret } from '../secret'
import type { Role } from '../tenancy/principal'
import { parseRole } from '../tenancy/role'
import { isSecret, SECRET_PREFIX } from './cookies'

/** The page that takes the secret from the fragment, which no server, log or referrer sees. */
export const INVITATION_PATH = '/invite'

export interface FoundInvitation {
  readonly tenantId: TenantId
  readonly id: Id<'invitation'>
  /** It came out of the mailbox that is invited. */
  readonly isMailed: boolean
}

/** Whichever of the two it is. Says nothing about whether it is still open. */
export async function findInvitation(
  db: Pick<AppTx, '$queryRaw'>,
  secret: string,
): Promise<FoundInvitation | undefined> {
  if (!isSecret(SECRET_PREFIX.invitation, secret)) return undefined
  const [row] = await db.$queryRaw<{ tenant_id: string; invitation_id: string; is_mailed: boolean }[]>`
    SELECT tenant_id, invitation_id, is_mailed FROM invitation_by_hash(${hashSecret(secret)})`
  return row === undefined
    ? undefined
    : { tenantId: brand(row.tenant_id), id: brand(row.invitation_id), isMailed: row.is_mailed }
}

export interface MintedInvitation {
  readonly email: string
  readonly workspace: string
  readonly inviter: string
  readonly role: Role
  readonly days: number
  readonly secret: Secret
}

/** Makes the mail's secret, at the moment of sending; one sent before stops working. @returns undefined when nothing is open */
export async function mintInvitation(
  appDb: AppDb,
  tenantId: TenantId,
  invitationId: string,
): Promise<MintedInvitation | undefined> {
  const secret = newSecret(SECRET_PREFIX.invitation)
  return appDb.tenant(tenantId, async (tx) => {
    const [row] = await tx.$queryRaw<
      { email: string; role: string; workspace: string; inviter: string | null; days: number }[]
    >`
      UPDATE invitation i SET mail_secret_hash = ${hashSecret(secret)} FROM tenant t
       WHERE i.tenant_id = ${tenantId} AND i.id = ${invitationId} AND i.accepted_at IS NULL AND i.revoked_at IS NULL
         AND i.expires_at > now() AND t.id = i.tenant_id AND t.disabled_at IS NULL
      RETURNING i.email, i.role, t.name AS workspace,
                (SELECT COALESCE(NULLIF(p.name, ''), p.email) FROM person p WHERE p.id = i.invited_by) AS inviter,
                CEIL(EXTRACT(EPOCH FROM i.expires_at - now()) / 86400)::int AS days`
    if (row === undefined) return undefined
    const { email, workspace, days } = row
    return { email, workspace, days, inviter: row.inviter ?? '', role: parseRole(row.role), secret: new Secret(secret) }
  })
}
