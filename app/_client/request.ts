'use client'

/**
 * How a page changes something: one same-origin request to the gateway, its refusals as values. The session cookie is sent
 * by the browser; the gateway checks Origin.
 *
 * @module
 */
import type { ActionError, ValueResult } from '@/components/action'

const timeoutMs = 30_000

export const unreadable: ActionError = {
  code: 'response.unreadable',
  message: 'The server gave an answer this page does not understand. Load the page again.',
}

/** Asks the person to prove who they are. @returns whether they did */
type AskForProof = () => Promise<boolean>
let askForProof: AskForProof | undefined
let asking: Promise<boolean> | undefined

/** Whoever can ask for a proof says so here, while it can. @returns how to take it back */
export function onStepUpRequired(ask: AskForProof): () => void {
  askForProof = ask
  return () => {
    if (askForProof === ask) askForProof = undefined
  }
}

/** Writes that are refused together wait for one answer. */
function isProven(): Promise<boolean> {
  asking ??= (askForProof?.() ?? Promise.resolve(false)).finally(() => {
    asking = undefined
  })
  return asking
}

/**
 * Where the gateway wants a fresh proof of who is asking, the person is asked for one, and the same request is sent once more.
 *
 * @param path  below this origin, for example `/api/v1/agents`
 * @param parse  reads the answer; throws when it is not what was promised
 * @returns the refusal with the server's public words, or what `parse` made of the answer
 * @throws when the server cannot be reached; useAction says so in words
 */
export async function send<T>(...request: Parameters<typeof sendOnce<T>>): Promise<ValueResult<T>> {
  const answer = await sendOnce(...request)
  if (answer.ok || answer.error.code !== 'auth.step_up_required') return answer
  return (await isProven()) ? sendOnce(...request) : answer
}

/** As `send`, and never asks for a proof: what carries one itself. */
export async function sendOnce<T>(
  method: 'POST' | 'PUT' | 'PATCH' | 'DELETE',
  path: `/${string}`,
  body: Readonly<Record<string, unknown>>,
  parse: (body: unknown) => T,
): Promise<ValueResult<T>> {
  const response = await fetch(path, {
    method,
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify(body),
    credentials: 'same-origin',
    // A redirect would be followed by the browser to wherever it points; the API never answers with one.
    redirect: 'error',
    cache: 'no-store',
    signal: AbortSignal.timeout(timeoutMs),
  })
  if (!response.ok) return { ok: false, error: await readError(response) }
  const answer = await readJson(response)
  try {
    return { ok: true, value: parse(answer) }
  } catch {
    return { ok: false, error: unreadable }
  }
}

/** What a refusal says, or what its status means when it says nothing. */
export async function readError(response: Response): Promise<ActionError> {
  return parseError(await readJson(response)) ?? statusError(response.status)
}

async function readJson(response: Response): Promise<unknown> {
  try {
    return await response.json()
  } catch {
    return undefined
  }
}

/** The gateway's error body: `{"error": {"code", "message", "field"?}}`. */
export function parseError(body: unknown): ActionError | undefined {
  if (!isRecord(body) || !isRecord(body['error'])) return undefined
  const { code, message, field } = body['error']
  if (typeof code !== 'string' || typeof message !== 'string') return undefined
  return { code, message, field: typeof field === 'string' ? field : undefined }
}

function statusError(status: number): ActionError {
  return {
    code: 'response.status',
    message:
      status >= 500 ? 'The server failed. Try again in a moment.' : 'The server refused this. Load the page again.',
  }
}

export function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/** Reads one text of an answer. */
export function text(body: unknown, key: string): string {
  const value = isRecord(body) ? body[key] : undefined
  if (typeof value !== 'string') throw new TypeError(`the answer has no ${key}`)
  return value
}
