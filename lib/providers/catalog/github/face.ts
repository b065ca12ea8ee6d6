import type { ProviderFace } from '../../face'

/** A branch that leaves and returns. */
export const githubFace = {
  name: 'github',
  displayName: 'GitHub',
  summary: 'Repositories and issues',
  toolPrefixes: ['github'],
  mark: [
    {
      d: 'M6.5 2.6a2.4 2.4 0 1 0 0 4.8a2.4 2.4 0 1 0 0-4.8M6.5 16.6a2.4 2.4 0 1 0 0 4.8a2.4 2.4 0 1 0 0-4.8M17.5 5.1a2.4 2.4 0 1 0 0 4.8a2.4 2.4 0 1 0 0-4.8M6.5 7.6v8.8M17.5 10.1c0 4-5 4.4-8.6 5.6',
      color: 'ink',
      width: 2.2,
      isRound: true,
    },
  ],
} as const satisfies ProviderFace
