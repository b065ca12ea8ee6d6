/**
 * Signing in with a person's own Google or GitHub account, through the apps that are set for connections.
 *
 * An account is linked by somebody who is signed in, and found again by issuer and subject; an address links nothing,
 * verified or not, because addresses are given away and taken back. Who was never linked is refused, in the same words
 * whatever address they have. The tokens that come along are not kept: Google is asked for none that lasts, and GitHub's is
 * revoked at once.
 *
 * @module
 */
import type { AppDb } from '../db/app-db'
import { enterTenant, tenantsOf } from '../db/enter-tenant'
import { isUniqueViolation } from '../db/retry'
import { notFound } from '../errors'
import { requireOwnSignIn } from '../identity/entry'
import type { SignInLimits } from '../identity/limits'
import { homeTenant } from '../identity/people'
import type { WebSession, WebSessions } from '../identity/sessions'
import type { Ticket, Visitor } from '../identity/visitor'
import { brand, newId, type Id, type PersonId } from '../ids'
import type { Log } from '../log'
import type { ProviderClient, ProviderIdentity, Providers } from '../providers/client'
import type { TokenSet } from '../providers/token-set'
import { Secret } from '../secret'
import type { RecordsEvents } from '../tenancy/events'
import { beginAttempt, spendAttempt } from './attempts'

export const SOCIAL = ['google', 'github'] as const
export type SocialProvider = (typeof SOCIAL)[number]

export type SocialProblem =
  | 'state_invalid'
  | 'declined'
  | 'session_changed'
  | 'provider_failed'
  | 'answer_invalid'
  | 'not_linked'
  | 'linked_to_other'
  | 'provider_linked'
  | 'disabled'

export type SocialOutcome =
  | { readonly kind: 'signed_in'; readonly ticket: Ticket; readonly next: string | null }
  | { readonly kind: 'linked'; readonly next: string | null }
  | { readonly kind: 'refused'; readonly problem: SocialProblem; readonly isLink: boolean }

export interface LinkedAccount {
  readonly id: Id<'personIdentity'>
  readonly provider: 'oidc' | SocialProvider
  readonly tenantId: string | null
  readonly issuer: string
  readonly label: string
  readonly createdAt: Date
  readonly lastUsedAt: Date
}

export interface SocialSignIn {
  /** Those that can be used here. */
  readonly available: readonly { readonly name: SocialProvider; readonly displayName: string }[]
  /** @throws AppError `resource.not_found`, `request.rate_limited`, `auth.forbidden` to link from a session of an issuer's */
  start(
    provider: string,
    options: { readonly visitor: Visitor; readonly next: string | undefined; readonly link?: WebSession | undefined },
  ): Promise<URL>
  finish(provider: string, callbackUrl: URL, visitor: Visitor, session: WebSession | undefined): Promise<SocialOutcome>
  links(personId: PersonId): Promise<readonly LinkedAccount[]>
  /** @throws AppError `resource.not_found`; `resource.conflict` when nothing else would let the person in */
  unlink(session: WebSession, identityId: string, network: string): Promise<void>
}

export interface SocialSignInDeps {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly providers: Pick<Providers, 'get'>
  readonly sessions: Pick<WebSessions, 'start'>
  readonly limits: Pick<SignInLimits, 'count'>
  readonly publicUrl: string
  /** On loopback anybody is who they say they are in the sandbox; on the internet nobody may be. */
  readonly allowSandbox: boolean
  readonly log: Pick<Log, 'warn'>
}

/** Who it is, and nothing that lasts. */
const identityScopes = ({ definition }: ProviderClient): string[] =>
  definition.scopes.identity.filter((scope) => scope !== 'offline_access')

