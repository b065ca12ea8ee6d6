/**
 * Ending an access at GitHub: by the app's own word for one access token or for the whole grant, by the call for leaked
 * credentials for a refresh token.
 *
 * @see https://docs.github.com/rest/apps/oauth-applications
 * @see https://docs.github.com/rest/credentials/revoke
 * @module
 */
import type { Secret } from '../../../secret'
import type { RevokeResult } from '../../client'
import type { RevocationRequest } from '../../definition'
import { basicAuth } from '../../dialect'

export async function revokeAtGithub(request: RevocationRequest): Promise<RevokeResult> {
  const { tokens, scope, endpoint } = request
  const { accessToken, refreshToken } = tokens
  const remove = async (token: Secret) => {
    let missing = false
    const result = await request.send(
      `${endpoint}/${scope}`,
      {
        method: 'DELETE',
        headers: {
          authorization: basicAuth(request),
          accept: 'application/vnd.github+json',
          'content-type': 'application/json',
        },
        body: JSON.stringify({ access_token: token.reveal() }),
      },
      (status) => {
        missing = status === 404 || status === 422
        return status === 204 || missing
      },
    )
    return { result, missing }
  }
  const first = accessToken === undefined ? undefined : await remove(accessToken)
  if (scope === 'token') {
    // Deleting an access token leaves its refresh token alive. That one is given up as a leaked one would be, which
    // asks for no credentials and spares every other token. Servers without this call have no refresh tokens.
    if ((first !== undefined && first.result.kind !== 'revoked') || refreshToken === undefined)
      return first?.result ?? { kind: 'revoked' }
    return request.send(
      request.apiUrl('/credentials/revoke'),
      {
        method: 'POST',
        headers: { accept: 'application/vnd.github+json', 'content-type': 'application/json' },
        body: JSON.stringify({ credentials: [refreshToken.reveal()] }),
      },
      (status) => status === 202 || status === 404 || status === 422,
    )
  }
  if (first !== undefined && !first.missing) return first.result
  // The call names the grant by a living access token. When that one is dead, the refresh token makes another.
  if (refreshToken === undefined) return { kind: 'revoked' }
  const renewed = await request.refresh(refreshToken)
  switch (renewed.kind) {
    case 'issued':
      return (await remove(renewed.tokens.accessToken)).result
    case 'permanent':
      return { kind: 'revoked' }
    case 'unknown_outcome':
      return { kind: 'weather', code: renewed.code }
    default:
      return renewed
  }
}
