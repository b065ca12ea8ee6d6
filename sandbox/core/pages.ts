/**
 * The pages a person meets: which account, which access, and what is wrong with a link. Plain HTML that works without
 * script, with a keyboard, from 390 px up, in light and dark, and that says on every page what it is not.
 *
 * @module
 */
import type { Provider } from '@/sandbox/core/ledger'

export const PROVIDER_NAMES: Readonly<Record<Provider, string>> = { google: 'Google', github: 'GitHub', slack: 'Slack' }
const ACCENTS: Readonly<Record<Provider, string>> = { google: '#1a56c4', github: '#1a7f37', slack: '#611f69' }
const ACCENTS_DARK: Readonly<Record<Provider, string>> = { google: '#8ab4f8', github: '#57c470', slack: '#d9a3e0' }

export interface Person {
  readonly id: string
  readonly name: string
  readonly detail: string
}

export interface ScopeLine {
  readonly scope: string
  readonly words: string
  /** May the person leave it out? */
  readonly optional: boolean
}

export const escapeHtml = (text: string): string =>
  text
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('"', '&quot;')
    .replaceAll("'", '&#39;')

export function accountPage(provider: Provider, app: string, request: string, people: readonly Person[]): string {
  const buttons = people
    .map(
      (person) =>
        `<button class="account" name="account" value="${escapeHtml(person.id)}"><span class="face" aria-hidden="true">${escapeHtml(person.name.slice(0, 1))}</span><span><strong>${escapeHtml(person.name)}</strong><br><small>${escapeHtml(person.detail)}</small></span></button>`,
    )
    .join('')
  return page(
    provider,
    'Choose an account',
    `<h1>Choose an account</h1><p>to continue to <strong>${escapeHtml(app)}</strong></p>
     <form method="post" action="/sandbox/account"><input type="hidden" name="request" value="${escapeHtml(request)}">${buttons}</form>`,
  )
}

export function consentPage(
  provider: Provider,
  app: string,
  request: string,
  person: Person,
  scopes: readonly ScopeLine[],
  returnsTo: string,
): string {
  const lines = scopes.map((line, index) => {
    const text = `<span><span>${escapeHtml(line.words)}</span><br><code>${escapeHtml(line.scope)}</code></span>`
    return line.optional
      ? `<li><label for="scope-${index}"><input type="checkbox" id="scope-${index}" name="scope" value="${escapeHtml(line.scope)}" checked>${text}</label></li>`
      : `<li><div><span aria-hidden="true" class="tick">✓</span>${text}</div></li>`
  })
  const list =
    lines.length === 0 ? '<p>It will see public information only.</p>' : `<ul class="scopes">${lines.join('')}</ul>`
  return page(
    provider,
    `${app} wants access`,
    `<h1>${escapeHtml(app)} wants access to your ${PROVIDER_NAMES[provider]} account</h1>
     <p>Signed in as <strong>${escapeHtml(person.name)}</strong> <small>(${escapeHtml(person.detail)})</small></p>
     <form method="post" action="/sandbox/decision"><input type="hidden" name="request" value="${escapeHtml(request)}">
     ${scopes.some((s) => s.optional) ? '<p>Choose what it may do:</p>' : '<p>It will be able to:</p>'}${list}
     <p><small>You will return to ${escapeHtml(returnsTo)}</small></p>
     <div class="choices"><button name="decision" value="deny">Cancel</button><button class="main" name="decision" value="allow">Allow</button></div></form>`,
  )
}

/** What a provider shows instead of redirecting to an address it does not trust. */
export function problemPage(provider: Provider, code: string, words: string): string {
  return page(
    provider,
    'This request is not valid',
    `<h1>Access blocked</h1><p>${escapeHtml(words)}</p><p><code>${escapeHtml(code)}</code></p>`,
  )
}

export function homePage(provider: Provider): string {
  return page(
    provider,
    'Sandbox',
    `<h1>A local stand-in for ${PROVIDER_NAMES[provider]}</h1><p>It exists to try things without an account, without a network and without consequences. Everything in it is made up.</p>`,
  )
}

function page(provider: Provider, title: string, body: string): string {
  const name = PROVIDER_NAMES[provider]
  return `<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1"><title>${escapeHtml(title)} – Sandbox ${name}</title><style>
:root{color-scheme:light dark;--accent:${ACCENTS[provider]};--on:#fff;--ink:#1b1f24;--soft:#57606a;--line:#d0d7de;--card:#fff;--ground:#f3f5f7}
@media (prefers-color-scheme:dark){:root{--accent:${ACCENTS_DARK[provider]};--on:#10141a;--ink:#e8ecf1;--soft:#a3acb7;--line:#3a424c;--card:#1a1f26;--ground:#10141a}}
*{box-sizing:border-box}body{margin:0;font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground);min-height:100vh}
.notice{background:#ffd33d;color:#24292f;text-align:center;padding:.5rem 1rem;font-weight:600;font-size:.9rem}
main{max-width:30rem;margin:clamp(1rem,6vh,4rem) auto;padding:1.5rem;background:var(--card);border:1px solid var(--line);border-radius:14px}
@media (max-width:520px){main{margin:0;max-width:none;border:0;border-radius:0;min-height:90vh}}
.brand{font-weight:700;color:var(--accent);margin:0 0 1rem}h1{font-size:1.35rem;line-height:1.3;margin:0 0 .5rem}p{margin:.5rem 0}small,code{color:var(--soft)}code{font-size:.8rem;overflow-wrap:anywhere}
button{font:inherit;cursor:pointer;min-height:44px;border-radius:8px;border:1px solid var(--line);background:transparent;color:inherit;padding:.5rem 1.25rem}
button:hover{border-color:var(--accent)}:focus-visible{outline:3px solid var(--accent);outline-offset:2px}
.main{background:var(--accent);border-color:var(--accent);color:var(--on);font-weight:600}.account{display:flex;gap:.9rem;align-items:center;width:100%;text-align:left;margin:.5rem 0;padding:.7rem .9rem}
.face{flex:none;width:2.4rem;height:2.4rem;border-radius:50%;background:var(--accent);color:var(--on);display:grid;place-items:center;font-weight:700}
.scopes{list-style:none;padding:0;margin:1rem 0;border-top:1px solid var(--line)}.scopes li{border-bottom:1px solid var(--line)}
.scopes label,.scopes div{display:flex;gap:.8rem;align-items:flex-start;padding:.7rem .2rem}.scopes input{width:1.25rem;height:1.25rem;flex:none;margin:.15rem 0 0;accent-color:var(--accent)}.tick{color:var(--accent);font-weight:700}
.choices{display:flex;gap:.75rem;justify-content:flex-end;margin-top:1.25rem;flex-wrap:wrap}
</style></head><body><div class="notice" role="note">Sandbox – not the real ${name}</div><main><p class="brand">${name} sandbox</p>${body}</main></body></html>`
}
