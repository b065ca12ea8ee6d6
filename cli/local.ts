/**
 * The REST API in this process, on the databases, as the operator of the machine. The same definitions answer, with the
 * same checks; only what makes workspaces and people is the operator's alone.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

import { z } from 'zod'

import { withSandboxProviders, type Config } from '@/lib/config'
import { AppError, notFound } from '@/lib/errors'
import { createLog } from '@/lib/log'
import type { OperatorPrincipal, Role } from '@/lib/tenancy/principal'
import type { Tenant } from '@/lib/tenancy/tenants'
import { createGatewayDeps, type GatewayDeps } from '@/gateway/deps'
import { validate } from '@/gateway/http'
import { attachmentOf, invoke, type AnyRoute } from '@/gateway/api/route'
import { apiRoutes } from '@/gateway/api/routes'
import { createCore, type Core } from '@/wiring/core'

import type { Api, CallInput } from './api'
import { chainOperations } from './audit-chain'
import { checkInstallation } from './installation'
import { keyOperations } from './keys'

const runtime = z.object({
  publicUrl: z.string(),
  databaseUrl: z.string(),
  vaultDatabaseUrl: z.string(),
  sandboxProviders: z.string().optional(),
})
const POOL_SIZE = 3
const role = z.enum(['owner', 'admin', 'member', 'auditor'])
const newTenant = z.strictObject({ name: z.string().min(1).max(80), owner: z.string().optional() })
const newUser = z.strictObject({ email: z.string(), name: z.string(), role })
const newKey = z.strictObject({
  name: z.string().min(1).max(80),
  role,
  expiresInDays: z.number().int().min(1).max(365),
  user: z.string().optional(),
  scopes: z.array(z.string().max(64)).min(1).max(100).optional(),
  ipRanges: z.array(z.string().max(64)).max(20).optional(),
})

/**
 * Opens nothing until a command needs it, so that `doctor` can say what cannot be opened.
 *
 * @param tenant  id or slug of the workspace to act in; the only one when absent
 */
export function connectLocal(given: Config, tenant: string | undefined): Api {
  const config = withRunningDatabases(given)
  let opened: Promise<Opened> | undefined
  const open = (): Promise<Opened> => (opened ??= openHere(config))

  const own: Readonly<Record<string, (body: unknown) => Promise<unknown>>> = {
    doctor: () => checkInstallation(config),
    ...keyOperations(
      async () => (await open()).core,
      async () => (await operatorOf((await open()).deps, tenant)).tenantId,
      tenant !== undefined,
    ),
    ...chainOperations({
      config,
      wanted: tenant,
      tenantOf: async () => (await operatorOf((await open()).deps, tenant)).tenantId,
      core: async () => (await open()).core,
      personOf: async (email) => (await (await open()).deps.people.findByEmail(email))?.id,
    }),
    'tenant.list': async () => ({ items: await (await open()).deps.tenants.list() }),
    'tenant.create': async (body) => {
      const { deps } = await open()
      const input = validate(newTenant, body)
      const owner = input.owner === undefined ? undefined : await personBy(deps, input.owner)
      return deps.tenants.create({
        name: input.name,
        ...(owner === undefined ? {} : { owner: owner.id }),
        actor: { kind: 'system' },
      })
    },
    'user.create': async (body) => {
      const { deps } = await open()
      const input = validate(newUser, body)
      // Before the person is made: a person that a wrong --tenant leaves without a workspace could not be made again.
      const principal = await operatorOf(deps, tenant)
      const person = await deps.people.create({
        email: input.email,
        name: input.name === '' ? (input.email.split('@')[0] ?? '') : input.name,
      })
      await deps.members.add(principal, person.id, input.role satisfies Role)
      return { ...person, workspaceId: principal.tenantId, role: input.role }
    },
    'api_key.create': async (body) => {
      const { deps } = await open()
      const input = validate(newKey, body)
      const principal = await operatorOf(deps, tenant)
      const personId =
        input.user === undefined ? await firstOwner(deps, principal) : (await personBy(deps, input.user)).id
      const { key, secret } = await deps.apiKeys.create(principal, {
        name: input.name,
        role: input.role,
        days: input.expiresInDays,
        scopes: input.scopes,
        ipRanges: input.ipRanges,
        personId,
      })
      return { ...key, apiKey: secret.reveal() }
    },
  }

  const run = async (operationId: string, { params = {}, query = {}, body }: CallInput): Promise<unknown> => {
    const special = own[operationId]
    if (special !== undefined) return special(body)
    const { deps, routes } = await open()
    const route = routes.get(operationId)
    if (route === undefined) throw new AppError('request.invalid', 'This version does not offer that.')
    return invoke(route, {
      principal: await operatorOf(deps, tenant),
      params: checkedParams(route, params),
      query: checked(route.query, query),
      body: checked(route.body, body),
    })
  }

  return {
    where: 'this machine',
    // Through JSON, so that a command reads the same words wherever the answer came from.
    call: async (operationId, input = {}) => {
      const answer: unknown = JSON.parse(JSON.stringify((await run(operationId, input)) ?? null))
      return answer
    },
    async *lines(operationId, input = {}) {
      const { routes } = await open()
      const route = routes.get(operationId)
      if (route === undefined) throw new AppError('request.invalid', 'This version does not offer that.')
      yield* attachmentOf(route, await run(operationId, input)).lines
    },
    async close() {
      const here = await opened?.catch(() => undefined)
      await here?.deps.close()
      await here?.core.close()
    },
  }
}

