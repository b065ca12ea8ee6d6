/**
 * A connection as the application database shows it, for tests whose credentials come from elsewhere.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { newId, type ConnectionId, type PersonId, type TenantId } from '../ids'

export async function insertConnection(
  appDb: AppDb,
  owner: { readonly tenantId: TenantId; readonly personId: PersonId },
  provider: string,
  accountLabel: string,
  access = 'allowed',
): Promise<ConnectionId> {
  const id = newId('connection')
  const { tenantId, personId: ownerPersonId } = owner
  await appDb.tenant(tenantId, (tx) =>
    tx.connection.create({
      data: {
        ...{ tenantId, id, provider, accountLabel, ownerPersonId, access },
        providerApp: 'app',
        subject: id,
        state: 'active',
        credentialGeneration: 1,
      },
    }),
  )
  return id
}
