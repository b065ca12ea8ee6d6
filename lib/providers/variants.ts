/**
 * Which kind of a provider's tokens somebody holds. Pure.
 *
 * @module
 */
import type { ProviderDefinition } from './definition'
import type { TokenSet } from './token-set'

/** @returns a name of `definition.variants.known` */
export function variantOf(
  { variants }: Pick<ProviderDefinition, 'variants'>,
  tokens: Pick<TokenSet, 'accessToken' | 'refreshToken' | 'accessExpiresAt' | 'refreshExpiresAt'>,
  now: Date,
): string {
  const { accessToken, refreshToken, accessExpiresAt, refreshExpiresAt } = tokens
  return variants.of({
    prefix: variants.prefixes.find((prefix) => accessToken.reveal().startsWith(prefix)) ?? '',
    hasRefreshToken: refreshToken !== null,
    accessExpires: accessExpiresAt !== null,
    refreshLifetimeSeconds:
      refreshExpiresAt === null ? null : Math.max(0, (refreshExpiresAt.getTime() - now.getTime()) / 1_000),
  })
}

/** What a kind of token is called, undefined for one that this version does not know. */
export function variantWords({ variants }: Pick<ProviderDefinition, 'variants'>, name: string): string | undefined {
  return Object.hasOwn(variants.known, name) ? variants.known[name]?.words : undefined
}
