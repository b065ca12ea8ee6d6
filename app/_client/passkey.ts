'use client'

/**
 * The browser's half of a passkey. What it says when a person closes its window, or has no passkey here, is put into words;
 * everything else is the gateway's to judge.
 *
 * @module
 */
import { browserSupportsWebAuthn, startAuthentication, startRegistration } from '@simplewebauthn/browser'

import type { ValueResult } from '@/components/action'

import { isRecord } from './request'

type Options = Readonly<Record<string, unknown>>

/** Options as the gateway gave them; the browser itself refuses what it cannot read. */
export function parseOptions(body: unknown): Options {
  if (!isRecord(body) || typeof body['challenge'] !== 'string') throw new TypeError('the answer is no question')
  return body
}

export function signWithPasskey(options: Options): Promise<ValueResult<Options>> {
  return answered(
    () =>
      startAuthentication({
        optionsJSON: options as unknown as Parameters<typeof startAuthentication>[0]['optionsJSON'],
      }), // the gateway's, which are the library's own
  )
}

export function makePasskey(options: Options): Promise<ValueResult<Options>> {
  return answered(
    () =>
      startRegistration({ optionsJSON: options as unknown as Parameters<typeof startRegistration>[0]['optionsJSON'] }), // the gateway's, which are the library's own
  )
}

async function answered(ask: () => Promise<object>): Promise<ValueResult<Options>> {
  if (!browserSupportsWebAuthn())
    return refusal('This browser cannot use passkeys here. They need https, or localhost.')
  try {
    return { ok: true, value: { ...(await ask()) } }
  } catch (error) {
    const name = error instanceof Error ? error.name : ''
    if (name === 'InvalidStateError') return refusal('This device has a passkey for you already.')
    if (name === 'SecurityError') return refusal('Passkeys do not work at this address.')
    return refusal('No passkey was used. Try again, or use another way.')
  }
}

const refusal = (message: string): Extract<ValueResult<Options>, { ok: false }> => ({
  ok: false,
  error: { code: 'passkey.not_used', message },
})
