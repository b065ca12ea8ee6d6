/**
 * Every endpoint of the REST API, in the order of the OpenAPI document.
 *
 * @module
 */
import path from 'node:path'

import type { GatewayDeps } from '../deps'
import type { AnyRoute } from './route'
import { accountRoutes } from './v1/account'
import { activityRoutes } from './v1/activity'
import { activityStreamRoutes } from './v1/activity-streams'
import { agentRoutes } from './v1/agents'
import { apiKeyRoutes } from './v1/api-keys'
import { auditChainRoutes } from './v1/audit-chain'
import { catalogueRoutes } from './v1/catalogue'
import { connectionRoutes } from './v1/connections'
import { doctorRoutes } from './v1/doctor'
import { invitationRoutes } from './v1/invitations'
import { notificationRoutes, type MailPath } from './v1/notifications'
import { oauthClientRoutes } from './v1/oauth-clients'
import { profileRoutes } from './v1/profiles'
import { sessionRoutes } from './v1/sessions'
import { signInRoutes } from './v1/sign-in'
import { signInMethodRoutes } from './v1/sign-in-methods'
import { workspaceRoutes } from './v1/workspace'

export function apiRoutes(deps: GatewayDeps): AnyRoute[] {
  const { core } = deps
  const { publicUrl } = core.config
  return [
    ...accountRoutes(deps),
    ...signInMethodRoutes(deps),
    ...workspaceRoutes(deps),
    ...signInRoutes(deps),
    ...invitationRoutes({ ...deps, publicUrl }),
    ...catalogueRoutes({ providers: core.providers, tools: deps.registry.tools.map(({ tool }) => tool), publicUrl }),
    ...connectionRoutes({
      connections: deps.connections,
      check: deps.checkConnection,
      providers: core.providers,
      publicUrl,
    }),
    ...agentRoutes(deps),
    ...doctorRoutes(deps),
    ...profileRoutes(deps),
    ...sessionRoutes({ ...deps, publicUrl }),
    ...oauthClientRoutes({ ...deps, publicUrl }),
    ...activityRoutes({ ...core, exports: deps.exports }),
    ...activityStreamRoutes(deps),
    ...auditChainRoutes({ ...core, announceVerification: deps.announceVerification }),
    ...apiKeyRoutes(deps),
    ...notificationRoutes({ ...deps, mailPath: mailPathOf(core.config) }),
  ]
}

/** Without a mail server whoever tries the product is told where their mail lies; on the internet nobody is. */
function mailPathOf({ smtp, publicUrlIsLoopback, dataDir }: GatewayDeps['core']['config']): MailPath {
  if (smtp.url !== undefined) return { kind: 'sent' }
  return { kind: 'kept', folder: publicUrlIsLoopback ? path.join(dataDir, 'mail') : null }
}
