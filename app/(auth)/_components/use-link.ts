'use client'

import { useEffect, useState } from 'react'

import { useFragment } from '@/app/(auth)/_components/use-fragment'
import { isRecord, send, text } from '@/app/_client/request'

export type LinkState =
  | { readonly state: 'loading' }
  /** No secret in the address. */
  | { readonly state: 'none' }
  | { readonly state: 'unusable' }
  | { readonly state: 'unreachable' }
  | { readonly state: 'open'; readonly secret: string; readonly purpose: string; readonly email: string | undefined }

/** Asks what the link in the address is for. Spends nothing, so that opening the page changes nothing. */
export function useLink(): LinkState {
  const secret = useFragment()
  const [asked, setAsked] = useState<{ readonly secret: string; readonly link: LinkState }>()

  useEffect(() => {
    if (secret === undefined || secret === '') return
    let isCurrent = true
    const ask = async (): Promise<LinkState> => {
      try {
        const answer = await send('POST', '/signin/link', { secret }, (body) => ({
          purpose: text(body, 'purpose'),
          email: isRecord(body) && typeof body['email'] === 'string' ? body['email'] : undefined,
        }))
        if (answer.ok) return { state: 'open', secret, ...answer.value }
        return { state: answer.error.code === 'auth.link_invalid' ? 'unusable' : 'unreachable' }
      } catch {
        return { state: 'unreachable' }
      }
    }
    void ask().then((link) => {
      if (isCurrent) setAsked({ secret, link })
    })
    return () => {
      isCurrent = false
    }
  }, [secret])

  if (secret === undefined) return { state: 'loading' }
  if (secret === '') return { state: 'none' }
  return asked?.secret === secret ? asked.link : { state: 'loading' }
}
