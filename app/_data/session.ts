/**
 * Who is looking at a page, for the readers beside this file. Read from the session's row at every request, with the
 * rights of the web role; a page never decides about access by anything else.
 *
 * next-auth writes the cookie; it is read here directly, because next-auth answers "signed out" when the database is
 * away, and a person who is signed in should then see an error, not the sign-in page.
 *
 * @module
 */
import 'server-only'

import { cookies, headers } from 'next/headers'
import { redirect } from 'next/navigation'
import { cache } from 'react'

import { entriesOf, openTenantsOf } from '@/lib/identity/entry'
import { brand, type Id, type PersonId, type TenantId } from '@/lib/ids'
import type { Role } from '@/lib/tenancy/principal'
import { parseRole } from '@/lib/tenancy/role'

import { web } from './web'

export interface Workspace {
  readonly id: TenantId
  readonly name: string
  readonly slug: string
}

export interface Viewer {
  readonly sessionId: Id<'webSession'>
  readonly personId: PersonId
  readonly name: string
  readonly email: string
  readonly isEmailVerified: boolean
  readonly authenticatedAt: Date
  readonly tenantId: TenantId
  readonly role: Role
  readonly workspace: Workspace
  /** Every workspace of the person, for the switcher; the current one included. At most fifty are named. */
  readonly workspaces: readonly Workspace[]
}

const MAX_WORKSPACES = 50

/** The session alone, once per request: for what needs no workspace. */
export const findSession = cache(async () => {
  const { cookies: names, sessions } = web()
  return sessions.find((await cookies()).get(names.session)?.value)
})

/** The session's facts, once per request. Undefined: nobody is signed in. Null: a member of no workspace. */
export const findViewer = cache(async (): Promise<Viewer | null | undefined> => {
  const { db } = web()
  const session = await findSession()
  if (session === undefined) return undefined
  const { personId } = session

  const tenants = await openTenantsOf(db.global, session.sessionId)
  const tenantId = tenants.find((id) => id === session.tenantId) ?? tenants[0]
  if (tenantId === undefined) return null

  const own = await db.scoped({ tenantId, personId }, async (tx) => {
    const person = await tx.person.findUnique({
      where: { id: personId },
      select: { name: true, email: true, emailVerifiedAt: true },
    })
    const membership = await tx.membership.findUnique({ where: { tenantId_personId: { tenantId, personId } } })
    const row = await tx.webSession.findUnique({
      where: { id: session.sessionId },
      select: { authenticatedAt: true },
    })
    const workspace = await readWorkspace(tx, tenantId)
    return { person, membership, row, workspace }
  })
  if (own.person === null || own.membership === null || own.row === null || own.workspace === undefined)
    return undefined

  const workspaces: Workspace[] = []
  for (const id of tenants.slice(0, MAX_WORKSPACES)) {
    const workspace = id === tenantId ? own.workspace : await db.tenant(id, (tx) => readWorkspace(tx, id))
    if (workspace !== undefined) workspaces.push(workspace)
  }
  return {
    sessionId: session.sessionId,
    personId,
    name: own.person.name,
    email: own.person.email,
    isEmailVerified: own.person.emailVerifiedAt !== null,
    authenticatedAt: own.row.authenticatedAt,
    tenantId,
    role: parseRole(own.membership.role),
    workspace: own.workspace,
    workspaces,
  }
})

/** Those of the person's that this session may not enter because they ask for their own single sign-on. */
export async function listWorkspacesBehindSignOn(sessionId: Id<'webSession'>): Promise<readonly Workspace[]> {
  const { db } = web()
  const workspaces: Workspace[] = []
  for (const { tenantId, entry } of (await entriesOf(db.global, sessionId)).slice(0, MAX_WORKSPACES)) {
    const workspace =
      entry === 'sso_required' ? await db.tenant(tenantId, (tx) => readWorkspace(tx, tenantId)) : undefined
    if (workspace !== undefined) workspaces.push(workspace)
  }
  return workspaces
}

async function readWorkspace(
  tx: Parameters<Parameters<ReturnType<typeof web>['db']['tenant']>[1]>[0],
  id: TenantId,
): Promise<Workspace | undefined> {
  const row = await tx.tenant.findUnique({ where: { id }, select: { id: true, name: true, slug: true } })
  return row === null ? undefined : { id: brand(row.id), name: row.name, slug: row.slug }
}

/** Who is signed in. Everybody else goes to the sign-in page and comes back to the page they wanted. */
export async function requireViewer(): Promise<Viewer> {
  const viewer = await requireSignedIn()
  if (viewer === null) redirect('/no-workspace')
  return viewer
}

/** As `requireViewer`, for a page that has something to say to a person without a workspace too. */
export async function requireSignedIn(): Promise<Viewer | null> {
  const viewer = await findViewer()
  if (viewer === undefined) redirect(`/login?next=${encodeURIComponent(await currentPath())}`)
  return viewer
}

/** The path being looked at, as the proxy in front of the pages noted it; the start page where it did not. */
async function currentPath(): Promise<string> {
  const path = (await headers()).get('x-page-path')
  return path?.startsWith('/') === true ? path : '/'
}
