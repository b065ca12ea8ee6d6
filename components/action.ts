/**
 * What a form hands to its page and gets back. Expected refusals are values, so that a form can show them beside the field
 * and keep everything that was typed; a rejected promise means the request did not reach us.
 *
 * @module
 */
export interface ActionError {
  /** Catalogue code, for example `auth.invalid_credentials`. */
  readonly code: string
  /** Public sentence a person can act on. */
  readonly message: string
  /** Name of the form field the message belongs to. */
  readonly field?: string | undefined
}

export interface ActionFailure {
  readonly ok: false
  readonly error: ActionError
}

/** Outcome of an action that returns nothing. */
export type ActionResult = { readonly ok: true } | ActionFailure

/** Outcome of an action that returns something, such as the id or the secret just made. */
export type ValueResult<T> = { readonly ok: true; readonly value: T } | ActionFailure

export type Action<Input> = (input: Input) => Promise<ActionResult>
export type ValueAction<Input, T> = (input: Input) => Promise<ValueResult<T>>