export function createSocialSignIn(deps: SocialSignInDeps): SocialSignIn {
  const { appDb, events, providers, limits, publicUrl } = deps

  const clientOf = (provider: string): { readonly name: SocialProvider; readonly client: ProviderClient } => {
    const name = SOCIAL.find((one) => one === provider)
    const client = name === undefined ? undefined : providers.get(name)
    if (name === undefined || client === undefined || (client.app.sandbox && !deps.allowSandbox)) throw notFound()
    return { name, client }
  }
  const count = ({ network }: Visitor) => limits.count('sso', { network, isKnown: () => Promise.resolve(true) })
  const redirectUri = (name: SocialProvider) => `${publicUrl}/signin/with/${name}/callback`

  /** The token proves who it is and is of no use afterwards. Google's would take the person's connections along. */
  const discard = async (name: SocialProvider, client: ProviderClient, tokens: TokenSet | null): Promise<void> => {
    if (name !== 'github' || tokens === null) return
    try {
      await client.revoke({ accessToken: tokens.accessToken }, 'token')
    } catch (error) {
      deps.log.warn({ err: error, provider: name }, 'a token of a sign-in was not revoked')
    }
  }

  const identityOf = async (client: ProviderClient, tokens: TokenSet): Promise<ProviderIdentity | undefined> => {
    const result = await client.identify(tokens.accessToken)
    return result.kind === 'known' ? result.identity : undefined
  }

  return {
    available: SOCIAL.flatMap((name) => {
      const client = providers.get(name)
      return client === undefined || (client.app.sandbox && !deps.allowSandbox)
        ? []
        : [{ name, displayName: client.definition.displayName }]
    }),

    async start(provider, { visitor, next, link }) {
      const { name, client } = clientOf(provider)
      if (link !== undefined) requireOwnSignIn(link)
      await count(visitor)
      const begun = await beginAttempt(
        appDb,
        {
          provider: name,
          tenantId: null,
          configId: null,
          issuer: client.definition.endpoints.issuer,
          clientId: client.app.clientId,
          link: link === undefined ? null : { personId: link.personId, sessionId: link.sessionId },
          isRenewal: false,
          next: next ?? null,
        },
        visitor.browserHash,
      )
      const url = await client.authorizationUrl({
        redirectUri: redirectUri(name),
        state: new Secret(begun.state),
        nonce: begun.nonce,
        codeVerifier: begun.codeVerifier,
        scopes: identityScopes(client),
      })
      // Who somebody is needs no token that lasts, and no consent each time.
      for (const parameter of ['access_type', 'include_granted_scopes']) url.searchParams.delete(parameter)
      if (url.searchParams.has('prompt')) url.searchParams.set('prompt', 'select_account')
      return url
    },

    async finish(provider, callbackUrl, visitor, session) {
      const { name, client } = clientOf(provider)
      await count(visitor)
      const states = callbackUrl.searchParams.getAll('state')
      const state = states.length === 1 ? (states[0] ?? '') : ''
      const attempt = await spendAttempt(appDb.global, {
        state,
        browserHash: visitor.browserHash,
        provider: name,
        configId: null,
      })
      const isLink = attempt !== undefined && attempt.link !== null
      const refused = (problem: SocialProblem): SocialOutcome => ({ kind: 'refused', problem, isLink })
      if (attempt === undefined || attempt.clientId !== client.app.clientId) return refused('state_invalid')
      const { link } = attempt
      if (link !== null && (session?.sessionId !== link.sessionId || session.personId !== link.personId))
        return refused('session_changed')
      const exchanged = await client.exchangeCode({
        callbackUrl,
        redirectUri: redirectUri(name),
        state: new Secret(state),
        nonce: attempt.nonce,
        codeVerifier: attempt.codeVerifier,
        requestedScopes: identityScopes(client),
      })
      if (exchanged.kind === 'declined') return refused('declined')
      if (exchanged.kind === 'untrusted') {
        await discard(name, client, exchanged.tokens)
        return refused('answer_invalid')
      }
      if (exchanged.kind !== 'issued') return refused('provider_failed')
      const identity = exchanged.identity ?? (await identityOf(client, exchanged.tokens))
      await discard(name, client, exchanged.tokens)
      if (identity === undefined) return refused('provider_failed')
      const { issuer } = attempt
      const { subject, label } = identity

      return appDb
        .transaction(async (tx): Promise<SocialOutcome> => {
          const rows = await tx.$queryRaw<{ id: string; person_id: string; is_disabled: boolean }[]>`
          SELECT i.id, i.person_id, p.disabled_at IS NOT NULL AS is_disabled FROM person_identity i JOIN person p ON p.id = i.person_id
           WHERE i.tenant_id IS NULL AND i.issuer = ${issuer} AND i.subject = ${subject} FOR UPDATE OF i`
          const known = rows[0]
          if (link !== null) {
            if (known !== undefined)
              return known.person_id === link.personId
                ? { kind: 'linked', next: attempt.next }
                : refused('linked_to_other')
            const other = await tx.personIdentity.count({
              where: { personId: link.personId, provider: name, tenantId: null },
            })
            if (other > 0) return refused('provider_linked')
            const id = newId('personIdentity')
            await tx.personIdentity.create({
              data: { id, personId: link.personId, provider: name, issuer, subject, label },
            })
            for (const tenantId of await tenantsOf(tx, link.personId)) {
              await enterTenant(tx, tenantId)
              await events.event(tx, {
                tenantId,
                action: 'sign_in.linked',
                actor: { kind: 'person', personId: link.personId },
                targetId: id,
                detail: { provider: name },
                network: visitor.network,
              })
            }
            return { kind: 'linked', next: attempt.next }
          }
          if (known === undefined) return refused('not_linked')
          if (known.is_disabled) return refused('disabled')
          const personId: PersonId = brand(known.person_id)
          const tenantId = await homeTenant(tx, personId)
          const started = await deps.sessions.start(tx, {
            personId,
            method: name,
            ...visitor,
            ...(tenantId === undefined ? {} : { tenantId }),
          })
          await tx.$executeRaw`UPDATE web_session SET identity_id = ${known.id} WHERE id = ${started.sessionId}`
          await tx.$executeRaw`UPDATE person_identity SET last_used_at = now() WHERE id = ${known.id}`
          if (tenantId !== undefined) {
            await enterTenant(tx, tenantId)
            await events.event(tx, {
              tenantId,
              action: 'person.signed_in',
              actor: { kind: 'person', personId },
              targetId: started.sessionId,
              detail: { method: name },
              network: visitor.network,
            })
          }
          return { kind: 'signed_in', ticket: { personId, ...started }, next: attempt.next }
        })
        .catch((error: unknown) => {
          if (isUniqueViolation(error)) return refused('linked_to_other')
          throw error
        })
    },

    async links(personId) {
      const rows = await appDb.global.personIdentity.findMany({ where: { personId }, orderBy: { createdAt: 'asc' } })
      return rows.map((row) => ({
        id: brand<'personIdentity'>(row.id),
        provider: row.provider === 'oidc' ? 'oidc' : row.provider === 'google' ? 'google' : 'github',
        tenantId: row.tenantId,
        issuer: row.issuer,
        label: row.label,
        createdAt: row.createdAt,
        lastUsedAt: row.lastUsedAt,
      }))
    },

    async unlink(session, identityId, network) {
      requireOwnSignIn(session)
      const { personId } = session
      await appDb.transaction(async (tx) => {
        const rows = await tx.$queryRaw<{ id: string; tenant_id: string | null; provider: string }[]>`
          DELETE FROM person_identity WHERE id = ${identityId} AND person_id = ${personId} RETURNING id, tenant_id, provider`
        const gone = rows[0]
        if (gone === undefined) throw notFound()
        await tx.$executeRaw`
          UPDATE web_session SET status = 'ended', ended_at = now(), ended_reason = 'sign_in_unlinked'
           WHERE identity_id = ${gone.id} AND person_id = ${personId} AND id <> ${session.sessionId} AND status <> 'ended'`
        const told = gone.tenant_id === null ? await tenantsOf(tx, personId) : [brand<'tenant'>(gone.tenant_id)]
        for (const tenantId of told) {
          await enterTenant(tx, tenantId)
          await events.never(tx, {
            tenantId,
            action: 'sign_in.unlinked',
            actor: { kind: 'person', personId },
            targetId: gone.id,
            detail: { provider: gone.provider },
            network,
          })
        }
      })
    },
  }
}
