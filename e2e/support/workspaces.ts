/**
 * Two workspaces with everything in them that has an id, people of every role in the first, and a stranger who owns the
 * second: what the authorization sweep asks about, and as whom.
 *
 * @module
 */
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'

import { expect } from '@playwright/test'

import { newId } from '../../lib/ids'
import type { Role } from '../../lib/tenancy/principal'
import { portcullis, type CommandResult } from './cli'
import { READS, startConnected, type Connected } from './connected'
import { withDatabase } from './database'
import type { Actor, Recorded, RoleActor, Send } from './sweep/checks'
import { addPasskey } from './passkey'
import { createVisitor, redeemTicket, signIn, type Visitor } from './visitor'

export interface Workspaces {
  readonly connected: Connected
  readonly owner: Visitor
  readonly stranger: Visitor
  readonly strangerKey: string
  /** API keys of the first workspace, by role, each of a person of that role. */
  readonly keys: Readonly<Record<Role, string>>
  readonly people: Readonly<Record<Role, Visitor>>
  /** Ids of the first workspace, by prefix. */
  readonly recorded: Recorded
  /** Ids of the stranger's own. */
  readonly strangers: Recorded
  readonly roleActors: readonly RoleActor[]
  readonly environment: Readonly<Record<string, string>>
}

const ROLES = ['owner', 'admin', 'member', 'auditor'] as const
const LOCAL = 'second'
export const emailOf = (who: string) => `${who}@sweep.example`

export async function startWorkspaces(): Promise<Workspaces> {
  const connected = await startConnected({ providers: ['github', 'slack'] })
  const { owner, product } = connected
  const environment = { PORTCULLIS_DATA_DIR: product.dataDir }
  const cli = async (...args: string[]) => done(await portcullis([...args, '--json'], environment), args)
  const first = ((await owner.send('/api/v1/workspace')).json() as Named).id

  const second = await cli('tenant', 'create', '--name', LOCAL)
  await Promise.all([
    ...(['admin', 'member', 'auditor'] as const).map((role) =>
      cli('user', 'create', '--email', emailOf(role), '--role', role, '--tenant', first),
    ),
    // Asked about, and asks nothing: everybody may remove themselves.
    cli('user', 'create', '--email', emailOf('bystander'), '--role', 'auditor', '--tenant', first),
    cli('user', 'create', '--email', emailOf('stranger'), '--role', 'owner', '--tenant', second.id),
  ])
  const [strangerKey, ownerKey, adminKey, memberKey, auditorKey] = await Promise.all([
    cli(
      'api-key',
      'create',
      '--name',
      'sweep',
      '--role',
      'owner',
      '--tenant',
      second.id,
      '--user',
      emailOf('stranger'),
    ),
    // A key says at most what its role says, and never does more than its person may.
    cli('api-key', 'create', '--name', 'sweep', '--role', 'owner', '--tenant', first),
    cli('api-key', 'create', '--name', 'sweep', '--role', 'owner', '--tenant', first, '--user', emailOf('admin')),
    cli('api-key', 'create', '--name', 'sweep', '--role', 'member', '--tenant', first),
    cli('api-key', 'create', '--name', 'sweep', '--role', 'owner', '--tenant', first, '--user', emailOf('auditor')),
  ])
  const people = {
    owner,
    admin: await signInByMail(connected, emailOf('admin')),
    member: await signInByMail(connected, emailOf('member')),
    auditor: await signInByMail(connected, emailOf('auditor')),
  }
  // A colleague's: whoever has one is asked for it wherever they sign in again, as the owner does here.
  const passkey = await addPasskey(people.admin, product.url)
  const stranger = await signInByMail(connected, emailOf('stranger'))
  const keys = {
    owner: ownerKey.apiKey ?? '',
    admin: adminKey.apiKey ?? '',
    member: memberKey.apiKey ?? '',
    auditor: auditorKey.apiKey ?? '',
  }

  return {
    connected,
    owner,
    stranger,
    strangerKey: strangerKey.apiKey ?? '',
    keys,
    people,
    recorded: new Map([...(await recordOwners(connected, first, ownerKey.id)), ['pky', passkey]]),
    strangers: await recordStrangers(stranger, second.id, strangerKey.id),
    roleActors: ROLES.flatMap((role) => [
      { name: `${role} by cookie`, role, kind: 'person' as const, send: people[role].send },
      { name: `${role} by key`, role, kind: 'api_key' as const, send: byKey(product.url, keys[role]).send },
    ]),
    environment,
  }
}

