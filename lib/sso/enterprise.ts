/**
 * Signing in through a workspace's own issuer.
 *
 * Where it begins: an address names a domain, a link names a workspace; neither look-up reads anything about a person, so
 * nothing tells whether anybody has an account. What comes back is believed in this order: the state (once, this browser,
 * this configuration), the issuer's checks of its own answer, the subject; and, for somebody unknown, an address that the
 * issuer vouches for within a domain the workspace has proven.
 *
 * Accounts are joined on workspace, issuer and subject, never on an address: who arrives with the address of an account
 * that is there already has to sign in to that account first, in this browser, and link.
 *
 * @see OpenID Connect Core 1.0 §5.7, RFC 9700 §4.4 (mix-up), §4.7
 * @module
 */
import type { Clock } from '../clock'
import type { AppDb, AppTx } from '../db/app-db'
import { isUniqueViolation } from '../db/retry'
import { AppError } from '../errors'
import { findEmailAddress, type EmailAddress } from '../identity/email-address'
import { entriesOf } from '../identity/entry'
import type { SignInLimits } from '../identity/limits'
import { insertPerson } from '../identity/people'
import type { WebSession, WebSessions } from '../identity/sessions'
import type { Ticket, Visitor } from '../identity/visitor'
import { brand, newId, type Id, type PersonId, type TenantId } from '../ids'
import type { ExchangeProblem, Issuers } from '../providers/issuer'
import type { RecordsEvents } from '../tenancy/events'
import { holdQuota } from '../tenancy/quotas'
import { beginAttempt, spendAttempt, type Attempt } from './attempts'
import { addressOf, domainOf, nameOf, provenAt, subjectOf, type ClaimsProblem } from './claims'
import { clientOf, redirectUriOf } from './config'
import { verifiedDomains } from './domains'
import type { SignInKeys } from './secret'

export type SignInProblem =
  | ExchangeProblem
  | ClaimsProblem
  /** Spent, too old, of another browser, or begun with another issuer than answers. */
  | 'state_invalid'
  | 'declined'
  | 'config_changed'
  | 'session_changed'
  /** Somebody else here is this person of the issuer's. */
  | 'linked_to_other'
  /** This person is somebody else at the issuer already. */
  | 'other_subject_linked'
  /** The address is that of a member who is somebody else at the issuer: a changed subject is another person. */
  | 'subject_changed'
  | 'account_exists'
  | 'not_a_member'
  | 'joining_closed'
  | 'workspace_full'
  | 'disabled'

export type SignInOutcome =
  | { readonly kind: 'signed_in'; readonly ticket: Ticket; readonly next: string | null }
  | { readonly kind: 'linked'; readonly next: string | null }
  | { readonly kind: 'refused'; readonly problem: SignInProblem; readonly isLink: boolean }

export interface StartOptions {
  readonly visitor: Visitor
  readonly next: string | undefined
  /** Whoever is signed in and wants to link; absent for signing in. */
  readonly link?: WebSession | undefined
  /** To prove oneself anew, for a session that came this way. */
  readonly renew?: boolean
}

export interface EnterpriseSignIn {
  /**
   * @returns where to send the browser
   * @throws AppError `request.invalid` where there is no such sign-in, `provider.unavailable`, `request.rate_limited`
   */
  start(by: { readonly email: string } | { readonly workspace: string }, options: StartOptions): Promise<URL>
  /** @param search  the query of the callback */
  finish(configId: string, search: string, visitor: Visitor, session: WebSession | undefined): Promise<SignInOutcome>
}

export interface EnterpriseSignInDeps {
  readonly appDb: AppDb
  readonly events: RecordsEvents
  readonly keys: SignInKeys
  readonly issuers: Issuers
  readonly sessions: Pick<WebSessions, 'start'>
  readonly limits: Pick<SignInLimits, 'count'>
  readonly publicUrl: string
  readonly clock: Clock
}

const SLUG = /^[a-z0-9](-?[a-z0-9]){0,47}$/

