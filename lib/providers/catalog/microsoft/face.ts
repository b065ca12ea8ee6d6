import type { ProviderFace } from '../../face'

export const microsoftFace = {
  name: 'microsoft',
  displayName: 'Microsoft',
  summary: 'Outlook, OneDrive and Teams',
  toolPrefixes: [],
  mark: [
    { d: 'M3.5 3.5h7.5v7.5H3.5z', color: 'red' },
    { d: 'M13 3.5h7.5v7.5H13z', color: 'green' },
    { d: 'M3.5 13h7.5v7.5H3.5z', color: 'blue' },
    { d: 'M13 13h7.5v7.5H13z', color: 'yellow' },
  ],
} as const satisfies ProviderFace
