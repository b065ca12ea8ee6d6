import { describe, expect, it } from 'vitest'

import { ATTEMPT_GAP_MS, diagnose, type SeenStep } from './diagnose'
import { PROBLEMS, type Problem, type StepKind } from './step'
import { PROBLEM_WORDS } from './words'

const start = Date.UTC(2026, 10, 21, 9)
/** Newest last, a second apart. */
const steps = (...all: readonly (readonly [StepKind, Problem | null, Partial<SeenStep>?])[]): SeenStep[] =>
  all
    .map(([step, problem, fields], index) => ({
      step,
      problem,
      lastAt: new Date(start + index * 1_000),
      status: problem === null ? 200 : 400,
      client: 'Desk/1',
      network: '203.0.113.1',
      detail: {},
      ...fields,
    }))
    .reverse()

describe('a diagnosis', () => {
  it('says that nobody came, and what that may mean', () => {
    expect(diagnose([])).toMatchObject({ state: 'nobody' })
  })

  it.each([
    ['asked and did not look', steps(['mcp', 'no_credentials']), 'The client was asked to sign in'],
    [
      'read and did not go on',
      steps(['mcp', 'no_credentials'], ['resource_metadata', null]),
      'The client knows how to sign in',
    ],
    ['registered', steps(['resource_metadata', null], ['registration', null]), 'Registered, and no browser came'],
    ['waits for a person', steps(['registration', null], ['authorization', null]), 'Waiting for a person'],
    ['has its tokens', steps(['consent', null], ['token', null]), 'Signed in, and not called yet'],
  ])('says how far a client got that %s', (_, seen, title) => {
    expect(diagnose(seen)).toMatchObject({ state: 'waiting', title })
  })

  it('says where the browser was sent when the tokens were not fetched', () => {
    const seen = steps(['authorization', null], ['consent', null, { detail: { redirect: '127.0.0.1:33418' } }])
    expect(diagnose(seen).meaning).toContain('127.0.0.1:33418')
  })

  it('names the last refusal that matters, not one that is part of the way', () => {
    const seen = steps(['token', 'pkce_mismatch'], ['mcp', 'no_credentials'])
    expect(diagnose(seen)).toMatchObject({ state: 'failed', problem: 'pkce_mismatch' })
  })

  it('is connected after a success, and not any more after a refusal that follows', () => {
    expect(diagnose(steps(['token', 'code_expired'], ['token', null], ['mcp', null])).state).toBe('connected')
    expect(diagnose(steps(['mcp', null], ['mcp', 'token_expired'])).state).toBe('connected')
    expect(diagnose(steps(['mcp', null], ['mcp', 'session_ended']))).toMatchObject({
      state: 'failed',
      problem: 'session_ended',
    })
  })

  it('finds the proxy that takes the header out: tokens were fetched, and the same client came without', () => {
    const seen = steps(['mcp', 'no_credentials'], ['token', null], ['mcp', 'no_credentials'])
    expect(diagnose(seen)).toMatchObject({ problem: 'header_stripped' })
    expect(diagnose(steps(['token', null], ['mcp', null], ['mcp', 'no_credentials'])).state).toBe('connected')
    const other = { client: 'Other/2', network: '198.51.100.9' }
    expect(diagnose(steps(['token', null], ['mcp', 'no_credentials', other])).problem).toBeNull()
  })

  it('does not mix an attempt with one of the day before', () => {
    const old = { lastAt: new Date(start - ATTEMPT_GAP_MS - 1_000) }
    const seen = steps(['token', 'pkce_mismatch', old], ['mcp', 'no_credentials'])
    expect(diagnose(seen)).toMatchObject({ state: 'waiting' })
  })

  it('has words for every problem that say what it is and what to do', () => {
    for (const problem of PROBLEMS) {
      const { title, meaning, advice } = PROBLEM_WORDS[problem]
      expect(title, problem).not.toMatch(/[.!]$/)
      for (const sentence of [meaning, advice]) expect(sentence, problem).toMatch(/^[A-Z].{20,}\.$/)
    }
    expect(new Set(PROBLEMS.map((problem) => PROBLEM_WORDS[problem].title)).size).toBe(PROBLEMS.length)
  })
})