export function createEnterpriseSignIn(deps: EnterpriseSignInDeps): EnterpriseSignIn {
  const { appDb, events, keys, issuers, limits, publicUrl, clock } = deps

  const count = ({ network }: Visitor) => limits.count('sso', { network, isKnown: () => Promise.resolve(true) })

  async function tenantOf(
    by: { readonly email: string } | { readonly workspace: string },
  ): Promise<TenantId | undefined> {
    if ('email' in by) {
      const email = findEmailAddress(by.email)
      if (email === undefined) return undefined
      const rows = await appDb.global.$queryRaw<{ tenant_id: TenantId }[]>`
        SELECT tenant_id FROM sign_in_tenant_of_domain(${domainOf(email)})`
      return rows[0]?.tenant_id
    }
    if (!SLUG.test(by.workspace)) return undefined
    const rows = await appDb.global.$queryRaw<{ tenant_id: TenantId }[]>`
      SELECT tenant_id FROM sign_in_tenant_of_slug(${by.workspace})`
    return rows[0]?.tenant_id
  }

  /** What came back and what it was worth, before anything is written. */
  async function learn(attempt: Attempt & { readonly tenantId: TenantId }, search: string): Promise<Learned> {
    const { tenantId } = attempt
    const { row, domains } = await appDb.tenant(tenantId, async (tx) => ({
      row: await tx.signInConfig.findUnique({ where: { tenantId } }),
      domains: await verifiedDomains(tx, tenantId),
    }))
    // Begun with one issuer, it is not finished with another.
    if (row?.id !== attempt.configId || row.issuer !== attempt.issuer || row.clientId !== attempt.clientId)
      return { problem: 'config_changed' }
    const client = await clientOf(keys, tenantId, row)
    const state = new URLSearchParams(search).get('state') ?? ''
    const vouched = await issuers.exchange(client, {
      search,
      redirectUri: redirectUriOf(publicUrl, row.id),
      state,
      nonce: attempt.nonce,
      codeVerifier: attempt.codeVerifier,
      renew: attempt.isRenewal,
    })
    if (vouched.kind === 'declined') return { problem: 'declined' }
    if (vouched.kind === 'failed') return { problem: vouched.problem }
    const { claims } = vouched
    const who = subjectOf(claims, row.issuer)
    if ('problem' in who) return who
    const address = addressOf(claims, row.issuer, domains)
    return {
      configId: brand(row.id),
      issuer: row.issuer,
      clientId: row.clientId,
      subject: who.subject,
      address,
      name: nameOf(claims),
      label: labelOf(claims),
      provenAt: provenAt(claims, clock.now()),
    }
  }

  /** Whose subject it is, or becomes. */
  async function personOf(
    tx: AppTx,
    tenantId: TenantId,
    known: Known,
    attempt: Attempt,
    network: string,
  ): Promise<{ readonly personId: PersonId; readonly identityId: string } | { readonly problem: SignInProblem }> {
    const rows = await tx.$queryRaw<{ id: string; person_id: string; is_disabled: boolean }[]>`
      SELECT i.id, i.person_id, p.disabled_at IS NOT NULL AS is_disabled FROM person_identity i JOIN person p ON p.id = i.person_id
       WHERE i.tenant_id = ${tenantId} AND i.issuer = ${known.issuer} AND i.subject = ${known.subject}`
    const identity = rows[0]
    if (identity !== undefined) {
      const personId: PersonId = brand(identity.person_id)
      if (attempt.link !== null && attempt.link.personId !== personId) return { problem: 'linked_to_other' }
      if (identity.is_disabled) return { problem: 'disabled' }
      // Who was removed does not come back by signing in: somebody has to add them again.
      return (await isMember(tx, tenantId, personId))
        ? { personId, identityId: identity.id }
        : { problem: 'not_a_member' }
    }
    if ('problem' in known.address) return known.address
    const { email } = known.address
    if (attempt.link !== null) {
      const { personId } = attempt.link
      if (!(await isMember(tx, tenantId, personId))) return { problem: 'not_a_member' }
      if (await isLinked(tx, tenantId, personId)) return { problem: 'other_subject_linked' }
      return { personId, identityId: await addIdentity(tx, tenantId, personId, known, network) }
    }
    const holder = await tx.person.findUnique({ where: { emailCanonical: email.canonical }, select: { id: true } })
    if (holder !== null)
      return { problem: (await isLinked(tx, tenantId, brand(holder.id))) ? 'subject_changed' : 'account_exists' }
    const config = await tx.signInConfig.findUniqueOrThrow({ where: { tenantId }, select: { joinRole: true } })
    if (config.joinRole === null) return { problem: 'joining_closed' }
    await holdQuota(tx, tenantId, 'members')
    const personId = await insertPerson(tx, {
      email,
      name: known.name,
      passwordHash: undefined,
      isEmailVerified: true,
    })
    await tx.membership.create({ data: { tenantId, personId, role: config.joinRole } })
    await events.event(tx, {
      tenantId,
      action: 'member.added',
      actor: { kind: 'person', personId },
      detail: { personId, role: config.joinRole },
      reason: 'single_sign_on',
      network,
    })
    return { personId, identityId: await addIdentity(tx, tenantId, personId, known, network) }
  }

  async function addIdentity(tx: AppTx, tenantId: TenantId, personId: PersonId, known: Known, network: string) {
    const id = newId('personIdentity')
    await tx.personIdentity.create({
      data: {
        id,
        personId,
        tenantId,
        provider: 'oidc',
        issuer: known.issuer,
        subject: known.subject,
        label: known.label,
      },
    })
    await events.event(tx, {
      tenantId,
      action: 'sign_in.linked',
      actor: { kind: 'person', personId },
      targetId: id,
      detail: { issuer: known.issuer },
      network,
    })
    return id
  }

  /** One transaction: person, membership, identity, session and the records of them, or nothing. */
  async function settle(tenantId: TenantId, known: Known, attempt: Attempt, visitor: Visitor): Promise<SignInOutcome> {
    return appDb.tenant(tenantId, async (tx) => {
      // A configuration that is being removed ends the sessions that are there: this one is there, or not made.
      const held = await tx.$executeRaw`
        UPDATE sign_in_config SET signed_in_at = now()
         WHERE tenant_id = ${tenantId} AND id = ${known.configId} AND issuer = ${known.issuer} AND client_id = ${known.clientId}`
      if (held !== 1) throw new Refused('config_changed')
      const found = await personOf(tx, tenantId, known, attempt, visitor.network)
      if ('problem' in found) throw new Refused(found.problem)
      const { personId, identityId } = found
      if (attempt.link !== null) {
        const entry = (await entriesOf(tx, attempt.link.sessionId)).find((one) => one.tenantId === tenantId)?.entry
        if (entry === undefined) throw new Refused('session_changed')
        // Where the workspace asks for it, linking lets in at once; elsewhere the person stays who they were.
        if (entry === 'open') return { kind: 'linked', next: attempt.next }
      }
      const session = await deps.sessions.start(tx, { personId, tenantId, method: 'sso', ...visitor })
      await tx.$executeRaw`
        UPDATE web_session SET only_tenant_id = ${tenantId}, identity_id = ${identityId}, authenticated_at = ${known.provenAt}
         WHERE id = ${session.sessionId}`
      const used = await tx.$executeRaw`
        UPDATE person_identity SET last_used_at = now(), label = ${known.label} WHERE id = ${identityId}`
      if (used !== 1) throw new Refused('config_changed') // unlinked a moment ago
      await events.event(tx, {
        tenantId,
        action: session.isWaiting ? 'person.second_factor_asked' : 'person.signed_in',
        actor: { kind: 'person', personId, webSessionId: session.sessionId },
        targetId: session.sessionId,
        detail: { method: 'sso' },
        network: visitor.network,
      })
      return { kind: 'signed_in', ticket: { personId, ...session }, next: attempt.next }
    })
  }

  const recordRefusal = (tenantId: TenantId, problem: SignInProblem, visitor: Visitor) =>
    events.never(null, {
      tenantId,
      action: 'person.sign_in_refused',
      actor: { kind: 'anonymous' },
      outcome: 'denied',
      reason: problem,
      detail: { method: 'sso' },
      network: visitor.network,
    })

  return {
    async start(by, { visitor, next, link, renew = false }) {
      await count(visitor)
      const tenantId = await tenantOf(by)
      const config =
        tenantId === undefined
          ? null
          : await appDb.tenant(tenantId, (tx) => tx.signInConfig.findUnique({ where: { tenantId } }))
      if (tenantId === undefined || config === null) throw notSetUp(by)
      const found = await issuers.discover(config.issuer)
      if (found.kind === 'failed')
        throw new AppError(
          'provider.unavailable',
          'The sign-in of your organization does not answer as it should. Try again later, or tell your administrator.',
          { internal: { problem: found.problem } },
        )
      const isRenewal = renew || (await hasJustLeft(appDb, tenantId, visitor.browserHash))
      const begun = await beginAttempt(
        appDb,
        {
          provider: 'oidc',
          tenantId,
          configId: config.id,
          issuer: config.issuer,
          clientId: config.clientId,
          link: link === undefined ? null : { personId: link.personId, sessionId: link.sessionId },
          isRenewal,
          next: next ?? null,
        },
        visitor.browserHash,
      )
      return issuers.authorizationUrl(found.document, config.clientId, {
        ...begun,
        redirectUri: redirectUriOf(publicUrl, config.id),
        renew: isRenewal,
        ...('email' in by ? { loginHint: by.email } : {}),
      })
    },

    async finish(configId, search, visitor, session) {
      await count(visitor)
      const states = new URLSearchParams(search).getAll('state')
      const attempt = await spendAttempt(appDb.global, {
        state: states.length === 1 ? states[0] : undefined,
        browserHash: visitor.browserHash,
        provider: 'oidc',
        configId,
      })
      if (attempt?.tenantId == null) return { kind: 'refused', problem: 'state_invalid', isLink: false }
      const { tenantId } = attempt
      const refuse = async (problem: SignInProblem): Promise<SignInOutcome> => {
        await recordRefusal(tenantId, problem, visitor)
        return { kind: 'refused', problem, isLink: attempt.link !== null }
      }
      if (
        attempt.link !== null &&
        (session?.sessionId !== attempt.link.sessionId || session.personId !== attempt.link.personId)
      )
        return refuse('session_changed')
      const learned = await learn({ ...attempt, tenantId }, search)
      if ('problem' in learned) return refuse(learned.problem)
      for (let round = 0; ; round += 1) {
        try {
          return await settle(tenantId, learned, attempt, visitor)
        } catch (error) {
          if (error instanceof Refused) return refuse(error.problem)
          if (error instanceof AppError && error.code === 'resource.limit_exceeded') return refuse('workspace_full')
          // Two first sign-ins of one person at once: the second finds what the first made.
          if (
            round > 0 ||
            !(isUniqueViolation(error) || (error instanceof AppError && error.code === 'resource.conflict'))
          )
            throw error
        }
      }
    },
  }
}

