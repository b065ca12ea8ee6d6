import { describe, expect, it } from 'vitest'

import { github } from './catalog/github/definition'
import { google } from './catalog/google/definition'
import { canonicalScopes, coversScope, missingScopes, scopesToRequest } from './scopes'

const GMAIL = 'https://www.googleapis.com/auth/gmail.'

describe('scopes', () => {
  it('are spelled one way, sorted and each once, whatever separates them', () => {
    expect(canonicalScopes(github.scopes, 'repo,gist repo  ,gist')).toEqual(['gist', 'repo'])
    expect(canonicalScopes(google.scopes, ['https://www.googleapis.com/auth/userinfo.email', 'email'])).toEqual([
      'email',
    ])
  })

  it('cover the narrower ones, through several steps, and never the wider', () => {
    expect(coversScope(google.scopes, [`${GMAIL}modify`], `${GMAIL}readonly`)).toBe(true)
    expect(coversScope(google.scopes, ['https://mail.google.com/'], `${GMAIL}metadata`)).toBe(true)
    expect(coversScope(google.scopes, [`${GMAIL}readonly`], `${GMAIL}modify`)).toBe(false)
    expect(coversScope(github.scopes, ['admin:org'], 'read:org')).toBe(true)
    expect(coversScope(github.scopes, ['repository'], 'repo')).toBe(false)
  })

  it('that were asked for and not granted are missing, without those that are never reported', () => {
    expect(missingScopes(github.scopes, ['read:user'], ['repo', 'read:user', 'offline_access'])).toEqual(['repo'])
  })

  it('are asked for as identity plus what the tools need', () => {
    expect(scopesToRequest(github.scopes)).toEqual(['read:user', 'offline_access', 'repo'])
    expect(scopesToRequest(github.scopes, ['gist'])).toEqual(['read:user', 'offline_access', 'gist'])
  })
})
