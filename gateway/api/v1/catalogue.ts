import { z } from 'zod'

import type { Providers } from '@/lib/providers/client'
import type { Tool } from '@/lib/tools/tool'

import { defineRoute, type AnyRoute } from '../route'

const provider = z.object({
  name: z.string(),
  displayName: z.string(),
  configured: z.boolean(),
  sandbox: z.boolean(),
  /** What must be registered at the provider, exactly. */
  redirectUri: z.string(),
  scopes: z
    .array(z.object({ name: z.string(), words: z.string(), access: z.string(), required: z.boolean() }))
    .readonly(),
})

const tool = z.object({
  name: z.string(),
  provider: z.string(),
  title: z.string(),
  description: z.string(),
  readOnly: z.boolean(),
  destructive: z.boolean(),
  openWorld: z.boolean(),
  scopes: z.array(z.array(z.string()).readonly()).readonly(),
})

/** What there is to choose from: providers of this installation and the tools of this version. */
export function catalogueRoutes(deps: {
  readonly providers: Providers
  readonly tools: readonly Tool[]
  readonly publicUrl: string
}): AnyRoute[] {
  return [
    defineRoute({
      id: 'provider.list',
      method: 'GET',
      path: '/api/v1/providers',
      summary: 'Lists the providers, and whether an app of each is set here.',
      permission: 'connection.read',
      response: z.object({ items: z.array(provider) }),
      handle: () =>
        Promise.resolve({
          items: deps.providers
            .list()
            .map((one) => ({ ...one, redirectUri: `${deps.publicUrl}/connect/callback/${one.name}` })),
        }),
    }),
    defineRoute({
      id: 'tool.list',
      method: 'GET',
      path: '/api/v1/tools',
      summary: 'Lists the tools a profile may name.',
      permission: 'profile.read',
      response: z.object({ items: z.array(tool) }),
      handle: () =>
        Promise.resolve({
          items: deps.tools.map(({ name, provider, title, description, annotations, scopes }) => ({
            name,
            provider,
            title,
            description,
            readOnly: annotations.readOnly,
            destructive: annotations.destructive,
            openWorld: annotations.openWorld,
            scopes: scopes.anyOf,
          })),
        }),
    }),
  ]
}
