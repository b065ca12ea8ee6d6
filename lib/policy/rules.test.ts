import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { AppError } from '../errors'
import { createToolRegistry } from '../tools/registry'
import { compileProfile } from './compile'
import { decide, type Decision } from './decide'
import { parseProfile } from './profile'
import { MAX_EXPRESSIONS, type Rule } from './rules'

const registry = createToolRegistry()
const sessionScopes = ['mcp:write']
const allow = [...registry.names]

/** What the profile says of a call whose arguments the tool accepts. */
function judge(rules: readonly Rule[], name: string, given: Record<string, unknown>): Decision {
  const document = parseProfile({ version: 1, tools: { allow }, rules }, registry.known)
  const { tool } = registry.get(name)!
  const call = { args: tool.input.parse(given), resources: tool.resources ?? {} }
  return decide(
    { tool: name, readOnly: tool.annotations.readOnly, sessionScopes, call },
    compileProfile(1, structuredClone(document)),
  )
}
const permits = (rule: Omit<Rule, 'id'>, name: string, given: Record<string, unknown>) =>
  judge([{ id: 'r', ...rule }], name, given).effect === 'permit'

const issue = (repository: string, more: Record<string, unknown> = {}) => {
  const [owner = '', repo = ''] = repository.split('/')
  return { owner, repo, title: 'T', ...more }
}
const draft = (...to: string[]) => ({ to, body: 'x' })
const file = (path: string) => ({ owner: 'acme', repo: 'api', path })

