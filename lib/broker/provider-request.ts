/**
 * Turns what a tool asked for into one HTTP request at its provider's API, and makes sure that it is still the request
 * the tool's text describes.
 *
 * @module
 */
import { AppError } from '../errors'
import type { ProviderRequest } from '../tools/tool'

export interface BuiltRequest {
  readonly url: URL
  readonly headers: Record<string, string>
  readonly body: string | undefined
}

const MAX_URL_LENGTH = 8_000

/**
 * @param base  the URL of the path on the host that serves it, as the provider's client gives it
 * @throws AppError `request.invalid` when the URL would leave the path it was built for, or is too long
 */
export function buildRequest(request: ProviderRequest, base: URL, accessToken: string): BuiltRequest {
  const url = new URL(base)
  // Parsing resolves dot segments, so a path that is no longer a suffix of the result went somewhere else.
  if (!url.pathname.endsWith(request.path) || url.search !== '' || url.hash !== '' || url.username !== '')
    throw new AppError('request.invalid', 'The arguments do not make a path of this API.')
  url.search = encodeForm(request.query ?? {})
  if (url.href.length > MAX_URL_LENGTH) throw new AppError('request.invalid', 'The arguments are too long.')

  const headers: Record<string, string> = {
    accept: 'application/json',
    ...request.headers,
    'user-agent': 'Portcullis',
    authorization: `Bearer ${accessToken}`,
  }
  if (request.json !== undefined) {
    headers['content-type'] = 'application/json; charset=utf-8'
    return { url, headers, body: JSON.stringify(request.json) }
  }
  if (request.form !== undefined) {
    headers['content-type'] = 'application/x-www-form-urlencoded; charset=utf-8'
    return { url, headers, body: encodeForm(request.form) }
  }
  return { url, headers, body: undefined }
}

function encodeForm(values: NonNullable<ProviderRequest['query']>): string {
  const form = new URLSearchParams()
  for (const [name, value] of Object.entries(values)) {
    if (value === undefined) continue
    if (typeof value === 'object') for (const one of value) form.append(name, one)
    else form.append(name, String(value))
  }
  return form.toString()
}
