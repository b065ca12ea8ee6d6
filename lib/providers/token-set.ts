/**
 * What a token endpoint answered, in our words (RFC 6749 §5.1).
 *
 * @module
 */
import type { Secret } from '../secret'

export interface TokenSet {
  readonly accessToken: Secret
  /** Null when the provider gave none. From a refresh that means: the one already stored stays valid. */
  readonly refreshToken: Secret | null
  /** Null when the access token does not expire. */
  readonly accessExpiresAt: Date | null
  /** Null when the provider named no end. */
  readonly refreshExpiresAt: Date | null
  /** What was granted, canonically spelled and sorted; may be less or more than was asked. */
  readonly grantedScopes: string[]
}

/** As `TokenSet`, of a refresh, where an unnamed scope means that the grant is as it was (RFC 6749 §6). */
export interface RefreshedTokens extends Omit<TokenSet, 'grantedScopes'> {
  /** Null when the answer named none: what is stored stays. */
  readonly grantedScopes: string[] | null
}
