/**
 * Every provider of this version. A new one is a folder beside this file, named here and in `faces.ts`, and nowhere else.
 *
 * @module
 */
import type { ProviderDefinition } from '../definition'
import { atlassian } from './atlassian/definition'
import { github } from './github/definition'
import { gitlab } from './gitlab/definition'
import { google } from './google/definition'
import { linear } from './linear/definition'
import { microsoft } from './microsoft/definition'
import { notion } from './notion/definition'
import { slackBot } from './slack-bot/definition'
import { slack } from './slack/definition'

export const CATALOG: readonly ProviderDefinition[] = [
  github,
  google,
  slack,
  slackBot,
  microsoft,
  notion,
  linear,
  atlassian,
  gitlab,
]
