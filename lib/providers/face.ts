/**
 * What people are shown of a provider: words and a sign of our own. The only part of the catalogue that the pages know,
 * so it imports nothing and holds nothing that is not on a page anyway.
 *
 * @module
 */
export interface MarkPath {
  /** In a box of 24 by 24. */
  readonly d: string
  readonly color: 'red' | 'yellow' | 'green' | 'blue' | 'ink'
  /** Of the stroke; none for a shape that is filled. */
  readonly width?: number
  readonly isRound?: boolean
}

export interface ProviderFace {
  readonly name: string
  readonly displayName: string
  /** What an account there is for, in a few words. */
  readonly summary: string
  /** First words of the names of its tools. */
  readonly toolPrefixes: readonly string[]
  /** A simple sign, not the provider's logo; its name always stands beside it. */
  readonly mark: readonly MarkPath[]
}
