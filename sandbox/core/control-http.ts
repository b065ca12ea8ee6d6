/**
 * The control over HTTP, for tests that run in another process: one POST per verb, JSON in, JSON out. Served on a port of
 * its own and only when asked for; whoever can reach it owns the sandbox.
 *
 * @module
 */
import type { Control, Fault } from '@/sandbox/core/control'
import { type Incoming, isRecord, json, parseJson, type Reply } from '@/sandbox/core/http'
import type { Provider, RotationMode } from '@/sandbox/core/ledger'

const isProvider = (value: unknown): value is Provider => value === 'google' || value === 'github' || value === 'slack'

export interface ControlExtras {
  addRedirectUri(provider: Provider, uri: string): void
}

export function controlHandler(control: Control, extras: ControlExtras): (request: Incoming) => Promise<Reply> {
  return (request) => Promise.resolve(answer(control, extras, request))
}

function answer(control: Control, extras: ControlExtras, request: Incoming): Reply {
  const verb = request.path.startsWith('/_sim/') ? request.path.slice('/_sim/'.length) : ''
  const provider: unknown = request.query.get('provider')
  if (request.method === 'GET') {
    if (verb === 'counters' && isProvider(provider)) return json(200, control.counters(provider))
    if (verb === 'journal' && isProvider(provider)) return json(200, { tokens: control.journal(provider) })
    if (verb === 'clock') return json(200, { nowMs: control.clock.nowMs() })
    return json(404, { error: 'unknown verb' })
  }
  const body = request.body.length === 0 ? {} : parseJson(request.body)
  if (request.method !== 'POST' || !isRecord(body)) return json(400, { error: 'POST a JSON object' })
  return act(control, extras, verb, body) ? json(200, { ok: true }) : json(400, { error: 'bad verb or arguments' })
}

function act(control: Control, extras: ControlExtras, verb: string, body: Record<string, unknown>): boolean {
  const { provider } = body
  switch (verb) {
    case 'clock':
      if (typeof body['advance_s'] !== 'number') return false
      control.advance(body['advance_s'] * 1000)
      return true
    case 'release':
      control.release()
      return true
    case 'clear-faults':
      control.clearFaults()
      return true
    case 'reset-counters':
      control.resetCounters()
      return true
    case 'fault':
      if (!isFault(body)) return false
      control.inject(body)
      return true
    default:
      return isProvider(provider) && actOn(control, extras, verb, provider, body)
  }
}

function actOn(
  control: Control,
  extras: ControlExtras,
  verb: string,
  provider: Provider,
  body: Record<string, unknown>,
): boolean {
  switch (verb) {
    case 'lifetimes': {
      const lifetime = (value: unknown): { value: number | null } | undefined =>
        typeof value === 'number' || value === null ? { value } : undefined
      const access = lifetime(body['accessS'])
      const refresh = lifetime(body['refreshS'])
      control.setLifetimes(provider, {
        ...(access === undefined ? {} : { accessS: access.value }),
        ...(refresh === undefined ? {} : { refreshS: refresh.value }),
      })
      return true
    }
    case 'rotation': {
      const mode = rotation(body)
      if (mode !== undefined) control.setRotation(provider, mode)
      return mode !== undefined
    }
    case 'iss': {
      const { iss } = body
      if (iss !== 'right' && iss !== 'wrong' && iss !== 'absent') return false
      control.setIss(provider, iss)
      return true
    }
    case 'revoke': {
      const { token, userId } = body
      if (typeof token === 'string') return control.revoke(provider, { token })
      return typeof userId === 'string' && control.revoke(provider, { userId })
    }
    case 'expire':
      return typeof body['token'] === 'string' && control.ledgers[provider].expire(body['token'])
    case 'redirect-uri':
      if (typeof body['uri'] !== 'string') return false
      extras.addRedirectUri(provider, body['uri'])
      return true
    default:
      return false
  }
}

function rotation(body: Record<string, unknown>): RotationMode | undefined {
  const { mode, graceMs } = body
  if (mode === 'static' || mode === 'strict' || mode === 'family_revoke') return { mode }
  return mode === 'grace' && typeof graceMs === 'number' ? { mode, graceMs } : undefined
}

/** The kind of a fault is taken on trust: only tests speak here, and an unknown kind strikes nothing. */
function isFault(body: Record<string, unknown>): body is Record<string, unknown> & Fault {
  const { provider, target, fault } = body
  return (
    isProvider(provider) &&
    (target === 'token' || target === 'api' || target === 'revoke') &&
    isRecord(fault) &&
    typeof fault['kind'] === 'string'
  )
}
