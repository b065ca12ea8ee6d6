import type { ProviderFace } from '../../face'

export const googleFace = {
  name: 'google',
  displayName: 'Google',
  summary: 'Mail and calendar',
  toolPrefixes: ['gmail', 'calendar'],
  mark: [
    { d: 'M18.4 6.9A8.2 8.2 0 0 0 5 7.8', color: 'red', width: 3.6 },
    { d: 'M5 7.8a8.2 8.2 0 0 0 0 8.4', color: 'yellow', width: 3.6 },
    { d: 'M5 16.2a8.2 8.2 0 0 0 12.6 1.7', color: 'green', width: 3.6 },
    { d: 'M17.6 17.9A8.2 8.2 0 0 0 20.2 12H12.4', color: 'blue', width: 3.6 },
  ],
} as const satisfies ProviderFace