describe('a rule on a resource', () => {
  const cases: [string, Omit<Rule, 'id'>, string, Record<string, unknown>, boolean][] = [
    [
      'the same repository',
      { resource: 'repository', equals: 'acme/api' },
      'github_create_issue',
      issue('acme/api'),
      true,
    ],
    [
      'its other spelling',
      { resource: 'repository', equals: 'Acme/API' },
      'github_create_issue',
      issue('aCME/apI'),
      true,
    ],
    ['another one', { resource: 'repository', equals: 'acme/api' }, 'github_create_issue', issue('acme/api2'), false],
    [
      'one that begins alike',
      { resource: 'repository', glob: ['acme/*'] },
      'github_create_issue',
      issue('acme-evil/api'),
      false,
    ],
    ['one of a family', { resource: 'repository', glob: ['acme/*'] }, 'github_create_issue', issue('ACME/web'), true],
    [
      'a dot that is no wildcard',
      { resource: 'repository', glob: ['acme/a.i'] },
      'github_create_issue',
      issue('acme/api'),
      false,
    ],
    ['an owner by prefix', { resource: 'repository', prefix: 'acme/' }, 'github_create_issue', issue('ACME/x'), true],
    [
      'a forbidden repository',
      { resource: 'repository', not: true, equals: 'acme/secret' },
      'github_list_issues',
      { owner: 'ACME', repo: 'Secret' },
      false,
    ],
    [
      'one beside it',
      { resource: 'repository', not: true, equals: 'acme/secret' },
      'github_list_issues',
      { owner: 'acme', repo: 'open' },
      true,
    ],
    [
      'another tool with that resource',
      { resource: 'repository', equals: 'acme/api' },
      'github_get_file',
      { owner: 'x', repo: 'y' },
      false,
    ],
    ['a tool without it', { resource: 'repository', equals: 'acme/api' }, 'slack_list_channels', {}, true],
    ['a folder', { resource: 'path', inside: ['docs'] }, 'github_get_file', file('docs/a/b.md'), true],
    ['the folder itself', { resource: 'path', inside: ['/docs/'] }, 'github_get_file', file('docs'), true],
    [
      'a folder that begins alike',
      { resource: 'path', inside: ['docs'] },
      'github_get_file',
      file('docs-private/a'),
      false,
    ],
    ['a path that climbs', { resource: 'path', inside: ['docs'] }, 'github_get_file', file('docs/../secrets'), false],
    [
      'a path that climbs by a backslash',
      { resource: 'path', inside: ['docs'] },
      'github_get_file',
      file('docs\\..\\secrets'),
      false,
    ],
    ['a path in other words', { resource: 'path', inside: ['docs'] }, 'github_get_file', file('./docs//a'), true],
    [
      'the root when a folder is asked for',
      { resource: 'path', inside: ['docs'] },
      'github_get_file',
      { owner: 'acme', repo: 'api' },
      false,
    ],
    ['another case of the folder', { resource: 'path', inside: ['docs'] }, 'github_get_file', file('DOCS/a'), false],
    [
      'a forbidden folder in another case',
      { resource: 'path', not: true, inside: ['secrets'] },
      'github_get_file',
      file('SECRETS/a'),
      false,
    ],
    ['a branch left open', { resource: 'ref', equals: 'main' }, 'github_get_file', file('a'), false],
    [
      'a branch by its full name',
      { resource: 'ref', equals: 'main' },
      'github_get_file',
      { ...file('a'), ref: 'refs/heads/main' },
      true,
    ],
    [
      'a tag of the same name',
      { resource: 'ref', equals: 'main' },
      'github_get_file',
      { ...file('a'), ref: 'refs/tags/main' },
      false,
    ],
    [
      'an unfiltered list',
      { resource: 'label', oneOf: ['bug'] },
      'github_list_issues',
      { owner: 'a', repo: 'b' },
      false,
    ],
    [
      'an empty filter',
      { resource: 'label', oneOf: ['bug'] },
      'github_list_issues',
      { owner: 'a', repo: 'b', labels: [] },
      false,
    ],
    [
      'one label of two',
      { resource: 'label', oneOf: ['bug'] },
      'github_list_issues',
      { owner: 'a', repo: 'b', labels: ['bug', 'x'] },
      false,
    ],
    ['an issue without labels', { resource: 'label', oneOf: ['bug'] }, 'github_create_issue', issue('a/b'), true],
    [
      'recipients at home',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'gmail_create_draft',
      draft('a@acme.com', 'b@ACME.com'),
      true,
    ],
    [
      'one recipient elsewhere',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'gmail_create_draft',
      draft('a@acme.com', 'b@evil.com'),
      false,
    ],
    [
      'a blind copy elsewhere',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'gmail_create_draft',
      { ...draft('a@acme.com'), bcc: ['b@evil.com'] },
      false,
    ],
    [
      'a domain that ends alike',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'gmail_create_draft',
      draft('a@evilacme.com'),
      false,
    ],
    [
      'a subdomain',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'gmail_create_draft',
      draft('a@x.acme.com'),
      false,
    ],
    [
      'an event with nobody',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'calendar_create_event',
      { summary: 's', start: '2026-05-04', end: '2026-05-05' },
      true,
    ],
    [
      'a guest elsewhere',
      { resource: 'recipient', emailDomain: ['acme.com'] },
      'calendar_create_event',
      { summary: 's', start: '2026-05-04', end: '2026-05-05', attendees: ['x@evil.com'] },
      false,
    ],
    [
      'somebody forbidden by dots',
      { resource: 'recipient', not: true, equals: 'the.boss@gmail.com' },
      'gmail_create_draft',
      draft('theboss@googlemail.com'),
      false,
    ],
    [
      'somebody forbidden by a plus',
      { resource: 'recipient', not: true, equals: 'boss@acme.com' },
      'gmail_create_draft',
      draft('Boss+x@acme.com'),
      false,
    ],
    [
      'somebody permitted, with a plus',
      { resource: 'recipient', equals: 'boss@acme.com' },
      'gmail_create_draft',
      draft('boss+x@acme.com'),
      false,
    ],
    [
      'few recipients',
      { resource: 'recipient', maxItems: 2 },
      'gmail_create_draft',
      draft('a@b.example', 'c@d.example'),
      true,
    ],
    [
      'many recipients over the fields',
      { resource: 'recipient', maxItems: 2 },
      'gmail_create_draft',
      { ...draft('a@b.example', 'c@d.example'), cc: ['e@f.example'] },
      false,
    ],
    [
      'a channel',
      { resource: 'channel', oneOf: ['C0GENERAL'] },
      'slack_send_message',
      { channel_id: 'C0GENERAL', text: 'x' },
      true,
    ],
    [
      'another channel',
      { resource: 'channel', oneOf: ['C0GENERAL'] },
      'slack_send_message',
      { channel_id: 'C0RANDOM1', text: 'x' },
      false,
    ],
    ['a calendar by default', { resource: 'calendar', equals: 'team@acme.com' }, 'calendar_list_events', {}, false],
  ]
  it.each(cases)('%s: %j on %s %j permits: %s', (_name, rule, tool, given, isPermitted) => {
    expect(permits(rule, tool, given)).toBe(isPermitted)
  })
})