interface Opened {
  readonly core: Core
  readonly deps: GatewayDeps
  readonly routes: ReadonlyMap<string, AnyRoute>
}

async function openHere(config: Config): Promise<Opened> {
  const core = await createCore(config, createLog('cli', 'silent'), { poolSize: POOL_SIZE }).catch((cause: unknown) => {
    if (cause instanceof AppError) throw cause
    throw new AppError(
      'service.unavailable',
      'The databases cannot be used. `portcullis doctor` says which, and why.',
      {
        cause,
      },
    )
  })
  const deps = createGatewayDeps(core)
  return { core, deps, routes: new Map(apiRoutes(deps).map((route) => [route.id, route])) }
}

/** The addresses of a product that `npm start` runs beside this command, when the environment names none, and its sandbox. */
function withRunningDatabases(config: Config): Config {
  if (config.databaseUrl !== undefined && config.vaultDatabaseUrl !== undefined) return config
  try {
    const { sandboxProviders, ...found } = runtime.parse(
      JSON.parse(readFileSync(path.join(config.dataDir, 'run', 'local.json'), 'utf8')),
    )
    return withSandboxProviders({ ...config, ...found }, sandboxProviders)
  } catch {
    throw new AppError(
      'config.invalid',
      `Nothing runs on ${config.dataDir}. Start it with npm start, or set DATABASE_URL and VAULT_DATABASE_URL, or PORTCULLIS_URL and PORTCULLIS_API_KEY.`,
    )
  }
}

function checked(schema: AnyRoute['params'], value: unknown): unknown {
  const known =
    typeof value === 'object' && value !== null
      ? Object.fromEntries(Object.entries(value).filter(([, one]) => one !== undefined))
      : value
  return schema === undefined ? known : validate(schema, known)
}

/** A malformed id is a missing one, here as in the API. */
function checkedParams(route: AnyRoute, value: unknown): unknown {
  const parsed = route.params?.safeParse(value)
  if (parsed?.success === false) throw notFound()
  return parsed?.data ?? {}
}

async function operatorOf(deps: GatewayDeps, wanted: string | undefined): Promise<OperatorPrincipal> {
  const tenants = await deps.tenants.list()
  const found: Tenant | undefined =
    wanted === undefined ? onlyOne(tenants) : tenants.find(({ id, slug }) => id === wanted || slug === wanted)
  if (found === undefined) throw new AppError('resource.not_found', 'There is no such workspace.')
  return { kind: 'operator', tenantId: found.id, role: 'owner', network: 'local' }
}

function onlyOne(tenants: readonly Tenant[]): Tenant | undefined {
  if (tenants.length > 1)
    throw new AppError(
      'request.invalid',
      `--tenant: say which workspace: ${tenants.map(({ slug }) => slug).join(', ')}`,
    )
  if (tenants.length === 0)
    throw new AppError('resource.not_found', 'There is no workspace yet. Make one: portcullis tenant create --name …')
  return tenants[0]
}

async function personBy(deps: GatewayDeps, email: string) {
  const person = await deps.people.findByEmail(email)
  if (person === undefined) throw new AppError('resource.not_found', 'There is no person of that address.')
  return person
}

async function firstOwner(deps: GatewayDeps, principal: OperatorPrincipal) {
  const owner = (await deps.members.list(principal)).find(({ role }) => role === 'owner')
  if (owner === undefined)
    throw new AppError('request.invalid', '--user: the workspace has no owner; say whose key it is')
  return owner.personId
}
