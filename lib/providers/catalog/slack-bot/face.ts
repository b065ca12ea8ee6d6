import type { ProviderFace } from '../../face'

export const slackBotFace = {
  name: 'slack-bot',
  displayName: 'Slack bot',
  summary: 'Channels, as an app and not as you',
  toolPrefixes: [],
  mark: [
    { d: 'M9 3.6v10.6', color: 'ink', width: 3.4, isRound: true },
    { d: 'M20.4 9H9.8', color: 'ink', width: 3.4, isRound: true },
    { d: 'M15 20.4V9.8', color: 'ink', width: 3.4, isRound: true },
    { d: 'M3.6 15h10.6', color: 'ink', width: 3.4, isRound: true },
  ],
} as const satisfies ProviderFace
