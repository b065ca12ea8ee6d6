/**
 * Every failure a caller may branch on, and what each means on the wire. Codes are public API: add freely, never rename.
 *
 * @module
 */
type Retry = 'never' | 'later' | 'after_reconnect'

const CATALOGUE = {
  'request.invalid': { status: 400, retry: 'never' },
  'request.too_large': { status: 413, retry: 'never' },
  'request.unsupported_media_type': { status: 415, retry: 'never' },
  'request.method_not_allowed': { status: 405, retry: 'never' },
  'request.rate_limited': { status: 429, retry: 'later' },
  'request.origin_refused': { status: 403, retry: 'never' },
  'auth.unauthenticated': { status: 401, retry: 'never' },
  'auth.forbidden': { status: 403, retry: 'never' },
  'auth.step_up_required': { status: 403, retry: 'never' },
  'auth.link_invalid': { status: 400, retry: 'never' },
  'auth.disabled': { status: 403, retry: 'never' },
  'resource.not_found': { status: 404, retry: 'never' },
  'resource.conflict': { status: 409, retry: 'never' },
  'resource.limit_exceeded': { status: 409, retry: 'never' },
  'policy.denied': { status: 403, retry: 'never' },
  'policy.approval_required': { status: 403, retry: 'never' },
  'policy.limit_exceeded': { status: 429, retry: 'later' },
  'connection.reauthorization_required': { status: 409, retry: 'after_reconnect' },
  'connection.not_ready': { status: 409, retry: 'later' },
  'connection.already_revoked': { status: 409, retry: 'after_reconnect' },
  'connection.scope_missing': { status: 409, retry: 'after_reconnect' },
  'provider.rate_limited': { status: 429, retry: 'later' },
  'provider.unavailable': { status: 502, retry: 'later' },
  'provider.rejected': { status: 502, retry: 'never' },
  'provider.misconfigured': { status: 503, retry: 'later' },
  'egress.refused': { status: 502, retry: 'never' },
  'egress.too_large': { status: 502, retry: 'never' },
  'egress.timeout': { status: 504, retry: 'later' },
  'vault.unreadable': { status: 500, retry: 'never' },
  'vault.key_unavailable': { status: 503, retry: 'later' },
  'vault.wrong_key': { status: 503, retry: 'never' },
  'audit.unavailable': { status: 503, retry: 'later' },
  'audit.tampered': { status: 500, retry: 'never' },
  'audit.unverifiable': { status: 503, retry: 'later' },
  'service.unavailable': { status: 503, retry: 'later' },
  'config.invalid': { status: 500, retry: 'never' },
  internal: { status: 500, retry: 'never' },
} as const satisfies Record<string, { status: number; retry: Retry }>

export type ErrorCode = keyof typeof CATALOGUE

/** True for a code of the catalogue: an answer of another version may carry one that this one does not know. */
export function isErrorCode(value: string): value is ErrorCode {
  return Object.hasOwn(CATALOGUE, value)
}

interface AppErrorOptions {
  readonly internal?: Readonly<Record<string, string | number>>
  readonly cause?: unknown
  /** Name of the request field that is wrong, when one is. */
  readonly field?: string
  readonly retryAfterSeconds?: number
}

/** A failure with a catalogued code. `message` is public; `internal` and `cause` never leave the process but for the log. */
export class AppError extends Error {
  override readonly name = 'AppError'
  readonly code: ErrorCode
  /** Facts for the log. Never sent to a client, never a secret. */
  readonly internal: Readonly<Record<string, string | number>>
  readonly field: string | undefined
  readonly retryAfterSeconds: number | undefined

  /** @param message Safe to show to whoever made the request. */
  constructor(code: ErrorCode, message: string, options: AppErrorOptions = {}) {
    super(message, { cause: options.cause })
    this.code = code
    this.internal = options.internal ?? {}
    this.field = options.field
    this.retryAfterSeconds = options.retryAfterSeconds
  }

  get status(): number {
    return CATALOGUE[this.code].status
  }

  get retry(): Retry {
    return CATALOGUE[this.code].retry
  }
}

/** A resource of another tenant and one that does not exist get this same error, so that ids cannot be probed. */
export function notFound(): AppError {
  return new AppError('resource.not_found', 'There is no such resource.')
}
