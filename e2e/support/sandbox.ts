/**
 * The hand on the sandbox that `npm start --sandbox-control` gives: faults, counts, clocks and the provider's own journal.
 *
 * @module
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'

import type { Counters, Fault } from '../../sandbox/core/control'
import type { Provider, Token } from '../../sandbox/core/ledger'

export type { Counters, Provider, Token }
export const PROVIDERS = ['github', 'google', 'slack'] as const satisfies readonly Provider[]

export interface SandboxControl {
  readonly url: string
  inject(fault: Fault): Promise<void>
  /** Lets every held answer go. */
  release(): Promise<void>
  /** Drops what is still to come, and lets held answers go. */
  clearFaults(): Promise<void>
  counters(provider: Provider): Promise<Counters>
  resetCounters(): Promise<void>
  /** Every token the provider ever issued, oldest first. */
  journal(provider: Provider): Promise<readonly Token[]>
  /** Of tokens issued from now on, in seconds. */
  setLifetime(provider: Provider, accessS: number, refreshS?: number): Promise<void>
  /** Makes one token expired now. */
  expire(provider: Provider, token: string): Promise<void>
  /** Makes every living access token of this provider expired now. */
  expireAll(provider: Provider): Promise<void>
  /** The person withdraws, at the provider, everything that was granted to the app there. */
  withdraw(provider: Provider, userId: string): Promise<void>
}

/** @param dataDir  of a product that was started with the control */
export function sandboxControl(dataDir: string): SandboxControl {
  const local = JSON.parse(readFileSync(path.join(dataDir, 'run', 'local.json'), 'utf8')) as Record<string, unknown> // our own launcher wrote it
  const url = local['sandboxControlUrl']
  if (typeof url !== 'string') throw new Error('the product was started without the control of the sandbox')

  const ask = async (verb: string, init?: RequestInit): Promise<unknown> => {
    const response = await fetch(`${url}/_sim/${verb}`, init)
    if (!response.ok) throw new Error(`the sandbox refused ${verb}: ${response.status}`)
    return response.json()
  }
  const tell = async (verb: string, body: object = {}): Promise<void> => {
    await ask(verb, { method: 'POST', body: JSON.stringify(body) })
  }
  const control: SandboxControl = {
    url,
    inject: (fault) => tell('fault', fault),
    release: () => tell('release'),
    clearFaults: () => tell('clear-faults'),
    counters: async (provider) => (await ask(`counters?provider=${provider}`)) as Counters, // its own type, as JSON
    resetCounters: () => tell('reset-counters'),
    journal: async (provider) => ((await ask(`journal?provider=${provider}`)) as { tokens: Token[] }).tokens, // as above
    setLifetime: (provider, accessS, refreshS) => tell('lifetimes', { provider, accessS, refreshS }),
    expire: (provider, token) => tell('expire', { provider, token }),
    expireAll: async (provider) => {
      for (const token of await control.journal(provider))
        if (token.kind === 'access' && token.state === 'live') await control.expire(provider, token.value)
    },
    withdraw: (provider, userId) => tell('revoke', { provider, userId }),
  }
  return control
}
