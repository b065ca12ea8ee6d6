/**
 * `POST /api/v1/leaked-keys {"key": "…"}`: ends a key of ours, whoever says it. No account, no cookie, and one answer.
 *
 * @module
 */
import { z } from 'zod'

import type { LeakedKeys } from '@/lib/identity/leaked-keys'

import { readJson, sendJson, type RouteHandler } from './http'

const report = z.strictObject({ key: z.string().max(1_000) })

export function createLeakedKeyHandler(leakedKeys: LeakedKeys): RouteHandler {
  return async (request, response) => {
    const { key } = await readJson(request, report)
    await leakedKeys.report(key.trim(), request.network)
    sendJson(response, 202, { status: 'accepted' })
  }
}
