'use client'

import { useCallback, useEffect, useState } from 'react'

import { items, load } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import { LinkedSignInsCard } from '@/components/pages/linked-sign-ins'
import type { LinkedSignIn } from '@/components/pages/linked-sign-ins'

const path = '/api/v1/account/sign-ins'

/** Where else the person signs in; asked in the browser, because the gateway alone knows. */
export function LinkedSignIns() {
  const [links, setLinks] = useState<readonly LinkedSignIn[] | 'loading' | 'failed'>('loading')
  const [round, setRound] = useState(0)
  const again = useCallback(() => setRound((one) => one + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    load(path, (body) => items(body, parse), controller.signal)
      .then((result) => setLinks(result.ok ? result.value : 'failed'))
      .catch(() => {
        if (!controller.signal.aborted) setLinks('failed')
      })
    return () => controller.abort()
  }, [round])

  return (
    <LinkedSignInsCard
      links={links}
      onRetry={() => {
        setLinks('loading')
        again()
      }}
      onUnlink={async ({ id }) => {
        const result = await send('DELETE', `${path}/${id}`, {}, () => undefined)
        if (result.ok) again()
        return result
      }}
    />
  )
}

function parse(item: Readonly<Record<string, unknown>>): LinkedSignIn {
  const label = isRecord(item) && typeof item['label'] === 'string' ? item['label'] : ''
  return {
    id: text(item, 'id'),
    provider: text(item, 'provider'),
    label: label === '' ? text(item, 'issuer') : label,
    lastUsedAt: text(item, 'lastUsedAt'),
  }
}
