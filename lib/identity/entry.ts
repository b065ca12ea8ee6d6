/**
 * Which workspaces a web session may enter. A membership says that a person may; how they signed in says whether this very
 * session may: a workspace can ask its people to come through its issuer, and a session that an issuer vouched for opens
 * the workspace of that issuer and no other, nor the person's own account beyond it.
 *
 * Decided by one function of the database, for gateway and pages alike, from the rows as they are at that moment.
 *
 * @module
 */
import type { AppTx } from '../db/app-db'
import { enterTenant } from '../db/enter-tenant'
import { AppError } from '../errors'
import type { Id, PersonId, TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'

export type Entry = 'open' | 'sso_required' | 'other_workspace'

/** The person's workspaces that are not disabled, oldest membership first, with what each says to this session. */
export async function entriesOf(
  tx: Pick<AppTx, '$queryRaw'>,
  sessionId: string,
): Promise<readonly { readonly tenantId: TenantId; readonly entry: Entry; readonly isWayBack: boolean }[]> {
  const rows = await tx.$queryRaw<{ tenant_id: TenantId; entry: Entry; is_way_back: boolean }[]>`
    SELECT tenant_id, entry, is_way_back FROM session_workspaces(${sessionId})`
  return rows.map(({ tenant_id, entry, is_way_back }) => ({ tenantId: tenant_id, entry, isWayBack: is_way_back }))
}

/**
 * Writes into each workspace that enforces single sign-on that one of its owners now stands past it.
 *
 * @param only  this one alone
 */
export async function recordWayBack(
  tx: AppTx,
  events: Pick<RecordsEvents, 'event'>,
  session: { readonly sessionId: Id<'webSession'>; readonly personId: PersonId; readonly network: string },
  only?: TenantId,
): Promise<void> {
  for (const { tenantId, isWayBack } of await entriesOf(tx, session.sessionId)) {
    if (!isWayBack || (only !== undefined && only !== tenantId)) continue
    await enterTenant(tx, tenantId)
    await events.event(tx, {
      tenantId,
      action: 'sign_in.owner_way_back',
      actor: { kind: 'person', personId: session.personId },
      targetId: session.sessionId,
      network: session.network,
    })
  }
}

/** Those that this session may enter. */
export async function openTenantsOf(tx: Pick<AppTx, '$queryRaw'>, sessionId: string): Promise<TenantId[]> {
  return (await entriesOf(tx, sessionId)).filter(({ entry }) => entry === 'open').map(({ tenantId }) => tenantId)
}

/**
 * Passes a session that the person themself signed in to. For what belongs to the person and not to a workspace: whoever
 * runs a workspace's issuer can sign in there as any of its people, and must not take over their accounts by that.
 *
 * @throws AppError `auth.forbidden`
 */
export function requireOwnSignIn(session: { readonly onlyTenantId?: TenantId | null }): void {
  if (session.onlyTenantId === undefined || session.onlyTenantId === null) return
  throw new AppError(
    'auth.forbidden',
    'You are signed in through your organization, for its workspace alone. To change your own account sign in with your password, a passkey or a link by mail.',
  )
}
