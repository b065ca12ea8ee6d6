'use client'

/**
 * The question of an application that wants an agent, as the gateway puts it, and the person's answer.
 *
 * @module
 */
import type { ActionResult, ValueResult } from '@/components/action'
import type { ConsentClient, ConsentProvider, ConsentRefusal, ConsentRequest } from '@/components/pages/consent-request'

import { flag, items, load, maybeNumber, maybeText, texts } from './load'
import { providerName } from './providers'
import { isRecord, send, text } from './request'

export type Consent =
  | { readonly kind: 'refused'; readonly reason: ConsentRefusal; readonly client: ConsentClient }
  | {
      readonly kind: 'ask'
      readonly request: ConsentRequest
      readonly workspaceId: string
      /** Goes back with the approval: it is for exactly what was shown. */
      readonly proof: string
    }

export const resumePath = (uid: string): `/${string}` => `/oauth/authorize/${encodeURIComponent(uid)}`
const path = (uid: string): `/${string}` => `${resumePath(uid)}/consent`

export function loadConsent(uid: string, signal: AbortSignal): Promise<ValueResult<Consent>> {
  return load(path(uid), parseConsent, signal)
}

/** Says what was decided and has the browser tell the application. The gateway names the way; it is below this origin. */
export async function answerConsent(
  uid: string,
  answer: { readonly decision: 'approve'; readonly proof: string } | { readonly decision: 'deny' },
): Promise<ActionResult> {
  const answered = await send('POST', path(uid), { ...answer }, (body) => text(body, 'next'))
  if (!answered.ok) return answered
  if (answered.value !== resumePath(uid)) throw new TypeError('the answer leads elsewhere')
  window.location.assign(answered.value)
  return { ok: true }
}

const REASONS = ['no_agent', 'several_agents', 'no_access', 'role', 'foreign_client'] as const

export function parseConsent(body: unknown): Consent {
  const { kind, client, agent, person, workspace, access, scopes } = isRecord(body) ? body : {}
  if (kind === 'refused') {
    const reason = REASONS.find((one) => one === text(body, 'reason')) ?? 'no_access'
    return { kind, reason, client: parseClient(client) }
  }
  if (kind !== 'ask') throw new TypeError('the answer is no question')
  const days = (name: string) => {
    const value = maybeNumber(body, name)
    if (value === null) throw new TypeError(`the answer has no ${name}`)
    return value
  }
  return {
    kind,
    workspaceId: text(workspace, 'id'),
    proof: text(body, 'proof'),
    request: {
      client: parseClient(client),
      person: { name: text(person, 'name'), email: text(person, 'email') },
      workspace: text(workspace, 'name'),
      agent: text(agent, 'name'),
      isReadOnly: !texts(scopes).includes('mcp:write'),
      providers: parseAccess(access),
      idleDays: days('idleDays'),
      absoluteDays: days('absoluteDays'),
    },
  }
}

function parseClient(client: unknown): ConsentClient {
  const source = text(client, 'source')
  return {
    name: text(client, 'name'),
    idHost: maybeText(client, 'idHost'),
    // An unknown word of a newer server is shown as the kind that nobody vouches for.
    source: source === 'document' || source === 'manual' ? source : 'registered',
    redirectUri: text(client, 'redirectUri'),
    redirectHost: text(client, 'redirectHost'),
    isLocalOnly: flag(client, 'isLocalOnly'),
  }
}

function parseAccess(access: unknown): readonly ConsentProvider[] {
  const { tools, accounts, missingProviders } = isRecord(access) ? access : {}
  const missing = texts(missingProviders)
  const ofTools = items({ items: tools }, (tool) => ({
    provider: text(tool, 'provider'),
    name: text(tool, 'name'),
    title: text(tool, 'title'),
    isReadOnly: flag(tool, 'isReadOnly'),
  }))
  const ofAccounts = items({ items: accounts }, (account) => ({
    provider: text(account, 'provider'),
    label: text(account, 'label'),
    isUsable: flag(account, 'isUsable'),
  }))
  return [...new Set(ofTools.map(({ provider }) => provider))].map((provider) => ({
    provider,
    name: providerName(provider),
    accounts: ofAccounts.filter((account) => account.provider === provider),
    tools: ofTools.filter((tool) => tool.provider === provider),
    isMissing: missing.includes(provider),
  }))
}
