/**
 * People, who exist once for all workspaces.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { isUniqueViolation } from '../db/retry'
import { AppError } from '../errors'
import { brand, newId, type Id, type PersonId, type TenantId } from '../ids'
import type { RecordsEvents } from '../tenancy/events'
import { parseDisplayName } from './display-name'
import { parseEmailAddress, type EmailAddress } from './email-address'
import { checkNewPassword } from './password-policy'
import type { Passwords } from './password'

export interface Person {
  readonly id: PersonId
  readonly email: string
  readonly name: string
  readonly isEmailVerified: boolean
  readonly hasPassword: boolean
}

/** Adds a person. @throws AppError `resource.conflict` when the address has an account */
export async function insertPerson(
  tx: AppTx,
  person: {
    readonly email: EmailAddress
    readonly name: string
    readonly passwordHash: string | undefined
    readonly isEmailVerified: boolean
  },
): Promise<PersonId> {
  const id = newId('person')
  try {
    await tx.person.create({
      data: {
        id,
        email: person.email.address,
        emailCanonical: person.email.canonical,
        name: person.name,
        emailVerifiedAt: person.isEmailVerified ? new Date() : null,
      },
    })
  } catch (error) {
    if (isUniqueViolation(error))
      throw new AppError('resource.conflict', 'This address has an account already.', { field: 'email', cause: error })
    throw error
  }
  if (person.passwordHash !== undefined)
    await tx.personPassword.create({ data: { personId: id, hash: person.passwordHash } })
  return id
}

/** The workspace a person was in last, when they may still enter it; else the one they have been a member of longest. */
export async function homeTenant(tx: AppTx, personId: PersonId): Promise<TenantId | undefined> {
  const tenants = await tenantsOf(tx, personId)
  const last = await tx.webSession.findFirst({
    where: { personId, tenantId: { not: null } },
    orderBy: { lastUsedAt: 'desc' },
    select: { tenantId: true },
  })
  return tenants.find((id) => id === last?.tenantId) ?? tenants[0]
}

export interface People {
  /** By the operator. Without a password the person signs in by a link, or sets one through a reset. */
  create(input: { readonly email: string; readonly name: string; readonly password?: string }): Promise<Person>
  find(personId: PersonId): Promise<Person | undefined>
  /** By address in any spelling. */
  findByEmail(email: string): Promise<Person | undefined>
  /** Recorded in each workspace of the person, which is where the name is shown. */
  rename(acting: Acting, name: string): Promise<void>
}

/** A person at a browser, for the record. */
export interface Acting {
  readonly personId: PersonId
  readonly webSessionId: Id<'webSession'>
  readonly network: string
}

export function createPeople(deps: {
  readonly appDb: AppDb
  readonly passwords: Passwords
  readonly events: RecordsEvents
}): People {
  const { appDb, events } = deps
  const find = async (where: { id: string } | { emailCanonical: string }): Promise<Person | undefined> => {
    const row = await appDb.global.person.findUnique({ where })
    if (row === null) return undefined
    const password = await appDb.global.personPassword.findUnique({ where: { personId: row.id } })
    return {
      id: brand(row.id),
      email: row.email,
      name: row.name,
      isEmailVerified: row.emailVerifiedAt !== null,
      hasPassword: password !== null,
    }
  }
  return {
    async create(input) {
      const email = parseEmailAddress(input.email)
      const name = parseDisplayName(input.name, 'name')
      if (input.password !== undefined) checkNewPassword(input.password, { email: email.address, name })
      const passwordHash = input.password === undefined ? undefined : await deps.passwords.hash(input.password)
      const id = await appDb.transaction((tx) =>
        insertPerson(tx, { email, name, passwordHash, isEmailVerified: false }),
      )
      return { id, email: email.address, name, isEmailVerified: false, hasPassword: passwordHash !== undefined }
    },
    find: (personId) => find({ id: personId }),
    findByEmail: (email) => find({ emailCanonical: parseEmailAddress(email).canonical }),
    async rename({ personId, webSessionId, network }, given) {
      const name = parseDisplayName(given, 'name')
      await appDb.transaction(async (tx) => {
        await tx.person.updateMany({ where: { id: personId }, data: { name } })
        for (const tenantId of await tenantsOf(tx, personId)) {
          await enterTenant(tx, tenantId)
          await events.event(tx, {
            tenantId,
            action: 'person.updated',
            actor: { kind: 'person', personId, webSessionId },
            network,
          })
        }
      })
    },
  }
}
