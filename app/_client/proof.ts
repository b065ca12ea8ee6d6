'use client'

/**
 * A proof of who somebody is, as the gateway takes it: for step-up, and for the second half of signing in.
 *
 * @module
 */
import type { ValueResult } from '@/components/action'
import { proofMethods, type Proof, type ProofMethod } from '@/components/pages/proof-form'

import { texts } from './load'
import { isRecord, sendOnce } from './request'

type Where = '/signin/step-up' | '/signin/second-factor'

/** What the person may be asked for. A word of a newer server is left out; what is left is offered. */
export function loadProofMethods(where: Where): Promise<ValueResult<ProofMethod[]>> {
  return sendOnce('POST', `${where}/methods`, {}, parseMethods)
}

export function parseMethods(body: unknown): ProofMethod[] {
  const named = texts(isRecord(body) ? body['methods'] : undefined)
  return proofMethods.filter((method) => named.includes(method))
}

/** The body that carries this proof. Of a passkey: what the device signed. */
export async function proofBody(where: Where, proof: Proof): Promise<ValueResult<Readonly<Record<string, unknown>>>> {
  switch (proof.kind) {
    case 'password':
      return { ok: true, value: { password: proof.password } }
    case 'code':
      return { ok: true, value: { code: proof.code } }
    case 'recovery_code':
      return { ok: true, value: { recoveryCode: proof.code } }
    case 'passkey': {
      // Fetched when it is needed: most pages never sign anything.
      const { parseOptions, signWithPasskey } = await import('./passkey')
      const options = await sendOnce('POST', `${where}/passkey`, {}, parseOptions)
      if (!options.ok) return options
      const signed = await signWithPasskey(options.value)
      return signed.ok ? { ok: true, value: { passkey: signed.value } } : signed
    }
  }
}
