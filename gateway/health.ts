/**
 * `/healthz`: the process answers. `/readyz`: it may open credentials and reach its databases; else 503 and the reason.
 * Both are exempt from the Host check, because probes address an instance and not the service.
 *
 * @module
 */
import type { ServerResponse } from 'node:http'

import { sendJson } from './http'

export type Readiness = { readonly ready: true } | { readonly ready: false; readonly reason: string }

export function sendHealth(response: ServerResponse): void {
  sendJson(response, 200, { status: 'ok' })
}

export function sendReadiness(response: ServerResponse, readiness: Readiness): void {
  if (readiness.ready) sendJson(response, 200, { status: 'ready' })
  else sendJson(response, 503, { status: 'not_ready', reason: readiness.reason })
}
