'use client'

import { useCallback, useEffect, useState } from 'react'

import { flag, items, load, maybeNumber, maybeText, texts } from '@/app/_client/load'
import { isRecord, send, text } from '@/app/_client/request'
import type { ActionError, ActionResult } from '@/components/action'
import { SignInMethods, type Added, type ShownSignInMethods } from '@/components/pages/sign-in-methods'
import { Button } from '@/components/ui/button'
import { Card, CardBody, CardHeader } from '@/components/ui/card'
import { ErrorState } from '@/components/ui/error-state'
import { Loading, Skeleton } from '@/components/ui/skeleton'
import { useToast } from '@/components/ui/toast'

const PATH = '/api/v1/account/sign-in-methods'

type State =
  | { readonly kind: 'loading' }
  | { readonly kind: 'ready'; readonly methods: ShownSignInMethods }
  | { readonly kind: 'failed'; readonly error: ActionError }

/** The person's passkeys and second factor. The gateway alone knows them, so the browser asks it. */
export function SignInMethodsSection() {
  const [state, setState] = useState<State>({ kind: 'loading' })
  const [round, setRound] = useState(0)
  const toast = useToast()
  const reload = useCallback(() => setRound((count) => count + 1), [])

  useEffect(() => {
    const controller = new AbortController()
    const ask = async () => {
      try {
        const answer = await load(PATH, parseMethods, controller.signal)
        if (controller.signal.aborted) return
        setState(answer.ok ? { kind: 'ready', methods: answer.value } : { kind: 'failed', error: answer.error })
      } catch {
        if (!controller.signal.aborted)
          setState({ kind: 'failed', error: { code: 'unreachable', message: 'The server could not be reached.' } })
      }
    }
    void ask()
    return () => controller.abort()
  }, [round])

  /** Sends a change, says that it is done, and shows what is true afterwards. */
  const change = async (
    method: 'PATCH' | 'DELETE',
    path: `/api/v1/account/${string}`,
    body: Readonly<Record<string, unknown>>,
    done: string,
  ): Promise<ActionResult> => {
    const answer = await send(method, path, body, () => undefined)
    if (!answer.ok) return answer
    toast({ tone: 'success', title: done })
    reload()
    return { ok: true }
  }

  if (state.kind !== 'ready')
    return (
      <Card>
        <CardHeader title="Passkeys and second factor" />
        <CardBody>
          {state.kind === 'loading' ? (
            <Loading label="Loading your sign-in methods">
              <Skeleton className="h-24" />
            </Loading>
          ) : (
            <ErrorState className="py-6" level={3} action={<Button onClick={reload}>Try again</Button>}>
              {state.error.message}
            </ErrorState>
          )}
        </CardBody>
      </Card>
    )
  return (
    <SignInMethods
      methods={state.methods}
      onAddPasskey={async ({ name }) => {
        const { makePasskey, parseOptions } = await import('@/app/_client/passkey')
        const options = await send('POST', '/api/v1/account/passkeys/options', {}, parseOptions)
        if (!options.ok) return options
        const made = await makePasskey(options.value)
        if (!made.ok) return made
        const added = await send('POST', '/api/v1/account/passkeys', { name, passkey: made.value }, parseAdded)
        if (added.ok) {
          toast({ tone: 'success', title: 'Passkey added' })
          reload()
        }
        return added
      }}
      onRenamePasskey={({ id, name }) => change('PATCH', `/api/v1/account/passkeys/${id}`, { name }, 'Passkey renamed')}
      onRemovePasskey={({ id }) => change('DELETE', `/api/v1/account/passkeys/${id}`, {}, 'Passkey removed')}
      onBeginTotp={() =>
        send('POST', '/api/v1/account/totp', {}, (body) => ({
          secret: text(body, 'secret'),
          qr: texts(isRecord(body) ? body['qr'] : undefined),
        }))
      }
      onConfirmTotp={async ({ code }) => {
        const added = await send('POST', '/api/v1/account/totp/confirmation', { code }, parseAdded)
        if (added.ok) {
          toast({ tone: 'success', title: 'Authenticator app added' })
          reload()
        }
        return added
      }}
      onRemoveTotp={() => change('DELETE', '/api/v1/account/totp', {}, 'Authenticator app removed')}
      onNewRecoveryCodes={async () => {
        const made = await send('POST', '/api/v1/account/recovery-codes', {}, (body) => ({
          recoveryCodes: texts(isRecord(body) ? body['recoveryCodes'] : undefined),
        }))
        if (made.ok) reload()
        return made
      }}
    />
  )
}

function parseMethods(body: unknown): ShownSignInMethods {
  return {
    hasPassword: flag(body, 'hasPassword'),
    totpSince: maybeText(body, 'totpSince'),
    recoveryCodesLeft: maybeNumber(body, 'recoveryCodesLeft') ?? 0,
    passkeys: items({ items: isRecord(body) ? body['passkeys'] : undefined }, (one) => ({
      id: text(one, 'id'),
      name: text(one, 'name'),
      isSynced: flag(one, 'isSynced'),
      createdAt: text(one, 'createdAt'),
      lastUsedAt: maybeText(one, 'lastUsedAt'),
    })),
  }
}

function parseAdded(body: unknown): Added {
  const codes = isRecord(body) ? body['recoveryCodes'] : undefined
  return { recoveryCodes: codes === null || codes === undefined ? null : texts(codes) }
}
