import { describe, expect, it } from 'vitest'

import { addressOf, nameOf, provenAt, subjectOf } from './claims'

/** As the issuers document them, with what each leaves out. */
const ENTRA_ISSUER = 'https://login.microsoftonline.com/11111111-2222-3333-4444-555555555555/v2.0'
const ENTRA = {
  aud: '6731de76-14a6-49ae-97bc-6eba6914391e',
  iss: ENTRA_ISSUER,
  tid: '11111111-2222-3333-4444-555555555555',
  sub: 'AAAAAAAAAAAAAAAAAAAAAIkzqFVrSaSaFHy782bbtaQ',
  oid: '690222be-ff1a-4d56-abd1-7e4f7d38e474',
  preferred_username: 'ada@corp.example',
  email: 'ada@corp.example',
  name: 'Ada Lovelace',
  ver: '2.0',
}
const GOOGLE_ISSUER = 'https://accounts.google.com'
const GOOGLE = {
  iss: GOOGLE_ISSUER,
  sub: '110169484474386276334',
  email: 'ada@corp.example',
  email_verified: true,
  hd: 'corp.example',
}
const OKTA = {
  iss: 'https://corp.okta.com/oauth2/default',
  sub: '00uid4BxXw6I6TV4m0g3',
  email: 'Ada@Corp.Example',
  email_verified: true,
}
const KEYCLOAK = {
  iss: 'https://sso.corp.example/realms/staff',
  sub: '7f1c…'.slice(0, 4),
  email: 'ada@corp.example',
  email_verified: false,
  azp: 'portcullis',
}
const AUTH0 = {
  iss: 'https://corp.eu.auth0.com/',
  sub: 'auth0|5f7c8ec7c33c6c004bbafe82',
  email: 'ada@corp.example',
  email_verified: true,
}
const DOMAINS = ['corp.example']
const accepted = { email: { canonical: 'ada@corp.example' } }

describe('what issuers say of an address', () => {
  it('Okta’s organization and custom servers, and Auth0’s with its slash, are believed on `email_verified`', () => {
    expect(addressOf(OKTA, OKTA.iss, DOMAINS)).toMatchObject(accepted)
    expect(addressOf(AUTH0, AUTH0.iss, DOMAINS)).toMatchObject(accepted)
  })

  it('Keycloak’s realms often send false, which is no', () => {
    expect(addressOf(KEYCLOAK, KEYCLOAK.iss, DOMAINS)).toEqual({ problem: 'email_unverified' })
    expect(addressOf({ ...KEYCLOAK, email_verified: true }, KEYCLOAK.iss, DOMAINS)).toMatchObject(accepted)
  })

  it('only the boolean counts', () => {
    for (const email_verified of ['true', 1, 'yes', {}, [true], null, undefined])
      expect(addressOf({ ...OKTA, email_verified }, OKTA.iss, DOMAINS)).toEqual({ problem: 'email_unverified' })
  })

  it('Entra’s address is nothing without `xms_edov`, in any of the forms it has', () => {
    for (const xms_edov of [undefined, false, 0, '0', 'false', null])
      expect(addressOf({ ...ENTRA, xms_edov }, ENTRA_ISSUER, DOMAINS)).toEqual({ problem: 'email_unverified_entra' })
    for (const xms_edov of [true, 1, '1', 'true'])
      expect(addressOf({ ...ENTRA, xms_edov }, ENTRA_ISSUER, DOMAINS)).toMatchObject(accepted)
    // What Entra says of an address another issuer may not say.
    expect(addressOf({ ...OKTA, email_verified: false, xms_edov: true }, OKTA.iss, DOMAINS)).toEqual({
      problem: 'email_unverified',
    })
  })

  it('Google’s has to be managed by an organization whose domain is proven', () => {
    expect(addressOf(GOOGLE, GOOGLE_ISSUER, DOMAINS)).toMatchObject(accepted)
    for (const hd of [undefined, 'other.example', '', 7])
      expect(addressOf({ ...GOOGLE, hd }, GOOGLE_ISSUER, DOMAINS)).toEqual({ problem: 'google_unmanaged' })
  })

  it('an address outside of the proven domains, a look-alike or none counts for nothing', () => {
    for (const email of [
      'ada@evil.example',
      'ada@sub.corp.example',
      'ada@corp.example.evil.example',
      'ada@xcorp.example',
    ])
      expect(addressOf({ ...OKTA, email }, OKTA.iss, DOMAINS)).toEqual({ problem: 'domain_foreign' })
    for (const email of [undefined, '', 'corp.example', 7, ['ada@corp.example'], 'a@b@corp.example'])
      expect(addressOf({ ...OKTA, email }, OKTA.iss, DOMAINS)).toEqual({ problem: 'email_missing' })
  })
})

describe('who it is there', () => {
  it('is the subject, and for Entra one of the directory that the issuer names', () => {
    expect(subjectOf(ENTRA, ENTRA_ISSUER)).toEqual({ subject: ENTRA.sub })
    for (const tid of [undefined, '99999999-2222-3333-4444-555555555555', ''])
      expect(subjectOf({ ...ENTRA, tid }, ENTRA_ISSUER)).toEqual({ problem: 'directory_mismatch' })
    expect(subjectOf(AUTH0, AUTH0.iss)).toEqual({ subject: 'auth0|5f7c8ec7c33c6c004bbafe82' })
  })

  it('is nobody with a subject that is no plain text', () => {
    for (const sub of [undefined, '', 7, 'x'.repeat(256), 'ada\n', 'аda'])
      expect(subjectOf({ ...OKTA, sub }, OKTA.iss)).toEqual({ problem: 'subject_missing' })
  })
})

it('takes a name without what could dress it up, and none for none', () => {
  expect(nameOf({ name: ' Ada\u202e Lovelace\n' })).toBe('Ada Lovelace')
  expect(nameOf({ name: 7 })).toBe('')
  expect(Array.from(nameOf({ name: '𝒜'.repeat(200) }))).toHaveLength(80)
})

it('believes an issuer about when it asked, but never about the future', () => {
  const now = new Date('2026-01-01T12:00:00Z')
  expect(provenAt({ auth_time: now.getTime() / 1000 - 3_600 }, now)).toEqual(new Date('2026-01-01T11:00:00Z'))
  for (const auth_time of [undefined, now.getTime(), '1', -1, NaN]) expect(provenAt({ auth_time }, now)).toEqual(now)
})
