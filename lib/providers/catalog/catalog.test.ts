/** The catalogue holds together: its two lists are its folders, and each definition is whole. */
import { readdirSync } from 'node:fs'

import { describe, expect, it } from 'vitest'

import { variablesOfProvider } from '@/lib/config'

import { FACES } from './faces'
import { CATALOG } from './index'

const folders = readdirSync(import.meta.dirname, { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => name)
  .sort()

it('lists each folder once, whole and as people see it, in one order', () => {
  expect(CATALOG.map(({ name }) => name).sort()).toEqual(folders)
  expect(FACES.map(({ name, displayName }) => [name, displayName])).toEqual(
    CATALOG.map(({ name, displayName }) => [name, displayName]),
  )
})

it('has tests beside every definition', () => {
  for (const folder of folders) expect(readdirSync(`${import.meta.dirname}/${folder}`)).toContain('definition.test.ts')
})

it('gives no two providers the same settings or the same first words of tools', () => {
  const variables = FACES.map(({ name }) => variablesOfProvider(name).clientId)
  expect(new Set(variables).size).toBe(variables.length)
  const prefixes = FACES.flatMap(({ toolPrefixes }) => [...toolPrefixes])
  expect(new Set(prefixes).size).toBe(prefixes.length)
})

describe.each(CATALOG.map((definition) => [definition.name, definition] as const))('%s', (name, definition) => {
  it('has a name that fits an address and a variable', () => {
    expect(name).toMatch(/^[a-z][a-z0-9-]{0,30}$/)
  })

  it('speaks https to its own hosts', () => {
    for (const url of Object.values<string>({ ...definition.endpoints })) expect(url).toMatch(/^https:\/\//)
  })

  it('means one thing by each word', () => {
    const { permanent, appFault, weather, unknown } = definition.tokenErrors
    const words = [...permanent, ...appFault, ...weather, ...unknown]
    expect(new Set(words).size).toBe(words.length)
    expect(permanent.length).toBeGreaterThan(0)
    // What a broken registration answers may end nobody's access.
    for (const word of ['invalid_client', 'unauthorized_client', 'server_error', 'temporarily_unavailable'])
      expect(permanent).not.toContain(word)
  })

  it('says in plain words what it asks for, and what its wider scopes hold', () => {
    const { scopes } = definition
    for (const scope of [...scopes.identity, ...scopes.defaults]) expect(scopes.known[scope]?.words, scope).toBeTruthy()
    for (const scope of scopes.notReported) expect(Object.keys(scopes.known)).toContain(scope)
  })

  it('names the kinds its traps speak of', () => {
    for (const { when, words } of definition.traps) {
      expect(words.length).toBeGreaterThan(20)
      for (const variant of when.variants ?? []) expect(Object.keys(definition.variants.known)).toContain(variant)
    }
  })

  it('can be ended from outside, or says where by hand', () => {
    const { reach, revoke, byHand } = definition.revocation
    if (reach === 'none') expect(byHand).toMatch(/^https:/)
    else {
      expect(revoke).toBeDefined()
      expect(definition.endpoints.revocation).toBeDefined()
    }
  })

  it('promises no mode that its lifecycle denies', () => {
    const { refreshMode, lifecycle } = definition
    if (refreshMode === 'strict') expect(lifecycle.graceSeconds ?? 0).toBe(0)
    if (lifecycle.rotates === 'never') expect(refreshMode).toBe('static')
  })
})
