import type { ProviderFace } from '../../face'

export const gitlabFace = {
  name: 'gitlab',
  displayName: 'GitLab',
  summary: 'Projects and merge requests',
  toolPrefixes: [],
  mark: [
    { d: 'M12 20.5 3.5 13.5 6 5l2.5 6.5h7L18 5l2.5 8.5z', color: 'red', width: 2, isRound: true },
    { d: 'M12 20.5 8.5 11.5h7z', color: 'yellow' },
  ],
} as const satisfies ProviderFace
