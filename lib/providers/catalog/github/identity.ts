import type { ProviderIdentity } from '../../client'
import { label, textAt, type Json } from '../../json'

/** The number stays when the login is changed. */
export function readGithubUser(user: Json): ProviderIdentity | null {
  const { id } = user
  const login = textAt(user, 'login')
  if (typeof id !== 'number' || !Number.isSafeInteger(id) || login === undefined) return null
  return { subject: String(id), label: label(login), email: textAt(user, 'email') ?? null }
}
