'use client'

import { useCallback, useEffect, useState } from 'react'

import { flag, items, load, maybeText } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import { beginElsewhere } from '@/app/_client/sign-in-elsewhere'
import type { ActionResult } from '@/components/action'
import { SingleSignOnSettings } from '@/components/pages/single-sign-on-settings'
import type { CheckStep, SingleSignOnState, SsoDomain } from '@/components/pages/single-sign-on-settings'

const path = '/api/v1/sign-in'

/** Single sign-on of the workspace; asked in the browser, because the pages can read nothing of it. */
export function SingleSignOnPage({ workspaceSlug }: { workspaceSlug: string }) {
  const [state, setState] = useState<SingleSignOnState | 'loading' | 'failed'>('loading')
  const [round, setRound] = useState(0)
  const again = useCallback(() => setRound((one) => one + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    load(path, parseState, controller.signal)
      .then((result) => setState(result.ok ? result.value : 'failed'))
      .catch(() => {
        if (!controller.signal.aborted) setState('failed')
      })
    return () => controller.abort()
  }, [round])

  const change = async (
    method: 'POST' | 'PUT' | 'DELETE',
    where: `/api/v1/sign-in${string}`,
    body: Readonly<Record<string, unknown>>,
  ): Promise<ActionResult> => {
    const result = await send(method, where, body, () => undefined)
    if (result.ok) again()
    return result
  }

  return (
    <SingleSignOnSettings
      state={state}
      onRetry={() => {
        setState('loading')
        again()
      }}
      onSave={({ clientSecret, ...input }) =>
        change('PUT', path, { ...input, ...(clientSecret === '' ? {} : { clientSecret }) })
      }
      onCheck={() => send('POST', `${path}/check`, {}, (body) => stepsOf(body))}
      onTryIt={() =>
        beginElsewhere('/signin/sso', { workspace: workspaceSlug, link: true, next: '/settings/single-sign-on' })
      }
      onEnforce={({ isEnforced }) => change('PUT', `${path}/enforcement`, { isEnforced })}
      onRemove={() => change('DELETE', path, {})}
      onAddDomain={({ domain }) => change('POST', `${path}/domains`, { domain })}
      onVerifyDomain={async ({ domain }) => {
        const result = await send('POST', `${path}/domains/verify`, { domain }, (body) => text(body, 'result'))
        if (result.ok) again()
        return result
      }}
      onRemoveDomain={({ domain }) => change('POST', `${path}/domains/remove`, { domain })}
      onUnlink={({ id }) => change('DELETE', `${path}/links/${id}`, {})}
    />
  )
}

function listOf<T>(body: unknown, key: string, parse: (item: Readonly<Record<string, unknown>>) => T): T[] {
  return items({ items: isRecord(body) ? body[key] : undefined }, parse)
}

function parseState(body: unknown): SingleSignOnState {
  const config = isRecord(body) ? body['config'] : undefined
  return {
    config: !isRecord(config)
      ? undefined
      : {
          issuer: text(config, 'issuer'),
          clientId: text(config, 'clientId'),
          redirectUri: text(config, 'redirectUri'),
          signInUrl: text(config, 'signInUrl'),
          joinRole: maybeText(config, 'joinRole') ?? 'none',
          isEnforced: flag(config, 'isEnforced'),
          signedInAt: maybeText(config, 'signedInAt') ?? undefined,
        },
    domains: listOf(body, 'domains', parseDomain),
    links: listOf(body, 'links', (link) => ({
      id: text(link, 'personId'),
      name: text(link, 'name'),
      email: text(link, 'email'),
      label: text(link, 'label'),
      lastUsedAt: text(link, 'lastUsedAt'),
    })),
  }
}

function parseDomain(item: Readonly<Record<string, unknown>>): SsoDomain {
  return {
    domain: text(item, 'domain'),
    recordName: text(item, 'recordName'),
    recordValue: text(item, 'recordValue'),
    isVerified: maybeText(item, 'verifiedAt') !== null,
    missingSince: maybeText(item, 'missingSince') ?? undefined,
  }
}

function stepsOf(body: unknown): CheckStep[] {
  return listOf(body, 'steps', (step) => ({
    name: text(step, 'name'),
    problem: maybeText(step, 'problem') ?? undefined,
    detail: maybeText(step, 'detail') ?? undefined,
  }))
}
