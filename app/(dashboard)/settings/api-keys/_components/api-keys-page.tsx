'use client'

import { useRouter } from 'next/navigation'

import { send, text } from '@/app/_client/request'
import { ApiKeys } from '@/components/pages/api-keys'
import type { ApiKeysProps } from '@/components/pages/api-keys'

export function ApiKeysPage(facts: Pick<ApiKeysProps, 'keys' | 'canCreate' | 'roles'>) {
  const router = useRouter()
  return (
    <ApiKeys
      {...facts}
      onCreate={async ({ name, role, days, scopes, ipRanges }) => {
        const body = {
          name,
          role,
          expiresInDays: days,
          ...(scopes === undefined ? {} : { scopes }),
          ...(ipRanges.length === 0 ? {} : { ipRanges }),
        }
        const result = await send('POST', '/api/v1/api-keys', body, (answer) => text(answer, 'apiKey'))
        if (result.ok) router.refresh()
        return result
      }}
      onRevoke={async ({ id }) => {
        const result = await send('DELETE', `/api/v1/api-keys/${id}`, {}, () => undefined)
        if (result.ok) router.refresh()
        return result
      }}
    />
  )
}
