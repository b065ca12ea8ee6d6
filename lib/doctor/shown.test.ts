import { randomBytes } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import * as shown from './shown'

const FORMS = [
  shown.shownVersion,
  shown.shownMethod,
  shown.shownTool,
  shown.shownMediaTypes,
  shown.shownScope,
  shown.shownCode,
  shown.shownHost,
  shown.shownProduct,
  shown.shownClientId,
  shown.shownAddress,
  shown.shownRedirect,
  (value: string) => shown.shownText(value, 200),
] as const

describe('what of a stranger’s words is shown', () => {
  it.each([
    [shown.shownVersion, '2025-11-25'],
    [shown.shownMethod, 'tools/call'],
    [shown.shownMethod, 'notifications/tools/list_changed'],
    [shown.shownTool, 'github_create_issue'],
    [shown.shownMediaTypes, 'application/json, text/event-stream'],
    [shown.shownScope, 'mcp:read mcp:write offline_access'],
    [shown.shownHost, 'gate.example:8443'],
    [shown.shownAddress, 'https://gate.example/mcp/agt_01hzxk3v8q7m2n4p6r8s0t1v3w'],
    [shown.shownClientId, 'https://claude.ai/oauth/mcp-oauth-client-metadata'],
    [shown.shownRedirect, 'cursor://anysphere.cursor-mcp/oauth/callback', 'cursor:'],
    [shown.shownRedirect, 'http://127.0.0.1:33418/callback?x=1', '127.0.0.1:33418'],
    [shown.shownProduct, 'Cursor/1.7.2 (darwin)', 'Cursor/1.7.2'],
    [shown.shownProduct, 'Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0', 'A browser'],
    [shown.shownAddress, 'https://u:p@gate.example/a?token=b#c', 'https://gate.example/a'],
  ] as const)('a known form stays: %#', (form, value, expected: string = value) => {
    expect(form(value)).toBe(expected)
  })

  it('nothing that holds a secret of ours or a token of anybody, alone or within something else', () => {
    const secrets = ['pcs_', 'poa_', 'por_', 'poz_', 'pck_', 'pco_', 'pcw_', 'ghp_', 'xoxb-', ''].map(
      (prefix) => prefix + randomBytes(32).toString('base64url'),
    )
    for (const secret of secrets)
      for (const around of [
        secret,
        `Name/${secret}`,
        `https://${secret}.example/`,
        `https://gate.example/${secret}`,
        `https://gate.example/?a=${secret}`,
        `mcp:read ${secret}`,
        `text/${secret}`,
        `Hello ${secret}`,
      ])
        for (const form of FORMS) expect(form(around)?.toLowerCase() ?? '').not.toContain(secret.toLowerCase())
  })

  it('is one line without characters that hide or direct, whatever was sent', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 300 }), (value) => {
        for (const form of FORMS) {
          const text = form(value)
          expect(text ?? '').not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u)
          expect((text ?? '').length).toBeLessThanOrEqual(400)
        }
      }),
      { numRuns: 500 },
    )
  })
})