/** A program with this API key, and nothing else. */
export function byKey(url: string, key: string): Actor {
  const visitor = createVisitor(url)
  const send: Send = (target, options = {}) =>
    visitor.send(target, { ...options, headers: { ...options.headers, authorization: `Bearer ${key}` } })
  return { name: 'by key', send }
}

async function recordOwners(connected: Connected, tenantId: string, apiKeyId: string): Promise<Recorded> {
  const { owner, agent, connections } = connected
  await agent.call(READS.github.tool, READS.github.args)
  const call = (await items(owner, '/api/v1/activity?kind=call')).find(({ callId }) => callId !== null)
  const started = (await owner.send('/connect/github', { json: {} })).json() as { attemptId: string } // the gateway's own shape
  const members = await items(owner, '/api/v1/members')
  return new Map([
    ['ten', tenantId],
    ['per', members.find(({ email }) => email === emailOf('bystander'))?.personId ?? ''],
    ['ses', await anotherSession(connected)],
    ['con', connections.github],
    ['cat', started.attemptId],
    ['agt', agent.agentId],
    ['ags', (await items(owner, '/api/v1/sessions'))[0]?.id ?? ''],
    ['key', apiKeyId],
    ['cal', call?.callId ?? ''],
    ['aud', call?.id ?? ''],
    ['whk', await recordWebhook(owner)],
    ['cli', await recordClient(owner)],
    ['inv', await recordInvitation(owner)],
    ['aex', await recordExport(owner)],
    ['ast', await recordStream(owner)],
    ['ntf', await recordNotification(connected, tenantId)],
    ['idn', await recordSignIn(connected)],
  ])
}

/** An address that leads nowhere. */
async function recordWebhook(owner: Visitor): Promise<string> {
  const answer = await owner.send('/api/v1/webhooks', { json: { url: 'https://hooks.invalid/sweep' } })
  return (answer.json() as Named).id
}

/** A copy of the trail that the worker has finished. */
async function recordExport(owner: Visitor): Promise<string> {
  const { id } = (await owner.send('/api/v1/activity/exports', { json: { format: 'jsonl' } })).json() as Named
  const status = async () => ((await owner.send(`/api/v1/activity/exports/${id}`)).json() as { status: string }).status // the API's own shape
  await expect.poll(status, { timeout: 60_000 }).toBe('ready')
  return id
}

/** A receiver that is not there. */
async function recordStream(owner: Visitor): Promise<string> {
  const target = { kind: 'webhook', url: 'https://siem.invalid/sweep' }
  return ((await owner.send('/api/v1/activity/streams', { json: { target } })).json() as Named).id
}

/** Somebody who is invited, and does not come. */
async function recordInvitation(owner: Visitor): Promise<string> {
  const answer = await owner.send('/api/v1/invitations', { json: { email: emailOf('invited') } })
  return (answer.json() as Named).id
}

/** An application that people of the workspace sign in with. */
async function recordClient(owner: Visitor): Promise<string> {
  const answer = await owner.send('/api/v1/oauth-clients', {
    json: { name: 'Sweep', redirectUris: ['https://client.invalid/callback'] },
  })
  return (answer.json() as Named).id
}

/**
 * A client asks for an agent in this visitor's browser, as far as the consent page.
 *
 * @returns the request's id and the cookies that tie it to the browser
 */
