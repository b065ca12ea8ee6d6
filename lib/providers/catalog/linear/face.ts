import type { ProviderFace } from '../../face'

export const linearFace = {
  name: 'linear',
  displayName: 'Linear',
  summary: 'Issues and projects',
  toolPrefixes: [],
  mark: [
    {
      d: 'M4 12.5 11.5 20M4.6 7.6 16.4 19.4M8.2 4.8 19.2 15.8M14 4.2 19.8 10',
      color: 'blue',
      width: 2.4,
      isRound: true,
    },
  ],
} as const satisfies ProviderFace
