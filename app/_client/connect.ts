'use client'

import type { ValueResult } from '@/components/action'

import { send, text } from './request'

/**
 * Begins a consent. The answer names the provider's page and the browser goes there by itself: a form whose answer redirects
 * to another site is refused by `form-action 'self'`.
 */
export function startConnect(
  provider: string,
  wanted: { readonly scopes?: readonly string[]; readonly connectionId?: string },
): Promise<ValueResult<{ redirectTo: string }>> {
  return send('POST', `/connect/${encodeURIComponent(provider)}`, { ...wanted }, (body) => {
    const redirectTo = text(body, 'location')
    const { protocol } = new URL(redirectTo)
    if (protocol !== 'https:' && protocol !== 'http:') throw new TypeError('the answer is no web address')
    return { redirectTo }
  })
}
