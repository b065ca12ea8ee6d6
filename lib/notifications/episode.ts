/**
 * When trouble begins, worsens and is over, as a pure function of a connection and of what was told of it.
 *
 * An episode opens when a connection is first seen in trouble and ends when it is active again, or gone. People are told
 * when it reaches a level it had not reached before: once when it is degraded for a few minutes (a blip tells nobody), once
 * when it can no longer be used. Going back from worse to bad is not news.
 *
 * @module
 */
import type { Trouble } from './words'

/** 0: nobody was told. 1: told that it is degraded. 2: told that it cannot be used. */
export type Level = 0 | 1 | 2

export interface Seen {
  readonly state: Trouble
  /** Whether it has been so for long enough to say something. */
  readonly hasSettled: boolean
  /** The open episode; undefined when there is none. */
  readonly episode: { readonly level: number; readonly isAnother: boolean } | undefined
}

export type Step =
  | { readonly kind: 'open'; readonly level: Level; readonly endsOld: boolean }
  | { readonly kind: 'raise'; readonly level: Level }
  | { readonly kind: 'nothing' }

export function stepOf({ state, hasSettled, episode }: Seen): Step {
  const level: Level = state !== 'degraded' ? 2 : hasSettled ? 1 : 0
  // It worked in between, unseen: this is another stretch of trouble.
  if (episode === undefined || episode.isAnother) return { kind: 'open', level, endsOld: episode !== undefined }
  return level > episode.level ? { kind: 'raise', level } : { kind: 'nothing' }
}