export async function beginAuthorization(
  url: string,
  visitor: Visitor,
  agentId: string,
): Promise<{ readonly uid: string; readonly cookies: Readonly<Record<string, string>> }> {
  const redirectUri = 'http://127.0.0.1:33418/callback'
  const registered = await createVisitor(url).send('/oauth/register', {
    json: { client_name: 'Sweep', redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' },
  })
  const { client_id: clientId } = registered.json() as { client_id: string } // RFC 7591 §3.2.1
  const query = new URLSearchParams({
    response_type: 'code',
    client_id: clientId,
    redirect_uri: redirectUri,
    code_challenge: createHash('sha256').update(newId('request')).digest('base64url'),
    code_challenge_method: 'S256',
    resource: `${url}/mcp/${agentId}`,
  })
  // A browser of its own, so that the visitor's keeps nothing of it.
  const browser = createVisitor(url)
  const answer = await browser.send(`/oauth/authorize?${query.toString()}`, {
    headers: { cookie: [...visitor.cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
  })
  const uid = /^\/consent\/([\w-]+)$/.exec(answer.headers.location ?? '')?.[1]
  if (uid === undefined) throw new Error(`the request answered ${answer.status}: ${answer.body}`)
  return { uid, cookies: Object.fromEntries(browser.cookies) }
}

/** An account elsewhere that the owner signs in with. */
async function recordSignIn({ owner, product }: Connected): Promise<string> {
  const id = newId('personIdentity')
  const { id: personId } = (await owner.send('/api/v1/account')).json() as Named
  await withDatabase(product.dataDir, 'portcullis', (query) =>
    query(
      "INSERT INTO person_identity (id, person_id, provider, issuer, subject, label) VALUES ($1, $2, 'github', 'https://github.com/login/oauth', 'sweep', 'sweep')",
      [id, personId],
    ),
  )
  return id
}

/** What the worker would have written had something happened. */
async function recordNotification({ owner, product }: Connected, tenantId: string): Promise<string> {
  const id = newId('notification')
  const { id: personId } = (await owner.send('/api/v1/account')).json() as Named
  await withDatabase(product.dataDir, 'portcullis', (query) =>
    query(
      "INSERT INTO notification (tenant_id, id, person_id, kind, label) VALUES ($1, $2, $3, 'webhook_disabled', 'hooks.invalid')",
      [tenantId, id, personId],
    ),
  )
  return id
}

/** Signs the owner in a second time. @returns the id of that web session, which is not the one in use */
export async function anotherSession({ owner, product, account }: Connected): Promise<string> {
  const before = new Set((await items(owner, '/api/v1/account/sessions')).map(({ id }) => id))
  await signIn(createVisitor(product.url), account)
  return (await items(owner, '/api/v1/account/sessions')).find(({ id }) => !before.has(id))?.id ?? ''
}

async function recordStrangers(stranger: Visitor, tenantId: string, apiKeyId: string): Promise<Recorded> {
  const agent = (await stranger.send('/api/v1/agents', { json: { name: 'Own' } })).json() as Named
  const session = (await stranger.send(`/api/v1/agents/${agent.id}/sessions`, { json: {} })).json() as Named & {
    sessionKey: string
  } // the API's own shape
  const me = (await stranger.send('/api/v1/account')).json() as Named
  return new Map([
    ['ten', tenantId],
    ['per', me.id],
    ['agt', agent.id],
    ['ags', session.id],
    ['key', apiKeyId],
    ['sessionKey', session.sessionKey],
  ])
}

interface Named {
  readonly id: string
}
interface Item extends Named {
  readonly callId?: string | null
  readonly email?: string
  readonly personId?: string
}

async function items(visitor: Visitor, target: string): Promise<readonly Item[]> {
  return ((await visitor.send(target)).json() as { items: Item[] }).items // a list of the API
}

function done(result: CommandResult, args: readonly string[]): Named & { readonly apiKey?: string } {
  if (result.status !== 0) throw new Error(`portcullis ${args.join(' ')} ended with ${result.status}: ${result.stderr}`)
  return result.json() as Named & { readonly apiKey?: string } // what create prints
}

const MAIL_LIMIT_MS = 60_000

/** Signs in as somebody without a password: by the link in the mail, which lies in a file. */
export async function signInByMail(connected: Connected, email: string): Promise<Visitor> {
  const { product } = connected
  const visitor = createVisitor(product.url)
  const asked = await visitor.send('/signin/magic-link', { json: { email } })
  if (asked.status !== 202) throw new Error(`asking for a link answered ${asked.status}: ${asked.body}`)
  const secret = await linkSecret(path.join(product.dataDir, 'mail'), email)
  const answer = await visitor.send('/signin/magic-link/confirm', { json: { secret } })
  if (answer.status !== 200) throw new Error(`the link answered ${answer.status}: ${answer.body}`)
  await redeemTicket(visitor)
  return visitor
}

/** The secret of the first sign-in link that was mailed to this address. */
export async function linkSecret(folder: string, email: string): Promise<string> {
  const deadline = Date.now() + MAIL_LIMIT_MS
  while (Date.now() < deadline) {
    for (const file of filesIn(folder)) {
      const mail = readFileSync(path.join(folder, file), 'utf8')
      const link = /https?:\/\/\S+\/magic-link#(\S+)/.exec(mail)?.[1]
      if (mail.startsWith(`To: ${email}\n`) && link !== undefined) return link
    }
    await new Promise((resolve) => setTimeout(resolve, 100)) // another process writes the file
  }
  throw new Error(`no mail to ${email} within ${MAIL_LIMIT_MS} ms`)
}

function filesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((file) => file.endsWith('.txt'))
  } catch {
    return []
  }
}
