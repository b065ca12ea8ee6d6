import { Secret } from '@/lib/secret'
import { expect, it } from 'vitest'

import { classOf, clientOf, consentOf, variantOfAnswer } from '../../test-kit'
import { slackBot } from './definition'

const install = {
  ok: true,
  access_token: 'xoxe.xoxb-1-a',
  token_type: 'bot',
  scope: 'users:read,chat:write',
  expires_in: 43_200,
  refresh_token: 'xoxe-1-a',
  bot_user_id: 'U0BOT',
  team: { id: 'T1', name: 'Example' },
  enterprise: null,
  authed_user: { id: 'U1', access_token: 'xoxe.xoxp-1-a', token_type: 'user' },
}

it('of an install that brings two tokens, the bot’s is taken, and the bot is who it is', async () => {
  const { client } = clientOf(slackBot, () => [200, install])
  const result = await client.exchangeCode({
    callbackUrl: new URL('https://us.example/connect/callback/slack-bot?code=c&state=s'),
    redirectUri: 'https://us.example/connect/callback/slack-bot',
    state: new Secret('s'),
    nonce: 'n',
    codeVerifier: 'v'.repeat(43),
    requestedScopes: [],
  })
  expect(result.kind === 'issued' && result.tokens.accessToken.reveal()).toBe('xoxe.xoxb-1-a')
  expect(result).toMatchObject({
    kind: 'issued',
    tokens: { grantedScopes: ['chat:write', 'users:read'] },
    identity: { subject: 'T1:U0BOT', label: 'Example · U0BOT' },
  })
})

it('a person’s token is not taken for the bot’s', () => {
  expect(classOf(slackBot, 200, { ok: true, access_token: 'xoxp-1', token_type: 'user' })).toBe(
    'unknown_outcome no_token',
  )
})

it.each([
  ['bot_rotating', install],
  ['bot', { ok: true, access_token: 'xoxb-a', token_type: 'bot', team: { id: 'T1' }, bot_user_id: 'U0BOT' }],
])('the kind is told by the answer: %s', async (variant, body) => {
  expect(await variantOfAnswer(slackBot, body)).toBe(variant)
  expect(Object.keys(slackBot.variants.known)).toContain(variant)
})

it('Slack is asked to install, at the address for bots and without a challenge it would refuse', async () => {
  const { address, parameters } = await consentOf(slackBot, ['users:read', 'chat:write'])
  expect(address).toBe('https://slack.com/oauth/v2/authorize')
  expect(parameters).toMatchObject({ scope: 'users:read,chat:write' })
  expect(parameters).not.toHaveProperty('code_challenge')
})

it.each([
  ['invalid_refresh_token', 'permanent invalid_refresh_token'],
  ['bad_client_secret', 'app_fault bad_client_secret'],
  ['ratelimited', 'weather ratelimited'],
  ['fatal_error', 'unknown_outcome fatal_error'],
  ['org_login_required', 'rejected org_login_required'],
])('%s is %s', (error, expected) => {
  expect(classOf(slackBot, 200, { ok: false, error })).toBe(expected)
})
