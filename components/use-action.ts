'use client'

import { useCallback, useRef, useState } from 'react'

import type { ActionError, ActionFailure } from '@/components/action'

const unreachable: ActionError = {
  code: 'network.unreachable',
  message: 'The server could not be reached. Nothing was changed that we know of; check your connection and try again.',
}

export interface ActionState<Input, Success extends { readonly ok: true }> {
  readonly pending: boolean
  readonly error: ActionError | undefined
  /** Message for one field, or undefined. */
  readonly fieldError: (name: string) => string | undefined
  /** The error when it belongs to no field that the form shows. */
  readonly formError: (...shownFields: readonly string[]) => ActionError | undefined
  readonly run: (input: Input) => Promise<Success | undefined>
  readonly clear: () => void
}

/**
 * Runs one action at a time and keeps its refusal for display. A second press while the first is under way does nothing,
 * so a double click never sends twice.
 */
export function useAction<Input, Success extends { readonly ok: true }>(
  action: (input: Input) => Promise<Success | ActionFailure>,
): ActionState<Input, Success> {
  const [pending, setPending] = useState(false)
  const [error, setError] = useState<ActionError>()
  const busy = useRef(false)

  const run = useCallback(
    async (input: Input): Promise<Success | undefined> => {
      if (busy.current) return undefined
      busy.current = true
      setPending(true)
      setError(undefined)
      try {
        const result = await action(input)
        if (result.ok) return result
        setError(result.error)
      } catch {
        setError(unreachable)
      } finally {
        busy.current = false
        setPending(false)
      }
      return undefined
    },
    [action],
  )

  return {
    pending,
    error,
    run,
    fieldError: (name) => (error?.field === name ? error.message : undefined),
    formError: (...shown) => (error && !(error.field !== undefined && shown.includes(error.field)) ? error : undefined),
    clear: () => setError(undefined),
  }
}

/** Reads one text field of a submitted form; a missing or file field is the empty string. */
export function textField(form: FormData, name: string): string {
  const value = form.get(name)
  return typeof value === 'string' ? value : ''
}
