/**
 * What a person sees when an authorization request cannot even be answered to its client: unknown client, wrong address,
 * expired. Nothing of the request is repeated but the library's own words; no link leads anywhere.
 *
 * @see RFC 6749 §4.1.2.1, RFC 9700 §4.11
 * @module
 */
import { createHash } from 'node:crypto'

const STYLE =
  ':root{color-scheme:light dark}body{margin:0;font:16px/1.5 system-ui,sans-serif;display:grid;min-height:100vh;place-items:center;padding:1rem;box-sizing:border-box}main{max-width:32rem}h1{font-size:1.25rem;margin:0 0 .5rem}p{margin:.5rem 0;overflow-wrap:anywhere}code{font-size:.875rem}'
const STYLE_HASH = createHash('sha256').update(STYLE, 'utf8').digest('base64')

const ADVICE: Readonly<Record<string, string>> = {
  invalid_client:
    'The application that sent you here is not known, or its description cannot be read. Remove the server there and add it again.',
  temporarily_unavailable: 'Wait a while, then start again in the application that sent you here.',
  invalid_redirect_uri: 'The application asked for the answer at an address that it did not register.',
}

export function errorPage(
  code: string,
  description: string | undefined,
): { readonly body: string; readonly contentSecurityPolicy: string } {
  const advice = ADVICE[code] ?? 'Start again in the application that sent you here.'
  const body = `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>This cannot go on</title><style>${STYLE}</style></head>
<body><main><h1>This request cannot be answered</h1><p>${escape(advice)}</p><p><code>${escape(code)}${description === undefined ? '' : `: ${escape(description)}`}</code></p></main></body></html>`
  return {
    body,
    contentSecurityPolicy: `default-src 'none'; style-src 'sha256-${STYLE_HASH}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
  }
}

const escape = (text: string) => text.replace(/[&<>"']/g, (character) => `&#${character.codePointAt(0) ?? 0};`)
