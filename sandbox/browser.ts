/**
 * A person at the sandbox's pages, for tests without a browser: follows the very forms a browser would send and stops at
 * the redirect back to the application.
 *
 * @module
 */
export interface Person {
  /** Login, e-mail address or user id, as the account page's buttons carry it. */
  readonly account: string
  readonly decision?: 'allow' | 'deny'
  /** Scopes to untick where the page offers a choice. */
  readonly untick?: readonly string[]
}

/** @returns the callback address the provider redirects to */
export async function consentAs(authorizationUrl: string | URL, person: Person): Promise<URL> {
  const { origin } = new URL(authorizationUrl)
  let response = await fetch(authorizationUrl, { redirect: 'manual' })
  for (let step = 0; step < 3; step += 1) {
    const location = response.headers.get('location')
    if (location !== null) return new URL(location)
    const page = await response.text()
    if (!response.ok) throw new Error(`the provider refused the request: ${/<code>([^<]*)/.exec(page)?.[1] ?? page}`)
    const action = /action="([^"]+)"/.exec(page)?.[1] ?? ''
    const fields = new URLSearchParams({ request: /name="request" value="([^"]+)"/.exec(page)?.[1] ?? '' })
    if (action.endsWith('/account')) fields.set('account', person.account)
    else {
      fields.set('decision', person.decision ?? 'allow')
      for (const [, scope = ''] of page.matchAll(/type="checkbox"[^>]*name="scope" value="([^"]+)"/g)) {
        if (person.untick?.includes(scope) !== true) fields.append('scope', scope)
      }
    }
    response = await fetch(new URL(action, origin), { method: 'POST', body: fields, redirect: 'manual' })
  }
  throw new Error('the provider never redirected back')
}