describe('a rule on an argument', () => {
  const tools = ['github_create_issue']
  const on = (rule: Omit<Rule, 'id' | 'tools'>) => ({ tools, argument: 'title', ...rule })
  const titled = (title: string) => ({ owner: 'a', repo: 'b', title })
  const cases: [string, Omit<Rule, 'id'>, string, Record<string, unknown>, boolean][] = [
    ['a whole match', on({ matches: '\\[bot\\] .*' }), 'github_create_issue', titled('[bot] x'), true],
    ['half a match', on({ matches: '\\[bot\\] .*' }), 'github_create_issue', titled('x [bot] y'), false],
    ['a line that matches among others', on({ matches: 'ok' }), 'github_create_issue', titled('evil\nok'), false],
    [
      'a forbidden word',
      on({ not: true, matches: '.*secret.*' }),
      'github_create_issue',
      titled('a Secret plan'),
      false,
    ],
    [
      'it in wide letters',
      on({ not: true, matches: '.*secret.*' }),
      'github_create_issue',
      titled('ｓｅｃｒｅｔ'),
      false,
    ],
    [
      'it with invisible letters',
      on({ not: true, matches: '.*secret.*' }),
      'github_create_issue',
      titled('sec\u200bret'),
      false,
    ],
    ['it with accents', on({ not: true, glob: ['**secret**'] }), 'github_create_issue', titled('sécrét'), false],
    [
      'it on a second line',
      on({ not: true, matches: '.*secret.*' }),
      'github_create_issue',
      titled('x\nsecret'),
      false,
    ],
    ['another case where it is permitted', on({ equals: 'Hello' }), 'github_create_issue', titled('hello'), false],
    [
      'an optional one that is missing',
      { tools, argument: 'body', not: true, prefix: 'x' },
      'github_create_issue',
      titled('t'),
      false,
    ],
    [
      'more than a kilobyte for a pattern',
      { tools, argument: 'body', not: true, glob: ['**secret**'] },
      'github_create_issue',
      { ...titled('t'), body: 'a'.repeat(1_025) },
      false,
    ],
    [
      'a kilobyte for a pattern',
      { tools, argument: 'body', not: true, glob: ['**secret**'] },
      'github_create_issue',
      { ...titled('t'), body: 'a'.repeat(1_024) },
      true,
    ],
    [
      'a number within',
      { tools: ['github_list_issues'], argument: 'limit', min: 1, max: 20 },
      'github_list_issues',
      { owner: 'a', repo: 'b' },
      true,
    ],
    [
      'a number beyond',
      { tools: ['github_list_issues'], argument: 'limit', max: 20 },
      'github_list_issues',
      { owner: 'a', repo: 'b', limit: 21 },
      false,
    ],
    [
      'a number where a text is ruled',
      { tools: ['github_list_issues'], argument: 'limit', equals: '20' },
      'github_list_issues',
      { owner: 'a', repo: 'b' },
      false,
    ],
    [
      'a truth',
      { tools: ['slack_list_channels'], argument: 'include_archived', equals: false },
      'slack_list_channels',
      {},
      true,
    ],
    [
      'its opposite',
      { tools: ['slack_list_channels'], argument: 'include_archived', equals: false },
      'slack_list_channels',
      { include_archived: true },
      false,
    ],
    [
      'every element',
      { tools: ['slack_list_channels'], argument: 'types', oneOf: ['public'] },
      'slack_list_channels',
      { types: ['public', 'private'] },
      false,
    ],
    [
      'a list that is not there, by length',
      { tools, argument: 'labels', maxItems: 1 },
      'github_create_issue',
      titled('t'),
      true,
    ],
    [
      'a list that is too long',
      { tools, argument: 'labels', maxItems: 1 },
      'github_create_issue',
      { ...titled('t'), labels: ['a', 'b'] },
      false,
    ],
    [
      'an empty list',
      { tools, argument: 'labels', oneOf: ['a'] },
      'github_create_issue',
      { ...titled('t'), labels: [] },
      false,
    ],
    [
      'a tool it does not name',
      on({ equals: 'x' }),
      'slack_send_message',
      { channel_id: 'C0GENERAL', text: 'y' },
      true,
    ],
  ]
  it.each(cases)('%s: %j on %s permits: %s', (_name, rule, tool, given, isPermitted) => {
    expect(permits(rule, tool, given)).toBe(isPermitted)
  })

  it('takes linear time whatever its author wrote and whatever it is given', () => {
    const rule = on({ not: true, matches: '(a+)+$' })
    const began = process.cpuUsage()
    expect(permits(rule, 'github_create_issue', titled(`${'a'.repeat(200)}!`))).toBe(true)
    expect(process.cpuUsage(began).user).toBeLessThan(2_000_000) // backtracking would take longer than the universe has
  })
})

