/**
 * What the steps of the last attempt come to: how far a client got, and why no further.
 *
 * @module
 */
import type { Detail, Problem, StepKind } from './step'
import { HARMLESS, PROBLEM_WORDS, type Words } from './words'

export interface SeenStep {
  readonly step: StepKind
  /** When it last happened. */
  readonly lastAt: Date
  readonly status: number
  readonly problem: Problem | null
  readonly client: string | null
  readonly network: string
  readonly detail: Detail
}

export interface Diagnosis extends Words {
  readonly state: 'nobody' | 'connected' | 'waiting' | 'failed'
  readonly problem: Problem | 'header_stripped' | null
}

/** Between two attempts nothing happens for so long. */
export const ATTEMPT_GAP_MS = 10 * 60_000
/** A client that got its tokens calls at once. */
const STRIPPED_MS = 5 * 60_000

/** @param steps  newest first */
export function diagnose(steps: readonly SeenStep[]): Diagnosis {
  const [last] = steps
  if (last === undefined) return NOBODY
  const attempt = lastAttempt(steps)
  const connected = attempt.find(({ step, problem }) => step === 'mcp' && problem === null)
  const failed = attempt.find(({ problem }) => problem !== null && !HARMLESS.has(problem))
  if (isStripped(attempt)) return { state: 'failed', problem: 'header_stripped', ...STRIPPED }
  if (connected !== undefined && (failed === undefined || failed.lastAt <= connected.lastAt))
    return { state: 'connected', problem: null, ...CONNECTED }
  if (failed?.problem != null) return { state: 'failed', problem: failed.problem, ...PROBLEM_WORDS[failed.problem] }
  return { state: 'waiting', problem: null, ...waiting(attempt) }
}

function lastAttempt(steps: readonly SeenStep[]): readonly SeenStep[] {
  const end = steps.findIndex((step, index) => {
    const before = steps[index + 1]
    return before !== undefined && step.lastAt.getTime() - before.lastAt.getTime() > ATTEMPT_GAP_MS
  })
  return end === -1 ? steps : steps.slice(0, end + 1)
}

/** Tokens were fetched, and then the same program called without one: somebody on the way took it. */
function isStripped(attempt: readonly SeenStep[]): boolean {
  const call = attempt.find(({ step, problem }) => step === 'mcp' && problem === 'no_credentials')
  const at = attempt.findIndex(({ step, problem }) => step === 'token' && problem === null)
  const token = attempt[at]
  if (call === undefined || token === undefined || token.lastAt >= call.lastAt) return false
  // Where one request came through with its header, none is taken out.
  if (attempt.slice(0, at).some(({ step, problem }) => step === 'mcp' && problem === null)) return false
  const isSame = token.client === call.client || token.network === call.network
  return isSame && call.lastAt.getTime() - token.lastAt.getTime() < STRIPPED_MS
}

function waiting(attempt: readonly SeenStep[]): Words {
  const has = (step: StepKind) => attempt.some((one) => one.step === step && one.problem === null)
  const redirect = attempt.find(({ detail }) => detail.redirect !== undefined)?.detail.redirect
  if (has('token'))
    return {
      title: 'Signed in, and not called yet',
      meaning: 'The client has its tokens and has not used them.',
      advice: 'Use it: ask for something that needs this agent.',
    }
  if (has('consent'))
    return {
      title: 'Approved, but the client did not fetch its tokens',
      meaning: `A person approved and was sent back to ${redirect ?? 'the client'}. The client did not come for its tokens.`,
      advice:
        'If the browser shows an error at the address it was sent to, the client had stopped listening: start again, and answer sooner.',
    }
  if (has('authorization'))
    return {
      title: 'Waiting for a person',
      meaning: 'A browser was sent here and the question is open.',
      advice: 'Answer it in the browser the client opened. If it is closed, start again in the client.',
    }
  if (has('registration'))
    return {
      title: 'Registered, and no browser came',
      meaning: 'The client knows how to sign in and has not sent anybody here.',
      advice: 'Look for a browser window it opened or tried to open, or for a button to sign in.',
    }
  if (has('server_metadata') || has('resource_metadata'))
    return {
      title: 'The client knows how to sign in',
      meaning: 'It was told where, has read it, and has not gone on.',
      advice: 'Look for a button to sign in, connect or authenticate in the client.',
    }
  return {
    title: 'The client was asked to sign in',
    meaning: 'It called without a credential, was told where to get one, and did not look there.',
    advice:
      'Look for a button to sign in. If it has none, it cannot: give it a session key in the Authorization header.',
  }
}

const NOBODY: Diagnosis = {
  state: 'nobody',
  problem: null,
  title: 'No client has come yet',
  meaning: 'Nothing has reached this agent’s URL in the last two weeks.',
  advice:
    'Connect a client. If one was connected and nothing shows here, its requests do not arrive: check the URL, and that the client can reach this server.',
}

const CONNECTED: Words = {
  title: 'A client is connected',
  meaning: 'The last one that came got through.',
  advice: 'Nothing to do.',
}

const STRIPPED: Words = {
  title: 'The Authorization header does not arrive',
  meaning:
    'The client fetched its tokens, and then its request came without one. Something on the way takes the header out.',
  advice:
    'Look at the proxies before this server: they must pass Authorization on, for the agent’s URL too, and must not redirect to another host.',
}
