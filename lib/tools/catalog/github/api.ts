/**
 * What every GitHub tool shares: names, headers, and the page after this one.
 *
 * @module
 */
import { z } from 'zod'

import type { ProviderAnswer, ProviderRequest, ToolScopes } from '../../tool'

/** Logins of people, organisations and managed users. */
export const ownerArgument = z
  .string()
  .regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/, 'is not the name of a user or organisation')
  .describe('User or organisation that owns the repository.')
export const repoArgument = z
  .string()
  .regex(/^(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/, 'is not the name of a repository')
  .describe('Name of the repository, without its owner.')
/** As people write it, for rules. */
export const repository = ({ owner, repo }: { readonly owner: string; readonly repo: string }): readonly string[] => [
  `${owner}/${repo}`,
]
export const issueNumberArgument = z.int().min(1).max(2_147_483_647).describe('Number of the issue or pull request.')
export const limitArgument = z.int().min(1).max(100).default(20).describe('How many to return, at most 100.')

/** Public data needs no scope; private repositories need `repo`, there being no narrower one to read them. */
export const readScopes: ToolScopes = { anyOf: [[]], least: ['repo'] }
export const writeScopes: ToolScopes = { anyOf: [['repo'], ['public_repo']], least: ['repo'] }

/** GitHub refuses requests without a User-Agent, and pins behaviour to the version named. */
export function github(request: ProviderRequest): ProviderRequest {
  return {
    ...request,
    headers: { accept: 'application/vnd.github+json', 'x-github-api-version': '2022-11-28', ...request.headers },
  }
}

/** True when the answer links a next page (RFC 8288). The link itself is not followed: its URL is the provider's word. */
export function hasNextPage(answer: ProviderAnswer): boolean {
  return /;\s*rel="?next"?/.test(answer.headers.get('link') ?? '')
}

export const pageNumber = (page: unknown): number => (typeof page === 'number' ? page : 1)

export const userWire = z.object({ login: z.string() }).nullish()
