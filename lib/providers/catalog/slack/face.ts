import type { ProviderFace } from '../../face'

export const slackFace = {
  name: 'slack',
  displayName: 'Slack',
  summary: 'Channels and messages',
  toolPrefixes: ['slack'],
  mark: [
    { d: 'M9 3.6v10.6', color: 'blue', width: 3.4, isRound: true },
    { d: 'M20.4 9H9.8', color: 'green', width: 3.4, isRound: true },
    { d: 'M15 20.4V9.8', color: 'yellow', width: 3.4, isRound: true },
    { d: 'M3.6 15h10.6', color: 'red', width: 3.4, isRound: true },
  ],
} as const satisfies ProviderFace
