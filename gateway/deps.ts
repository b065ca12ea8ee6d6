/**
 * What the gateway adds to the domains: people and their sessions, agents, and the REST API over all of it. The local
 * command line uses the same, so that both do the same things in the same way.
 *
 * @module
 */
import { createExports, exportFolder, type Exports } from '@/lib/audit/exports'
import { createStreams, type Streams } from '@/lib/audit/streams'
import { createRateLimitStore } from '@/lib/db/rate-limit-store'
import { AppError } from '@/lib/errors'
import type { TenantId } from '@/lib/ids'
import { createApiKeys, type ApiKeys } from '@/lib/identity/api-keys'
import { createAuthenticator, type Authenticator } from '@/lib/identity/authenticate'
import { signInCookies, type SignInCookies } from '@/lib/identity/cookies'
import { createCredentials, type Credentials } from '@/lib/identity/credentials'
import { parseDisplayName } from '@/lib/identity/display-name'
import { createInvitations, type Invitations } from '@/lib/identity/invitations'
import { createLeakedKeys, type LeakedKeys } from '@/lib/identity/leaked-keys'
import { createSignInLimits } from '@/lib/identity/limits'
import { createPasswords } from '@/lib/identity/password'
import { createPasskeys } from '@/lib/identity/passkeys'
import { createPeople, type People } from '@/lib/identity/people'
import { createPersonalData, type PersonalDataReader } from '@/lib/identity/personal-data'
import { createProofs } from '@/lib/identity/proofs'
import { createReauthentication, type Reauthentication } from '@/lib/identity/reauthentication'
import { createSecondFactor, type SecondFactor } from '@/lib/identity/second-factor'
import { createWebSessions, type WebSessions } from '@/lib/identity/sessions'
import { createSignInMethods, type SignInMethods } from '@/lib/identity/sign-in-methods'
import { createSignIn, type SignIn } from '@/lib/identity/sign-in'
import { createSignUp, type SignUp } from '@/lib/identity/sign-up'
import { createTotps } from '@/lib/identity/totp'
import { createOauthClients, type OauthClients } from '@/lib/oauth-server/clients/clients'
import { createOauthLimits, type OauthLimits } from '@/lib/oauth-server/limits'
import { currentNetwork } from '@/lib/oauth-server/network'
import { createQueue, type JobQueue } from '@/lib/queue/queue'
import { createBroker, type Broker } from '@/lib/broker/call'
import { createDoctor, type Doctor } from '@/lib/doctor/doctor'
import { createDoctorRecorder, type DoctorRecorder } from '@/lib/doctor/recorder'
import { createCheck, type Check } from '@/lib/connections/check'
import { createCheckLimits } from '@/lib/connections/check-limits'
import type { Connections } from '@/lib/connections/connections'
import { createInbox, type Inbox } from '@/lib/notifications/inbox'
import { newSigningSecret } from '@/lib/notifications/webhook-signature'
import { createWebhooks, type Webhooks } from '@/lib/notifications/webhooks'
import { createAgentSessions, type AgentSessions } from '@/lib/tenancy/agent-sessions'
import { createAgents, type Agents } from '@/lib/tenancy/agents'
import { createMembers, type Members } from '@/lib/tenancy/members'
import { createTenants, type Tenants } from '@/lib/tenancy/tenants'
import { createWorkspaces, type Workspaces } from '@/lib/tenancy/workspaces'
import { createToolRegistry, type ToolRegistry } from '@/lib/tools/registry'
import { createConnectionFlows } from '@/wiring/connections'
import type { Core } from '@/wiring/core'
import { createSignInElsewhere, type SignInElsewhere } from '@/wiring/sign-in'
import { webhookKeys } from '@/wiring/notifications'
import { createTotpSeal } from '@/wiring/totp-seal'

export interface GatewayDeps extends SignInElsewhere {
  readonly core: Core
  readonly queue: JobQueue
  readonly cookies: SignInCookies
  readonly sessions: WebSessions
  readonly authenticator: Authenticator
  readonly apiKeys: ApiKeys
  readonly leakedKeys: LeakedKeys
  readonly people: People
  readonly tenants: Tenants
  readonly members: Members
  readonly personalData: PersonalDataReader
  readonly invitations: Invitations
  readonly workspaces: Workspaces
  readonly signIn: SignIn
  readonly signUp: SignUp
  readonly personCredentials: Credentials
  readonly reauthentication: Reauthentication
  readonly secondFactor: SecondFactor
  readonly signInMethods: SignInMethods
  readonly agents: Agents
  readonly agentSessions: AgentSessions
  readonly oauthClients: OauthClients
  readonly oauthLimits: OauthLimits
  readonly registry: ToolRegistry
  readonly broker: Broker
  readonly connections: Connections
  readonly inbox: Inbox
  readonly webhooks: Webhooks
  readonly exports: Exports
  /** Tells the workers that a verification waits. */
  readonly announceVerification: (tenantId: TenantId) => Promise<unknown>
  readonly streams: Streams
  readonly checkConnection: Check
  readonly doctor: Doctor
  readonly doctorRecorder: DoctorRecorder
  close(): Promise<void>
}