describe('a document with rules', () => {
  const refusals: [string, unknown, string][] = [
    [
      'an id twice',
      [
        { id: 'a', resource: 'ref', equals: 'x' },
        { id: 'a', resource: 'ref', equals: 'x' },
      ],
      'rules[1].id',
    ],
    ['an id with spaces', [{ id: 'a b', resource: 'ref', equals: 'x' }], 'rules[0].id'],
    ['neither resource nor argument', [{ id: 'a', equals: 'x' }], 'rules[0].resource'],
    [
      'both',
      [{ id: 'a', resource: 'ref', argument: 'ref', tools: ['github_get_file'], equals: 'x' }],
      'rules[0].resource',
    ],
    ['an argument of no tool', [{ id: 'a', argument: 'title', equals: 'x' }], 'rules[0].tools'],
    [
      'an argument the tool lacks',
      [{ id: 'a', argument: 'titel', tools: ['github_create_issue'], equals: 'x' }],
      'rules[0].tools[0]',
    ],
    [
      'a resource the tool lacks',
      [{ id: 'a', resource: 'channel', tools: ['github_create_issue'], equals: 'C0A' }],
      'rules[0].tools[0]',
    ],
    [
      'a tool there is not',
      [{ id: 'a', resource: 'channel', tools: ['slack_delete'], equals: 'C0A' }],
      'rules[0].tools[0]',
    ],
    ['a resource there is not', [{ id: 'a', resource: 'repo', equals: 'x' }], 'rules[0].resource'],
    ['no condition', [{ id: 'a', resource: 'ref' }], 'rules[0]'],
    ['two conditions', [{ id: 'a', resource: 'ref', equals: 'x', prefix: 'y' }], 'rules[0].prefix'],
    ['a condition there is not', [{ id: 'a', resource: 'ref', contains: 'x' }], 'rules[0].contains'],
    ['what is no repository', [{ id: 'a', resource: 'repository', oneOf: ['acme/api', 'acme'] }], 'rules[0].oneOf[1]'],
    ['a domain of a channel', [{ id: 'a', resource: 'channel', emailDomain: ['acme.com'] }], 'rules[0].emailDomain'],
    ['a folder of a channel', [{ id: 'a', resource: 'channel', inside: ['x'] }], 'rules[0].inside'],
    ['a number of a resource', [{ id: 'a', resource: 'channel', max: 3 }], 'rules[0].max'],
    ['what has other names, forbidden', [{ id: 'a', resource: 'ref', not: true, equals: 'main' }], 'rules[0].not'],
    ['half an expression', [{ id: 'a', resource: 'channel', matches: '(' }], 'rules[0].matches'],
    ['an expression that looks back', [{ id: 'a', resource: 'channel', matches: '(a)\\1' }], 'rules[0].matches'],
    [
      'too many expressions',
      Array.from({ length: MAX_EXPRESSIONS + 1 }, (_, i) => ({ id: `r${i}`, resource: 'channel', matches: 'x' })),
      'rules',
    ],
    [
      'too many rules',
      Array.from({ length: 201 }, (_, i) => ({ id: `r${i}`, resource: 'channel', equals: 'x' })),
      'rules',
    ],
  ]
  it.each(refusals)('refuses %s and names the field', (_name, rules, field) => {
    let error: unknown
    try {
      parseProfile({ version: 1, tools: { allow: [] }, rules }, registry.known)
    } catch (caught) {
      error = caught
    }
    expect(error).toBeInstanceOf(AppError)
    expect(error).toMatchObject({ code: 'request.invalid', field })
  })

  it('permits nothing at all when a stored rule cannot be read any more', () => {
    const rules = [{ id: 'a', resource: 'channel', matches: '(' }]
    expect(compileProfile(1, { version: 1, tools: { allow }, rules }).allowed.size).toBe(0)
  })

  const REPOSITORIES = ['acme/api', 'acme/web', 'Acme/API', 'evil/api', 'acme/secret']
  const anyRule: fc.Arbitrary<Omit<Rule, 'id'>> = fc.record(
    {
      resource: fc.constant('repository' as const),
      not: fc.boolean(),
      oneOf: fc.uniqueArray(fc.constantFrom(...REPOSITORIES), { minLength: 1 }),
    },
    { requiredKeys: ['resource', 'oneOf'] },
  )
  const named = (rules: readonly Omit<Rule, 'id'>[]): Rule[] => rules.map((rule, i) => ({ id: `r${i}`, ...rule }))

  it('never permits more with one rule more, and means the same in every order', () => {
    fc.assert(
      fc.property(
        fc.array(anyRule, { maxLength: 6 }),
        anyRule,
        fc.constantFrom(...REPOSITORIES),
        (rules, more, repository) => {
          const call = issue(repository)
          const before = judge(named(rules), 'github_create_issue', call).effect
          const after = judge(named([...rules, more]), 'github_create_issue', call).effect
          if (before === 'deny') expect(after).toBe('deny')
          expect(judge(named(rules.toReversed()), 'github_create_issue', call).effect).toBe(before)
        },
      ),
    )
  })

  it('names the rule that refused, in its author’s words or in words of its own', () => {
    const rule: Rule = { id: 'ours', resource: 'repository', oneOf: ['acme/api'] }
    expect(judge([rule], 'github_create_issue', issue('x/y'))).toMatchObject({
      reason: 'rule',
      rule: { id: 'ours', words: 'repository must be one of acme/api' },
    })
    expect(judge([{ ...rule, description: 'ask Ana' }], 'github_create_issue', issue('x/y'))).toMatchObject({
      rule: { words: 'ask Ana' },
    })
    const secret = { ...rule, not: true, oneOf: ['acme/secret'] }
    expect(JSON.stringify(judge([secret], 'github_create_issue', issue('acme/secret')))).not.toContain('acme/secret"')
  })
})
