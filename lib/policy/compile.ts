/**
 * A profile in the form that decisions read: built once for each stored version, then only looked into.
 *
 * @module
 */
import { compileRule, type CompiledRule } from './compile-rule'
import { emptyProfile, readStoredProfile, type ProfileDocument } from './profile'
import type { Resource } from './resources'

export interface CompiledProfile {
  readonly version: number
  readonly document: ProfileDocument
  readonly allowed: ReadonlySet<string>
  /** Rules that name their tools. */
  readonly rulesOfTool: ReadonlyMap<string, readonly CompiledRule[]>
  /** Rules for every tool that has the resource. */
  readonly rulesOfResource: ReadonlyMap<Resource, readonly CompiledRule[]>
}

/** @param document  as stored; a shape we cannot read allows nothing, and neither does one with a rule we cannot */
export function compileProfile(version: number, document: unknown): CompiledProfile {
  try {
    return compiled(version, readStoredProfile(document))
  } catch {
    return compiled(version, emptyProfile)
  }
}

function compiled(version: number, document: ProfileDocument): CompiledProfile {
  const rulesOfTool = new Map<string, CompiledRule[]>()
  const rulesOfResource = new Map<Resource, CompiledRule[]>()
  for (const stored of document.rules ?? []) {
    const rule = compileRule(stored)
    for (const tool of stored.tools ?? []) add(rulesOfTool, tool, rule)
    if (stored.tools === undefined && stored.resource !== undefined) add(rulesOfResource, stored.resource, rule)
  }
  return { version, document, allowed: new Set(document.tools.allow), rulesOfTool, rulesOfResource }
}

function add<K>(map: Map<K, CompiledRule[]>, key: K, rule: CompiledRule): void {
  map.set(key, [...(map.get(key) ?? []), rule])
}
