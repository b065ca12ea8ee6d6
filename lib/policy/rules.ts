/**
 * Rules on arguments, as data: what a call may be about. Every rule that applies to a tool must hold, in whatever order
 * they stand; adding one never permits more.
 *
 * A rule names a resource, which holds for every tool that has such a thing, or an argument of the tools it lists. It
 * fails when the call does not say what it is about: an argument that was left out never slips past a rule on it. Of a
 * list every element must hold. `not` turns the condition round, and then spellings that look alike count as the same.
 * What a pattern would have to read more than a kilobyte of fails too, with and without `not`.
 *
 * @module
 */
import { z } from 'zod'

import { RESOURCES } from './resources'

export const MAX_RULES = 200
/** Expressions cost more than anything else a rule can ask. */
export const MAX_EXPRESSIONS = 20
export const MAX_EXPRESSION_INPUT = 1_024

const text = z.string().min(1).max(500)
const texts = z.array(text).min(1).max(200)

export const CONDITIONS = [
  'equals',
  'oneOf',
  'prefix',
  'glob',
  'matches',
  'min',
  'max',
  'maxItems',
  'emailDomain',
  'inside',
] as const
export type Condition = (typeof CONDITIONS)[number]

export const ruleSchema = z.strictObject({
  id: z
    .string()
    .regex(/^[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?$/, 'is not an id: small letters, digits and hyphens')
    .describe('Names the rule in refusals and in the audit trail.'),
  description: z.string().max(200).optional().describe('What the agent is told when the rule refuses.'),
  tools: z
    .array(z.string().regex(/^[a-z0-9_]{1,64}$/, 'is not a tool name'))
    .min(1)
    .max(128)
    .optional()
    .describe('Tools it applies to. Absent: every tool that has this resource.'),
  resource: z.enum(RESOURCES).optional().describe('What the call is about, whatever the tool calls it.'),
  argument: z
    .string()
    .regex(/^[a-z0-9_]{1,64}$/, 'is not the name of an argument')
    .optional()
    .describe('An argument of `tools`.'),
  not: z.boolean().optional().describe('The condition must not hold.'),
  equals: z.union([text, z.number(), z.boolean()]).optional(),
  oneOf: texts.optional(),
  prefix: text.optional(),
  glob: texts.optional().describe('* is any run within one segment, ** across segments, ? one character.'),
  matches: text.optional().describe('Regular expression (RE2) for the whole value.'),
  min: z.number().optional(),
  max: z.number().optional(),
  maxItems: z.int().min(0).max(10_000).optional(),
  emailDomain: texts.optional().describe('Domains of addresses, without their subdomains.'),
  inside: texts.optional().describe('Folders; the value is one of them or below.'),
})
export type Rule = z.infer<typeof ruleSchema>

/** The conditions a rule states. One, but for a range. */
export const conditionsOf = (rule: Rule): readonly Condition[] => CONDITIONS.filter((name) => rule[name] !== undefined)
