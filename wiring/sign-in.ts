/**
 * Signing in elsewhere, as gateway, worker and command line have it.
 *
 * @module
 */
import type { SignInLimits } from '@/lib/identity/limits'
import type { WebSessions } from '@/lib/identity/sessions'
import { createIssuers } from '@/lib/providers/issuer'
import { createSignInConfigs, type SignInConfigs } from '@/lib/sso/config'
import { createSignInDomains, type SignInDomains } from '@/lib/sso/domains'
import { createEnterpriseSignIn, type EnterpriseSignIn } from '@/lib/sso/enterprise'
import type { SignInKeys } from '@/lib/sso/secret'
import { createSocialSignIn, type SocialSignIn } from '@/lib/sso/social'
import { createTxtLookup } from '@/lib/sso/txt'
import type { TenantKeys } from '@/lib/vault/tenant-keys'

import type { Core } from './core'

export interface SignInElsewhere {
  readonly signInConfigs: SignInConfigs
  readonly signInDomains: SignInDomains
  readonly enterprise: EnterpriseSignIn
  readonly social: SocialSignIn
}

export function createSignInElsewhere(
  core: Core,
  { sessions, limits }: { readonly sessions: WebSessions; readonly limits: SignInLimits },
): SignInElsewhere {
  const { appDb, audit: events, clock, config, egress, log, providers } = core
  const keys = signInKeys(core.keys)
  const issuers = createIssuers({ egress, clock, httpOrigins: config.egress.allow })
  const { publicUrl } = config
  return {
    signInConfigs: createSignInConfigs({ appDb, events, keys, issuers, limits, publicUrl }),
    signInDomains: createSignInDomains({ appDb, events, limits, lookupTxt: createTxtLookup() }),
    enterprise: createEnterpriseSignIn({ appDb, events, keys, issuers, sessions, limits, publicUrl, clock }),
    social: createSocialSignIn({
      appDb,
      events,
      providers,
      sessions,
      limits,
      publicUrl,
      allowSandbox: config.publicUrlIsLoopback,
      log,
    }),
  }
}

/** The tenants' keys, for this purpose and nothing else. */
function signInKeys(keys: TenantKeys): SignInKeys {
  return {
    current: (tenantId) => keys.current(tenantId, 'sign_in'),
    at: (tenantId, version) => keys.at(tenantId, 'sign_in', version),
  }
}
