/**
 * Links sent by mail. A row is made when a link is asked for; its secret only when the mail is sent, so that neither the
 * queue nor the one who asked ever sees it. A link is spent by one conditional UPDATE: of twenty that try, one succeeds.
 *
 * Asking for a link costs the same whether or not anybody has that address: who it is for is decided when it is sent.
 *
 * @module
 */
import type { AppDb, AppTx } from '../db/app-db'
import { brand, hashSecret, newId, newSecret, type Id, type PersonId } from '../ids'
import { Secret } from '../secret'
import { isSecret, SECRET_PREFIX } from './cookies'
import { findEmailAddress } from './email-address'

export type LinkPurpose = 'magic_link' | 'verify_email' | 'change_email' | 'reset_password' | 'sign_up'

/** The page behind the link takes the secret from the fragment, which no server, log or referrer sees. */
export const LINKS = {
  magic_link: { prefix: SECRET_PREFIX.magicLink, path: '/magic-link', minutes: 15 },
  verify_email: { prefix: SECRET_PREFIX.verifyEmail, path: '/verify-email', minutes: 24 * 60 },
  change_email: { prefix: SECRET_PREFIX.verifyEmail, path: '/verify-email', minutes: 60 },
  reset_password: { prefix: SECRET_PREFIX.resetPassword, path: '/reset', minutes: 30 },
  sign_up: { prefix: SECRET_PREFIX.signUp, path: '/sign-up', minutes: 60 },
} as const satisfies Record<LinkPurpose, { prefix: string; path: string; minutes: number }>

export interface SpentLink {
  readonly id: Id<'emailToken'>
  readonly purpose: LinkPurpose
  readonly personId: PersonId | null
  readonly email: string
}

/** Adds a link to be minted. `personId` only where the one who asks is signed in. */
export async function askForLink(
  tx: Pick<AppTx, '$executeRaw'>,
  link: {
    readonly purpose: LinkPurpose
    readonly email: string
    readonly personId?: PersonId
    readonly browserHash?: Buffer
  },
): Promise<Id<'emailToken'>> {
  const id = newId('emailToken')
  await tx.$executeRaw`
    INSERT INTO email_token (id, purpose, person_id, email, browser_hash, expires_at)
    VALUES (${id}, ${link.purpose}, ${link.personId ?? null}, ${link.email}, ${link.browserHash ?? null},
            now() + make_interval(mins => ${LINKS[link.purpose].minutes}::int))`
  return id
}

/**
 * Spends a link, in the transaction of what it allows.
 *
 * @param browserHash  where the link was bound to a browser, only this one may spend it
 * @returns undefined when it was spent, has expired, never existed, or belongs to another browser
 */
export async function spendLink(
  tx: Pick<AppTx, '$queryRaw'>,
  purposes: readonly LinkPurpose[],
  secret: string,
  browserHash?: Buffer,
): Promise<SpentLink | undefined> {
  const rows = await tx.$queryRaw<{ id: string; purpose: LinkPurpose; person_id: string | null; email: string }[]>`
    UPDATE email_token SET used_at = now()
     WHERE secret_hash = ${hashSecret(secret)} AND purpose = ANY(${[...purposes]}) AND used_at IS NULL AND expires_at > now()
       AND (browser_hash IS NULL OR browser_hash = ${browserHash ?? Buffer.alloc(0)})
    RETURNING id, purpose, person_id, email`
  const row = rows[0]
  return row === undefined
    ? undefined
    : {
        id: brand(row.id),
        purpose: row.purpose,
        personId: row.person_id === null ? null : brand(row.person_id),
        email: row.email,
      }
}

/** What an unspent link is for; spends nothing. For the page that asks before it acts. */
export async function inspectLink(
  db: Pick<AppTx, '$queryRaw'>,
  secret: string,
): Promise<
  { readonly purpose: LinkPurpose; readonly email: string; readonly browserHash: Uint8Array | null } | undefined
