import type { ProviderFace } from '../../face'

export const atlassianFace = {
  name: 'atlassian',
  displayName: 'Atlassian',
  summary: 'Jira and Confluence',
  toolPrefixes: [],
  mark: [
    { d: 'M3.5 20 8.6 10.5c2 2.2 2.6 5.6 1.4 9.5z', color: 'blue' },
    { d: 'M12 4c-2.6 4-2.4 7.6 0 12l2.2 4H20.5z', color: 'blue' },
  ],
} as const satisfies ProviderFace
