import type { ProviderFace } from '../../face'

export const notionFace = {
  name: 'notion',
  displayName: 'Notion',
  summary: 'Pages and databases you choose',
  toolPrefixes: [],
  mark: [{ d: 'M5 4.5h14v15H5zM9 16V8.6l6 6.8V8', color: 'ink', width: 2.2, isRound: true }],
} as const satisfies ProviderFace
