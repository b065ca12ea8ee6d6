/**
 * Who asks, and what they are told.
 *
 * @module
 */
import { AppError } from '../errors'
import { newId, type PersonId, type TenantId } from '../ids'
import type { PersonPrincipal, Role } from '../tenancy/principal'

/** A person as the gateway knows them who signed in this moment, by a session that nobody looks up. */
export function personPrincipal(
  of: { readonly tenantId: TenantId; readonly personId: PersonId },
  role: Role,
  { authenticatedAt = new Date(), network = '192.0.2.1' }: { authenticatedAt?: Date; network?: string } = {},
): PersonPrincipal {
  const { tenantId, personId } = of
  return { kind: 'person', tenantId, personId, role, webSessionId: newId('webSession'), authenticatedAt, network }
}

/** The code of the refusal, or the word for success. What is no refusal of ours is told in full. */
export const codeOf = (work: Promise<unknown>, success = 'no error'): Promise<string> =>
  work.then(
    () => success,
    (error: unknown) => (error instanceof AppError ? error.code : String(error)),
  )
