/**
 * A visitor with a passkey, made and used as a page makes and uses it.
 *
 * @module
 */
import { createAuthenticator, type TestAuthenticator } from '../../lib/testing/authenticator'
import { provesBy, type Visitor } from './visitor'

type Options = Parameters<TestAuthenticator['create']>[0]

/** Adds a passkey to the person who is signed in, who proves themself by it from then on. @returns its id */
export async function addPasskey(visitor: Visitor, url: string): Promise<string> {
  const device = createAuthenticator(url)
  const options = (await visitor.send('/api/v1/account/passkeys/options', { json: {} })).json() as Options // the API's own shape
  const added = await visitor.send('/api/v1/account/passkeys', {
    json: { name: 'Swept', passkey: device.create(options) },
  })
  if (added.status !== 201) throw new Error(`the passkey was answered ${added.status}: ${added.body}`)
  provesBy(visitor, async (send) => {
    const asked = (await send('/signin/step-up/passkey', { json: {} })).json() as { challenge: string } // the gateway's own shape
    return { passkey: device.get(asked) }
  })
  return (added.json() as { id: string }).id
}
