/**
 * A provider client over the test token endpoint. It classifies as little as a test needs; the product's own clients are
 * tested where they live.
 *
 * @module
 */
import { z } from 'zod'

import type { RefreshMode } from '../providers/definition'
import type { RefreshingProviders } from '../refresh/refresher'
import { Secret } from '../secret'

const wire = z.object({
  access_token: z.string(),
  refresh_token: z.string().nullish(),
  expires_in: z.number().optional(),
  scope: z.string().optional(),
})

export const TEST_PROVIDER = { name: 'github', app: 'test-app' } as const

export function createTestProviders(url: string, mode: RefreshMode): RefreshingProviders {
  return {
    get: (name) =>
      name !== TEST_PROVIDER.name
        ? undefined
        : {
            definition: { refreshMode: mode },
            app: { key: TEST_PROVIDER.app },
            async refresh(refreshToken, { signal }) {
              let response: Response
              let body: unknown
              try {
                response = await fetch(url, {
                  method: 'POST',
                  body: new URLSearchParams({ grant_type: 'refresh_token', refresh_token: refreshToken.reveal() }),
                  ...(signal === undefined ? {} : { signal }),
                })
                body = await response.json().catch(() => undefined)
              } catch {
                return { kind: 'unknown_outcome', code: 'no_answer' }
              }
              const parsed = wire.safeParse(body)
              if (response.ok && parsed.success) {
                const { access_token, refresh_token, expires_in, scope } = parsed.data
                return {
                  kind: 'issued',
                  tokens: {
                    accessToken: new Secret(access_token),
                    refreshToken: typeof refresh_token === 'string' ? new Secret(refresh_token) : null,
                    accessExpiresAt: expires_in === undefined ? null : new Date(Date.now() + expires_in * 1_000),
                    refreshExpiresAt: null,
                    grantedScopes: scope === undefined ? null : scope.split(' '),
                  },
                }
              }
              const error = z.object({ error: z.string() }).safeParse(body)
              if (error.data?.error === 'invalid_grant') return { kind: 'permanent', code: 'invalid_grant' }
              if (error.data?.error === 'invalid_client') return { kind: 'app_fault', code: 'invalid_client' }
              if (error.success && response.status < 500)
                return { kind: 'rejected', code: error.data.error, status: response.status }
              return { kind: 'weather', code: `http_${response.status}` }
            },
          },
  }
}
