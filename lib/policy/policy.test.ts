import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { AppError } from '@/lib/errors'

import { compileProfile } from './compile'
import { decide, scopesUpTo } from './decide'
import { MAX_TOOLS, parseProfile, profileJsonSchema } from './profile'

const subjects = { resources: new Set<string>(), arguments: new Set<string>() }
const known = new Map(
  ['github_list_issues', 'github_create_issue', 'slack_send_message'].map((name) => [name, subjects] as const),
)
const profile = (...allow: string[]) => compileProfile(1, { version: 1, tools: { allow } })
const both = ['mcp:read', 'mcp:write']

describe('a permission profile', () => {
  const refusals: [string, unknown, string][] = [
    [
      'an unknown tool',
      { version: 1, tools: { allow: ['github_list_issues', 'github_delete_world'] } },
      'tools.allow[1]',
    ],
    [
      'a tool named twice',
      { version: 1, tools: { allow: ['github_list_issues', 'github_list_issues'] } },
      'tools.allow[1]',
    ],
    ['an invented field', { version: 1, tools: { allow: [], deny: [] } }, 'tools.deny'],
    ['an invented top field', { version: 1, tools: { allow: [] }, limits: {} }, 'limits'],
    ['another version', { version: 2, tools: { allow: [] } }, 'version'],
    ['a wildcard', { version: 1, tools: { allow: ['*'] } }, 'tools.allow[0]'],
    ['no tools', { version: 1 }, 'tools'],
    ['a string', 'allow everything', 'profile'],
    ['nothing', null, 'profile'],
    ['an array', [], 'profile'],
    [
      'too many tools',
      { version: 1, tools: { allow: Array.from({ length: MAX_TOOLS + 1 }, (_, i) => `t_${i}`) } },
      'tools.allow',
    ],
  ]
  it.each(refusals)('refuses %s and names the field', (_name, document, field) => {
    let error: unknown
    try {
      parseProfile(document, known)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'request.invalid', field })
  })

  it('is read back as it was written', () => {
    const document = { version: 1, tools: { allow: ['slack_send_message', 'github_list_issues'] } }
    expect(parseProfile(document, known)).toEqual(document)
  })

  it('publishes a schema that allows no other fields', () => {
    expect(profileJsonSchema()).toMatchObject({
      $schema: 'https://json-schema.org/draft/2020-12/schema',
      additionalProperties: false,
      required: ['version', 'tools'],
      properties: { version: { const: 1 }, tools: { additionalProperties: false } },
    })
  })

  it('allows nothing when what is stored cannot be read', () => {
    expect(compileProfile(3, { version: 9, tools: { allow: ['github_list_issues'] } }).allowed.size).toBe(0)
    expect(compileProfile(3, 'garbage').allowed.size).toBe(0)
  })
})

describe('the decision', () => {
  it('permits what the profile names and the session covers', () => {
    const request = { tool: 'github_list_issues', readOnly: true, sessionScopes: both }
    expect(decide(request, profile('github_list_issues'))).toEqual({ effect: 'permit' })
  })

  it('refuses a write to a session that may only read, and says what it would need', () => {
    expect(
      decide(
        { tool: 'github_create_issue', readOnly: false, sessionScopes: ['mcp:read'] },
        profile('github_create_issue'),
      ),
    ).toEqual({ effect: 'deny', reason: 'session_scope', needed: 'mcp:write' })
  })

  const hierarchy: [string[], boolean, boolean][] = [
    [['mcp:read'], true, false],
    [['mcp:write'], true, true],
    [['mcp:admin'], true, true],
    [[], false, false],
    [['offline_access'], false, false],
    [['mcp', 'mcp:', 'mcp:writes', 'MCP:WRITE', 'mcp:read mcp:write'], false, false],
  ]
  it.each(hierarchy)('lets a session of %j read: %s, write: %s', (sessionScopes, canRead, canWrite) => {
    const names = profile('github_list_issues', 'github_create_issue')
    const read = decide({ tool: 'github_list_issues', readOnly: true, sessionScopes }, names)
    const write = decide({ tool: 'github_create_issue', readOnly: false, sessionScopes }, names)
    expect([read.effect, write.effect]).toEqual([canRead ? 'permit' : 'deny', canWrite ? 'permit' : 'deny'])
  })

  it('says the same of a tool outside the profile whatever the session covers', () => {
    for (const sessionScopes of [[], ['mcp:read'], both, ['mcp:admin']])
      expect(
        decide({ tool: 'slack_send_message', readOnly: false, sessionScopes }, profile('github_list_issues')),
      ).toEqual({ effect: 'deny', reason: 'not_in_profile' })
  })

  it('asks for a scope with all that it includes', () => {
    expect(scopesUpTo('mcp:read')).toEqual(['mcp:read'])
    expect(scopesUpTo('mcp:write')).toEqual(['mcp:read', 'mcp:write'])
  })

  it('refuses names that every object inherits', () => {
    for (const tool of ['constructor', '__proto__', 'toString', 'hasOwnProperty'])
      expect(decide({ tool, readOnly: true, sessionScopes: both }, profile())).toMatchObject({ effect: 'deny' })
  })

  it('never permits what the profile does not name, whatever else is asked', () => {
    fc.assert(
      fc.property(
        fc.string(),
        fc.boolean(),
        fc.array(fc.constantFrom('mcp:read', 'mcp:write', 'admin')),
        fc.array(fc.constantFrom(...known.keys())),
        (tool, readOnly, sessionScopes, allow) => {
          const decision = decide({ tool, readOnly, sessionScopes }, profile(...new Set(allow)))
          expect(decision.effect === 'permit').toBe(
            allow.includes(tool) &&
              (sessionScopes.includes('mcp:write') || (readOnly && sessionScopes.includes('mcp:read'))),
          )
        },
      ),
    )
  })
})
