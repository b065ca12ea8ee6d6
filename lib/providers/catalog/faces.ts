/**
 * Every provider as people are shown it, in that order. The one list the pages have; `index.ts` holds the same providers
 * whole, and a test holds both against the folders beside them.
 *
 * @module
 */
import type { ProviderFace } from '../face'
import { atlassianFace } from './atlassian/face'
import { githubFace } from './github/face'
import { gitlabFace } from './gitlab/face'
import { googleFace } from './google/face'
import { linearFace } from './linear/face'
import { microsoftFace } from './microsoft/face'
import { notionFace } from './notion/face'
import { slackBotFace } from './slack-bot/face'
import { slackFace } from './slack/face'

export const FACES = [
  githubFace,
  googleFace,
  slackFace,
  slackBotFace,
  microsoftFace,
  notionFace,
  linearFace,
  atlassianFace,
  gitlabFace,
] as const satisfies readonly ProviderFace[]

/** A provider of the catalogue. One that an operator declared has another name. */
export type ProviderName = (typeof FACES)[number]['name']

/** The name people read; for a provider that an operator declared, its own name with a capital. */
export function displayNameOf(name: string): string {
  const face = FACES.find((one) => one.name === name)
  return face?.displayName ?? name.charAt(0).toUpperCase() + name.slice(1)
}
