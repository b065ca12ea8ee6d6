/**
 * A profile in the form that decisions read: built once for each stored version, then only looked into.
 *
 * @module
 */
import { emptyProfile, readStoredProfile, type ProfileDocument } from './profile'

export interface CompiledProfile {
  readonly version: number
  readonly document: ProfileDocument
  readonly allowed: ReadonlySet<string>
}

/** @param document  as stored; a shape we cannot read allows nothing */
export function compileProfile(version: number, document: unknown): CompiledProfile {
  const profile = read(document)
  return { version, document: profile, allowed: new Set(profile.tools.allow) }
}

function read(document: unknown): ProfileDocument {
  try {
    return readStoredProfile(document)
  } catch {
    return emptyProfile
  }
}
