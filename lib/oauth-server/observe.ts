/**
 * What clients and browsers do at the authorization server, as steps for the doctor: told by the library's events, with
 * facts of the request and never its secrets.
 *
 * A refusal of the library is explained by what was sent, not by the words it was refused with: those may change with
 * its next version.
 *
 * @module
 */
import { createHash } from 'node:crypto'

import type Provider from 'oidc-provider'
import type { KoaContextWithOIDC } from 'oidc-provider'

import type { Clock } from '../clock'
import {
  shownAddress,
  shownClientId,
  shownCode,
  shownProduct,
  shownRedirect,
  shownScope,
  shownText,
} from '../doctor/shown'
import { detailOf, quietly, type Detail, type Observe, type Problem, type RefusedCredential } from '../doctor/step'
import { hashSecret, isId, type AgentId } from '../ids'
import { currentNetwork } from './network'
import { agentOfResource } from './resource'

interface OauthError extends Error {
  readonly error?: string
  readonly statusCode?: number
}
type Params = Readonly<Record<string, unknown>>

export function observeProvider(
  provider: Provider,
  deps: { readonly observe: Observe; readonly clock: Clock; readonly publicUrl: string },
): void {
  const { observe, clock, publicUrl } = deps

  const base = (ctx: KoaContextWithOIDC) => ({
    at: clock.now(),
    network: currentNetwork(),
    client: shownProduct(ctx.req.headers['user-agent']),
  })

  const authorization = (ctx: KoaContextWithOIDC, status: number, error?: OauthError) => {
    const params = paramsOf(ctx)
    const isAnswer = ctx.oidc.route === 'resume'
    observe({
      ...base(ctx),
      step: isAnswer ? 'consent' : 'authorization',
      status,
      problem: error === undefined ? undefined : whyNotAuthorized(ctx, params, error),
      detail: authorizationDetail(params, error),
      agentId: agentOf(params['resource'], publicUrl),
    })
  }

  const token = (ctx: KoaContextWithOIDC, status: number, error?: OauthError) => {
    const params = paramsOf(ctx)
    const { problem, credential } = error === undefined ? { problem: undefined } : whyNoToken(ctx, params, error)
    // After a success the code is spent already; whose it was is what the library found.
    const source = ctx.oidc.entities.AuthorizationCode ?? ctx.oidc.entities.RefreshToken
    const resource = params['resource'] ?? source?.resource
    observe({
      ...base(ctx),
      step: 'token',
      status,
      problem,
      credential,
      detail: detailOf({
        grant: shownCode(params['grant_type']) ?? 'another',
        clientId: shownClientId(params['client_id'] ?? ctx.oidc.client?.clientId),
        resource: shownAddress(params['resource']),
        error: error === undefined ? undefined : shownCode(error.error),
      }),
      agentId: agentOf(resource, publicUrl),
    })
  }

  provider.on('interaction.started', (ctx: KoaContextWithOIDC) => {
    quietly(() => {
      authorization(ctx, 303)
    })
  })
  provider.on('authorization.success', (ctx: KoaContextWithOIDC) => {
    quietly(() => {
      authorization(ctx, 303)
    })
  })
  provider.on('authorization.error', (ctx: KoaContextWithOIDC, error: OauthError) => {
    quietly(() => {
      authorization(ctx, error.statusCode ?? 400, error)
    })
  })
  provider.on('grant.success', (ctx: KoaContextWithOIDC) => {
    quietly(() => {
      token(ctx, 200)
    })
  })
  provider.on('grant.error', (ctx: KoaContextWithOIDC, error: OauthError) => {
    quietly(() => {
      token(ctx, error.statusCode ?? 400, error)
    })
  })
  provider.on('server_error', (ctx: KoaContextWithOIDC) => {
    quietly(() => {
      if (ctx.oidc.route === 'token') token(ctx, 500, FAULT)
      else if (ctx.oidc.route === 'authorization' || ctx.oidc.route === 'resume') authorization(ctx, 500, FAULT)
    })
  })
}

const FAULT: OauthError = Object.assign(new Error('fault'), { error: 'server_error', statusCode: 500 })

