import { describe, expect, test } from 'vitest'

import { parseConsent } from '@/app/_client/consent'

const client = {
  name: 'Desk client',
  idHost: null,
  source: 'registered',
  redirectUri: 'http://127.0.0.1:33418/callback',
  redirectHost: '127.0.0.1:33418',
  isLocalOnly: true,
}

const ask = {
  kind: 'ask',
  client,
  person: { name: 'Ada', email: 'ada@example.test' },
  workspace: { id: 'ten_1', name: 'Analytical' },
  agent: { id: 'agt_1', name: 'Dispatch bot' },
  scopes: ['mcp:read', 'mcp:write'],
  access: {
    tools: [
      { name: 'github_list_issues', title: 'List issues', provider: 'github', isReadOnly: true },
      { name: 'calendar_list_events', title: 'List events', provider: 'google', isReadOnly: true },
    ],
    accounts: [{ provider: 'github', label: 'octocat', isUsable: true }],
    missingProviders: ['google'],
  },
  idleDays: 30,
  absoluteDays: 90,
  proof: 'proof',
}

function askedOf(body: unknown) {
  const consent = parseConsent(body)
  if (consent.kind !== 'ask') throw new Error('it is no question')
  return consent
}

describe('the question as the page reads it', () => {
  test('puts accounts and tools of a provider together and marks the one that has no account', () => {
    expect(askedOf(ask).request.providers).toEqual([
      {
        provider: 'github',
        name: 'GitHub',
        isMissing: false,
        accounts: [{ provider: 'github', label: 'octocat', isUsable: true }],
        tools: [{ provider: 'github', name: 'github_list_issues', title: 'List issues', isReadOnly: true }],
      },
      {
        provider: 'google',
        name: 'Google',
        isMissing: true,
        accounts: [],
        tools: [{ provider: 'google', name: 'calendar_list_events', title: 'List events', isReadOnly: true }],
      },
    ])
  })

  test('says read only when nothing else was asked for, and never otherwise', () => {
    expect(askedOf(ask).request.isReadOnly).toBe(false)
    expect(askedOf({ ...ask, scopes: ['mcp:read'] }).request.isReadOnly).toBe(true)
  })

  test('takes a source it does not know for the one nobody vouches for', () => {
    expect(askedOf({ ...ask, client: { ...client, source: 'verified' } }).request.client.source).toBe('registered')
  })

  test('takes a reason it does not know for the one that gives nothing away', () => {
    expect(parseConsent({ kind: 'refused', reason: 'new_one', client })).toMatchObject({ reason: 'no_access' })
  })

  test.each([
    'client',
    'person',
    'workspace',
    'agent',
    'scopes',
    'access',
    'idleDays',
    'absoluteDays',
    'proof',
    'kind',
  ])('is not shown without its %s', (key) => {
    expect(() => parseConsent({ ...ask, [key]: undefined })).toThrow(TypeError)
  })

  test.each(['name', 'redirectUri', 'redirectHost', 'isLocalOnly', 'source'])(
    'is not shown without the client’s %s',
    (key) => {
      expect(() => parseConsent({ ...ask, client: { ...client, [key]: undefined } })).toThrow(TypeError)
    },
  )
})