> {
  if (!Object.values(LINKS).some(({ prefix }) => isSecret(prefix, secret))) return undefined
  const rows = await db.$queryRaw<{ purpose: LinkPurpose; email: string; browser_hash: Uint8Array | null }[]>`
    SELECT purpose, email, browser_hash FROM email_token
     WHERE secret_hash = ${hashSecret(secret)} AND used_at IS NULL AND expires_at > now()`
  const row = rows[0]
  return row === undefined ? undefined : { purpose: row.purpose, email: row.email, browserHash: row.browser_hash }
}

/** Spends every open link of a person: what was sent before a credential changed works no longer. */
export async function spendAllLinksOf(tx: Pick<AppTx, '$executeRaw'>, personId: PersonId): Promise<void> {
  await tx.$executeRaw`UPDATE email_token SET used_at = now() WHERE person_id = ${personId} AND used_at IS NULL`
}

export type MintedLink =
  | {
      readonly kind: 'link'
      /** Where to send it: the person's own spelling of the address, never the spelling that was typed in a form. */
      readonly email: string
      readonly name: string
      readonly purpose: LinkPurpose
      readonly path: string
      readonly secret: Secret
      readonly minutes: number
    }
  /** Somebody wants to sign up with an address that has an account: they are told by mail, not by the page. */
  | { readonly kind: 'has_account'; readonly email: string; readonly name: string }
  /** Spent, expired, or nobody it could be for. */
  | { readonly kind: 'nothing' }

/**
 * Makes the secret of a link, at the moment of sending, and decides whom it is for. Again for the same row: the earlier
 * secret stops working.
 */
export async function mintLink(appDb: AppDb, tokenId: string): Promise<MintedLink> {
  return appDb.transaction(async (tx): Promise<MintedLink> => {
    const rows = await tx.$queryRaw<
      { purpose: LinkPurpose; person_id: string | null; email: string; minutes: number }[]
    >`
      SELECT purpose, person_id, email, CEIL(EXTRACT(EPOCH FROM expires_at - now()) / 60)::int AS minutes FROM email_token
       WHERE id = ${tokenId} AND used_at IS NULL AND expires_at > now() FOR UPDATE`
    const token = rows[0]
    const address = token === undefined ? undefined : findEmailAddress(token.email)
    if (token === undefined || address === undefined) return { kind: 'nothing' }

    const byAddress = await tx.person.findUnique({ where: { emailCanonical: address.canonical } })
    let personId: string | null = null
    let name = ''
    let email: string = address.address
    switch (token.purpose) {
      case 'magic_link':
      case 'reset_password': {
        if (byAddress === null || byAddress.disabledAt !== null) return { kind: 'nothing' }
        personId = byAddress.id
        name = byAddress.name
        email = byAddress.email
        break
      }
      case 'verify_email':
      case 'change_email': {
        if (token.person_id === null) return { kind: 'nothing' }
        const person = await tx.person.findUnique({ where: { id: token.person_id } })
        if (person === null || person.disabledAt !== null) return { kind: 'nothing' }
        // The address is the person's own already (verify), or nobody's yet (change).
        if (token.purpose === 'verify_email' ? byAddress?.id !== person.id : byAddress !== null)
          return { kind: 'nothing' }
        personId = person.id
        name = person.name
        break
      }
      case 'sign_up': {
        if (byAddress !== null)
          return byAddress.disabledAt === null
            ? { kind: 'has_account', email: byAddress.email, name: byAddress.name }
            : { kind: 'nothing' }
        break
      }
    }
    const { prefix, path } = LINKS[token.purpose]
    const secret = newSecret(prefix)
    await tx.$executeRaw`
      UPDATE email_token SET secret_hash = ${hashSecret(secret)}, person_id = ${personId} WHERE id = ${tokenId}`
    return {
      kind: 'link',
      email,
      name,
      purpose: token.purpose,
      path,
      secret: new Secret(secret),
      minutes: token.minutes,
    }
  })
}