export function createGatewayDeps(core: Core): GatewayDeps {
  const { appDb, audit, clock, log, config } = core
  if (config.databaseUrl === undefined) throw new AppError('config.invalid', 'DATABASE_URL: is needed')
  const queue = createQueue({ config: { redisUrl: config.redisUrl, databaseUrl: config.databaseUrl }, log })
  const registry = createToolRegistry()
  const limitStore = createRateLimitStore(config.databaseUrl)
  const oauthLimits = createOauthLimits(limitStore)
  const cookies = signInCookies(config.publicUrl)
  const doctorRecorder = createDoctorRecorder({ appDb, clock, log })
  const sessions = createWebSessions({ appDb })
  const passwords = createPasswords()
  const apiKeys = createApiKeys({ appDb, events: audit, clock })
  const limits = createSignInLimits(limitStore)
  const passkeys = createPasskeys({ appDb, publicUrl: config.publicUrl })
  const totps = createTotps({ appDb, seal: createTotpSeal(core.keys), clock, issuer: 'Portcullis' })
  const identity = {
    appDb,
    passwords,
    passkeys,
    totps,
    proofs: createProofs({ appDb, passwords, totps, passkeys, limits }),
    sessions,
    limits,
    events: audit,
    clock,
    // The row is the mail; the job only makes it quick.
    announceMail: async (mailId: Parameters<Parameters<typeof createSignIn>[0]['announceMail']>[0]) => {
      await queue.enqueue('sendMail', { mailId })
    },
  }
  return {
    core,
    queue,
    cookies,
    sessions,
    authenticator: createAuthenticator({ appDb, sessions, apiKeys, cookies, events: audit }),
    apiKeys,
    people: createPeople({ appDb, passwords, events: audit }),
    tenants: createTenants({ appDb, events: audit }),
    members: createMembers({ appDb, events: audit }),
    personalData: createPersonalData({ appDb, events: audit }),
    invitations: createInvitations(identity),
    workspaces: createWorkspaces({ appDb, events: audit, parseName: parseDisplayName }),
    leakedKeys: createLeakedKeys({ appDb, store: limitStore, events: audit, announceMail: identity.announceMail }),
    signIn: createSignIn(identity),
    ...createSignInElsewhere(core, identity),
    signUp: createSignUp({
      ...identity,
      dataDir: config.dataDir,
      publicUrl: config.publicUrl,
      selfServiceSignUp: config.selfServiceSignUp,
    }),
    personCredentials: createCredentials(identity),
    reauthentication: createReauthentication(identity),
    secondFactor: createSecondFactor(identity),
    signInMethods: createSignInMethods(identity),
    agents: createAgents({
      appDb,
      audit,
      knownTools: registry.known,
      publicUrl: config.publicUrl,
      clock,
    }),
    agentSessions: createAgentSessions({ appDb, audit, clock, log }),
    oauthClients: createOauthClients({
      appDb,
      audit,
      egress: core.egress,
      limits: oauthLimits,
      clock,
      network: currentNetwork,
    }),
    oauthLimits,
    registry,
    broker: createBroker({ ...core, registry, publicUrl: config.publicUrl }),
    connections: createConnectionFlows(core, queue),
    inbox: createInbox({ appDb }),
    webhooks: createWebhooks({
      appDb,
      events: audit,
      keys: webhookKeys(core.keys),
      httpOrigins: config.egress.allow,
      announce: (tenantId, deliveryId) => queue.enqueue('deliverWebhook', { tenantId, deliveryId }),
    }),
    exports: createExports({
      appDb,
      audit,
      folder: exportFolder(config.dataDir),
      announce: (tenantId, exportId) => queue.enqueue('makeExport', { tenantId, exportId }),
    }),
    announceVerification: (tenantId) => queue.enqueue('verifyTrail', { tenantId }),
    streams: createStreams({ appDb, audit, clock, newSigningSecret, openOrigins: config.egress.allow }),
    checkConnection: createCheck({
      ...core,
      tokens: core.refresher,
      generationOf: async (...ids) => (await core.credentials.read(...ids))?.generation,
      limits: createCheckLimits(limitStore),
    }).check,
    doctor: createDoctor({ appDb }),
    doctorRecorder,
    async close() {
      await doctorRecorder.close()
      await Promise.all([queue.close(), limitStore.close()])
    },
  }
}
