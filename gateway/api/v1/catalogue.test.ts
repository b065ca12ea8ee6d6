import { describe, expect, it } from 'vitest'

import { providerName, providerOfTool, providerSummary } from '@/app/_client/providers'
import { CATALOG } from '@/lib/providers/catalog/index'
import { TOOLS } from '@/lib/tools/registry'

/** The pages may not import the catalogue, so they keep three facts of their own; these are the facts. */
describe('what the pages know about providers', () => {
  it.each(CATALOG.map((provider) => [provider.name, provider.displayName] as const))(
    '%s has the name and the summary that people are shown',
    (name, displayName) => {
      expect(providerName(name)).toBe(displayName)
      expect(providerSummary(name)).toBeDefined()
    },
  )

  it('names the provider of every tool by the first word of its name', () => {
    expect(TOOLS.map(({ name }) => [name, providerOfTool(name)])).toEqual(
      TOOLS.map(({ name, provider }) => [name, provider]),
    )
  })

  it('finds nothing for names that no table has of its own', () => {
    expect(providerOfTool('constructor_x')).toBeUndefined()
    expect(providerName('toString')).toBe('ToString')
  })
})