interface Known {
  readonly configId: Id<'signInConfig'>
  readonly issuer: string
  readonly clientId: string
  readonly subject: string
  readonly address: { readonly email: EmailAddress } | { readonly problem: ClaimsProblem }
  readonly name: string
  readonly label: string
  readonly provenAt: Date
}
type Learned = Known | { readonly problem: SignInProblem }

/** Undoes a transaction whose answer is a refusal. */
class Refused extends Error {
  readonly problem: SignInProblem
  constructor(problem: SignInProblem) {
    super(problem)
    this.problem = problem
  }
}

/**
 * Whether somebody signed out of this workspace in this browser a moment ago. Who then signs in proves it anew, so that
 * signing out is worth something, and so that step-up, which asks for just that, is not answered by a session of hours.
 */
async function hasJustLeft(appDb: AppDb, tenantId: TenantId, browserHash: Buffer): Promise<boolean> {
  const rows = await appDb.global.$queryRaw<{ has_left: boolean }[]>`
    SELECT EXISTS (SELECT 1 FROM web_session WHERE only_tenant_id = ${tenantId} AND browser_hash = ${browserHash}
                    AND ended_reason = 'signed_out' AND ended_at > now() - interval '15 minutes') AS has_left`
  return rows[0]?.has_left === true
}

async function isMember(tx: AppTx, tenantId: TenantId, personId: PersonId): Promise<boolean> {
  return (await tx.membership.count({ where: { tenantId, personId } })) > 0
}

async function isLinked(tx: AppTx, tenantId: TenantId, personId: PersonId): Promise<boolean> {
  return (await tx.personIdentity.count({ where: { tenantId, personId } })) > 0
}

/** Shown to the person and to administrators, beside the account it is linked to. */
function labelOf(claims: Readonly<Record<string, unknown>>): string {
  const label = ['email', 'preferred_username', 'name']
    .map((name) => claims[name])
    .find((one) => typeof one === 'string')
  return typeof label === 'string' ? label.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, '').slice(0, 320) : ''
}

function notSetUp(by: { readonly email: string } | { readonly workspace: string }): AppError {
  return 'email' in by
    ? new AppError(
        'request.invalid',
        'Single sign-on is not set up for this domain. Sign in another way, or ask your administrator.',
        { field: 'email' },
      )
    : new AppError('request.invalid', 'Single sign-on is not set up for this workspace. Ask your administrator.', {
        field: 'workspace',
      })
}
