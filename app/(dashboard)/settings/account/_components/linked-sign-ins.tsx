'use client'

import { useSearchParams } from 'next/navigation'
import { useCallback, useEffect, useState } from 'react'

import { items, load, maybeText } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import { beginElsewhere } from '@/app/_client/sign-in-elsewhere'
import { LinkedSignInsCard } from '@/components/pages/linked-sign-ins'
import type { LinkableSignIn, LinkedSignIn } from '@/components/pages/linked-sign-ins'
import { problemWords } from '@/components/pages/sign-in-problems'

const path = '/api/v1/account/sign-ins'
const here = '/settings/account'

/** Where else the person signs in; asked in the browser, because the gateway alone knows. */
export function LinkedSignIns() {
  const problem = problemWords(useSearchParams().get('problem') ?? undefined)
  const [links, setLinks] = useState<readonly LinkedSignIn[] | 'loading' | 'failed'>('loading')
  const [linkable, setLinkable] = useState<readonly LinkableSignIn[]>([])
  const [workspace, setWorkspace] = useState<string>()
  const [round, setRound] = useState(0)
  const again = useCallback(() => setRound((one) => one + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    load(path, parseAll, controller.signal)
      .then((result) => {
        setLinks(result.ok ? result.value.links : 'failed')
        if (!result.ok) return
        setLinkable(result.value.linkable)
        setWorkspace(result.value.workspace)
      })
      .catch(() => {
        if (!controller.signal.aborted) setLinks('failed')
      })
    return () => controller.abort()
  }, [round])

  return (
    <LinkedSignInsCard
      links={links}
      linkable={linkable}
      problem={problem}
      onRetry={() => {
        setLinks('loading')
        again()
      }}
      onLink={({ name }) =>
        name === 'sso'
          ? beginElsewhere('/signin/sso', { workspace, link: true, next: here })
          : beginElsewhere(`/signin/with/${name}`, { link: true, next: here })
      }
      onUnlink={async ({ id }) => {
        const result = await send('DELETE', `${path}/${id}`, {}, () => undefined)
        if (result.ok) again()
        return result
      }}
    />
  )
}

/** What is linked, and what could be besides: one account of each provider, and the workspace's own sign-in. */
function parseAll(body: unknown) {
  const links = items(body, parse)
  const available = items({ items: isRecord(body) ? body['available'] : undefined }, (one) => ({
    name: text(one, 'name'),
    label: text(one, 'displayName'),
  }))
  const linked = new Set(links.map(({ provider }) => provider))
  const workspace = maybeText(body, 'workspace') ?? undefined
  return {
    links,
    workspace,
    linkable: [
      ...available.filter(({ name }) => !linked.has(name)),
      ...(workspace === undefined || linked.has('oidc') ? [] : [{ name: 'sso', label: 'single sign-on' }]),
    ],
  }
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
