/**
 * Structured logs on stderr. Callers pass ids and counts, never bodies, headers or credentials; the paths below are the
 * last net under that rule.
 *
 * @module
 */
import { pino, type Logger } from 'pino'

export type Log = Pick<Logger, 'debug' | 'info' | 'warn' | 'error' | 'fatal'> & {
  child(bindings: Record<string, string>): Log
}

const REDACTED = [
  'authorization',
  'cookie',
  'token',
  'secret',
  'password',
  'access_token',
  'refresh_token',
  'sessionKey',
  'code',
  'code_verifier',
]

export function createLog(process: string, level: string): Log {
  return pino(
    {
      level,
      base: { process },
      timestamp: pino.stdTimeFunctions.isoTime,
      redact: { paths: REDACTED.flatMap((name) => [name, `*.${name}`, `*.*.${name}`]), censor: '[redacted]' },
      serializers: { err: errorFacts, error: errorFacts },
    },
    pino.destination({ fd: 2, sync: true }),
  )
}

/** Name, code and stack. The message of a foreign error may quote what it failed to parse, so it is not logged. */
function errorFacts(error: unknown): Record<string, unknown> {
  if (!(error instanceof Error)) return { type: typeof error }
  const facts: Record<string, unknown> = { name: error.name, stack: error.stack?.split('\n').slice(1, 8).join('\n') }
  if ('code' in error && typeof error.code === 'string') facts['code'] = error.code
  if ('internal' in error) facts['internal'] = error.internal
  if (error.name === 'AppError') facts['message'] = error.message
  if (error.cause !== undefined) facts['cause'] = errorFacts(error.cause)
  return facts
}
