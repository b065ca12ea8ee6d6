/**
 * What an agent may do, as a document people can read, keep in a repository and compare. Version 1 is a list of tools;
 * later versions only add fields, so a stored document keeps its meaning. Default deny: what is not named is refused.
 *
 * ```json
 * { "version": 1, "tools": { "allow": ["github_list_issues"] } }
 * ```
 *
 * @module
 */
import { z } from 'zod'

import { AppError } from '../errors'

/** MCP clients refuse or cut longer lists (VS Code stops at 128). */
export const MAX_TOOLS = 128

const toolName = z.string().regex(/^[a-z0-9_]{1,64}$/, 'is not a tool name')

export const profileSchema = z
  .strictObject({
    version: z.literal(1).describe('Version of this format.'),
    tools: z.strictObject({
      allow: z.array(toolName).max(MAX_TOOLS).describe('Names of the tools the agent may list and call.'),
    }),
  })
  .describe('Permission profile of an agent. Whatever it does not allow is refused.')

export type ProfileDocument = z.infer<typeof profileSchema>

export const emptyProfile: ProfileDocument = { version: 1, tools: { allow: [] } }

/** The published JSON Schema (2020-12) of a profile. */
export function profileJsonSchema(): Record<string, unknown> {
  return { $id: 'https://portcullis.dev/schemas/profile-v1.json', ...z.toJSONSchema(profileSchema) }
}

/**
 * Reads a document somebody wants to apply.
 *
 * A misspelt tool is refused rather than ignored: an author who believes that something is allowed, or that a field they
 * invented restricts it, must hear otherwise.
 *
 * @throws AppError `request.invalid` whose `field` is the path of the first thing wrong, such as `tools.allow[2]`.
 */
export function parseProfile(value: unknown, knownTools: ReadonlySet<string>): ProfileDocument {
  const parsed = profileSchema.safeParse(value)
  if (!parsed.success) {
    const issue = parsed.error.issues[0]
    const path = issue === undefined ? [] : [...issue.path]
    if (issue?.code === 'unrecognized_keys') throw refused([...path, issue.keys[0] ?? ''], 'is not a known field')
    throw refused(path, issue?.message ?? 'is not valid')
  }
  const seen = new Set<string>()
  parsed.data.tools.allow.forEach((name, index) => {
    const path = ['tools', 'allow', index]
    if (!knownTools.has(name)) throw refused(path, 'no tool has this name')
    if (seen.has(name)) throw refused(path, 'is named twice')
    seen.add(name)
  })
  return parsed.data
}

/** Reads a document from our own database. Tools that no longer exist are kept: they are not in the catalogue, so they grant nothing. */
export function readStoredProfile(value: unknown): ProfileDocument {
  return profileSchema.parse(value)
}

function refused(path: readonly PropertyKey[], reason: string): AppError {
  const field = path.reduce<string>(
    (text, part) =>
      typeof part === 'number' ? `${text}[${part}]` : text === '' ? String(part) : `${text}.${String(part)}`,
    '',
  )
  const named = field === '' ? 'profile' : field
  return new AppError('request.invalid', `${named}: ${reason}`, { field: named })
}