function paramsOf(ctx: KoaContextWithOIDC): Params {
  // The event may come before the library has taken the parameters apart.
  const given = ctx.oidc.params ?? ctx.oidc.body ?? ctx.query
  return typeof given === 'object' ? given : {}
}

function whyNotAuthorized(ctx: KoaContextWithOIDC, params: Params, { error }: OauthError): Problem {
  switch (error) {
    case 'invalid_client':
      return 'unknown_client'
    case 'invalid_redirect_uri':
      return 'redirect_mismatch'
    case 'invalid_target':
      return 'wrong_resource'
    case 'invalid_scope':
      return 'scope_refused'
    case 'unsupported_response_type':
    case 'unsupported_response_mode':
    case 'unauthorized_client':
      return 'response_type'
    case 'access_denied':
      return 'denied'
    case 'server_error':
      return 'fault'
    default:
      if (ctx.oidc.route === 'resume') return 'consent_over'
      if (ctx.oidc.client === undefined) return params['client_id'] === undefined ? 'malformed' : 'unknown_client'
      if (params['code_challenge'] === undefined) return 'pkce_missing'
      return params['code_challenge_method'] === 'S256' ? 'malformed' : 'pkce_method'
  }
}

function whyNoToken(
  ctx: KoaContextWithOIDC,
  params: Params,
  { error }: OauthError,
): { readonly problem: Problem; readonly credential?: RefusedCredential } {
  const { code, refresh_token: refreshToken, code_verifier: verifier } = params
  const clientId = ctx.oidc.client?.clientId
  switch (error) {
    case 'invalid_client':
      return { problem: ctx.oidc.client === undefined ? 'unknown_client' : 'client_not_proven' }
    case 'invalid_target':
      return { problem: 'wrong_resource' }
    case 'invalid_scope':
      return { problem: 'scope_refused' }
    case 'unsupported_grant_type':
    case 'unauthorized_client':
      return { problem: 'grant_type' }
    case 'server_error':
      return { problem: 'fault' }
    case 'invalid_grant':
      if (typeof code === 'string')
        return {
          problem: 'code_unknown',
          credential: {
            kind: 'code',
            hash: hashSecret(code),
            clientId,
            redirectUri: text(params['redirect_uri']),
            challenge:
              typeof verifier === 'string' ? createHash('sha256').update(verifier).digest('base64url') : undefined,
          },
        }
      if (typeof refreshToken === 'string')
        return {
          problem: 'refresh_unknown',
          credential: { kind: 'refresh_token', hash: hashSecret(refreshToken), clientId },
        }
      return { problem: 'malformed' }
    default:
      return {
        problem: params['grant_type'] === 'authorization_code' && verifier === undefined ? 'pkce_missing' : 'malformed',
      }
  }
}

function authorizationDetail(params: Params, error: OauthError | undefined): Detail {
  return detailOf({
    clientId: shownClientId(params['client_id']),
    redirect: shownRedirect(params['redirect_uri']),
    resource: shownAddress(params['resource']),
    scope: shownScope(params['scope']),
    error: error === undefined ? undefined : shownCode(error.error),
  })
}

/** The agent a resource is meant for, even where the resource itself will not do. */
function agentOf(resource: unknown, publicUrl: string): AgentId | undefined {
  if (typeof resource !== 'string') return undefined
  const exact = agentOfResource(resource, publicUrl)
  if (exact !== undefined) return exact
  const named = /agt_[0-9a-z]{26}/.exec(resource)?.[0]
  return isId('agent', named) ? named : undefined
}

/** What a client that registers says of itself, for the doctor. */
export function registrationDetail(body: unknown, error?: string): Detail {
  const metadata = typeof body === 'object' && body !== null ? body : {}
  const name: unknown = Reflect.get(metadata, 'client_name')
  const redirects: unknown = Reflect.get(metadata, 'redirect_uris')
  const first: unknown = Array.isArray(redirects) ? redirects[0] : undefined
  return detailOf({
    clientName: shownText(name, 80),
    redirect: shownRedirect(first),
    error: error === undefined ? undefined : shownCode(error),
  })
}

const text = (value: unknown) => (typeof value === 'string' ? value : undefined)
