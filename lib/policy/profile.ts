/**
 * What an agent may do, as a document people can read, keep in a repository and compare. Version 1 is a list of tools and,
 * since, rules on their arguments; later versions only add fields, so a stored document keeps its meaning. Default deny:
 * what is not named is refused.
 *
 * ```json
 * {
 *   "version": 1,
 *   "tools": { "allow": ["github_create_issue"] },
 *   "rules": [{ "id": "our-repositories", "resource": "repository", "glob": ["acme/*"] }]
 * }
 * ```
 *
 * @module
 */
import { z } from 'zod'

import { AppError } from '../errors'
import { compileRule } from './compile-rule'
import { ALIASED, canonical } from './resources'
import { conditionsOf, MAX_EXPRESSIONS, MAX_RULES, ruleSchema, type Rule } from './rules'

/** MCP clients refuse or cut longer lists (VS Code stops at 128). */
export const MAX_TOOLS = 128

const toolName = z.string().regex(/^[a-z0-9_]{1,64}$/, 'is not a tool name')

export const profileSchema = z
  .strictObject({
    version: z.literal(1).describe('Version of this format.'),
    tools: z.strictObject({
      allow: z.array(toolName).max(MAX_TOOLS).describe('Names of the tools the agent may list and call.'),
    }),
    rules: z
      .array(ruleSchema)
      .max(MAX_RULES)
      .optional()
      .describe('What calls of these tools may be about. All that apply must hold.'),
  })
  .describe('Permission profile of an agent. Whatever it does not allow is refused.')

export type ProfileDocument = z.infer<typeof profileSchema>

export const emptyProfile: ProfileDocument = { version: 1, tools: { allow: [] } }

/** What rules can be about, for each tool. */
export type KnownTools = ReadonlyMap<
  string,
  { readonly resources: ReadonlySet<string>; readonly arguments: ReadonlySet<string> }
>

/** The published JSON Schema (2020-12) of a profile. */
export function profileJsonSchema(): Record<string, unknown> {
  return { $id: 'https://portcullis.dev/schemas/profile-v1.json', ...z.toJSONSchema(profileSchema) }
}

/**
 * Reads a document somebody wants to apply.
 *
 * A misspelt tool is refused rather than ignored: an author who believes that something is allowed, or that a field they
 * invented restricts it, must hear otherwise. So is a rule that could never apply.
 *
 * @throws AppError `request.invalid` whose `field` is the path of the first thing wrong, such as `tools.allow[2]`.
 */
export function parseProfile(value: unknown, knownTools: KnownTools): ProfileDocument {
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
  const ids = new Set<string>()
  const rules = parsed.data.rules ?? []
  rules.forEach((rule, index) => {
    const path = ['rules', index]
    if (ids.has(rule.id)) throw refused([...path, 'id'], 'is named twice')
    ids.add(rule.id)
    checkRule(rule, path, knownTools)
  })
  if (rules.filter((rule) => rule.matches !== undefined).length > MAX_EXPRESSIONS)
    throw refused(['rules'], `at most ${MAX_EXPRESSIONS} rules have an expression`)
  return parsed.data
}

const NUMERIC = new Set(['min', 'max'])

function checkRule(rule: Rule, path: readonly PropertyKey[], knownTools: KnownTools): void {
  const { resource, argument, tools } = rule
  if ((resource === undefined) === (argument === undefined))
    throw refused([...path, 'resource'], 'a rule names a resource or an argument')
  if (argument !== undefined && tools === undefined)
    throw refused([...path, 'tools'], 'a rule on an argument names its tools')
  const subject = resource ?? argument ?? ''
  tools?.forEach((name, index) => {
    const tool = knownTools.get(name)
    if (tool === undefined) throw refused([...path, 'tools', index], 'no tool has this name')
    if (!(resource === undefined ? tool.arguments : tool.resources).has(subject))
      throw refused([...path, 'tools', index], `this tool has no ${subject}`)
  })
  const conditions = conditionsOf(rule)
  const [first] = conditions
  if (first === undefined) throw refused(path, 'states no condition')
  if (conditions.length > 1 && !conditions.every((name) => NUMERIC.has(name)))
    throw refused([...path, conditions[1] ?? first], 'a rule states one condition')
  if (resource !== undefined && (NUMERIC.has(first) || (first === 'equals' && typeof rule.equals !== 'string')))
    throw refused([...path, first], 'a resource is a text')
  if (first === 'emailDomain' && resource !== undefined && resource !== 'recipient')
    throw refused([...path, first], 'only a recipient has a domain')
  if (first === 'inside' && resource !== undefined && resource !== 'path')
    throw refused([...path, first], 'only a path is in a folder')
  if (rule.not === true && resource !== undefined && ALIASED.has(resource))
    throw refused([...path, 'not'], `a ${resource} has other names, so it can be permitted but not forbidden`)
  if (resource !== undefined && (first === 'equals' || first === 'oneOf'))
    for (const [index, value] of [rule.equals ?? rule.oneOf ?? []].flat().entries())
      if (typeof value === 'string' && canonical(resource, value) === undefined)
        throw refused([...path, first, ...(first === 'oneOf' ? [index] : [])], `is not a ${resource}`)
  try {
    compileRule(rule)
  } catch {
    throw refused([...path, first], 'is not an expression')
  }
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
