/**
 * Juniper Freight, a made-up company of three people that moves parcels by cargo bike: its GitHub.
 *
 * @module
 */
import type { PlaneRequest } from '@/sandbox/emulator/plane'

/** `id` is the number GitHub would know the person by. */
export const PEOPLE = [
  {
    login: 'ana-ribeiro',
    id: 3,
    name: 'Ana Ribeiro',
    email: 'ana@juniperfreight.example',
    bio: 'Founder. Routes and roofs.',
  },
  { login: 'bokafor', id: 4, name: 'Ben Okafor', email: 'ben@juniperfreight.example', bio: 'Backend, on two wheels.' },
  {
    login: 'chiaralund',
    id: 5,
    name: 'Chiara Lund',
    email: 'chiara@juniperfreight.example',
    bio: 'Operations and maps.',
  },
] as const

/** Sees what everybody sees, and nothing else. */
export const PUBLIC_VIEWER = 'sandbox-visitor'

export const EMAILS: Readonly<Record<string, readonly Record<string, unknown>[]>> = Object.fromEntries(
  PEOPLE.map(({ login, email }) => [
    login,
    [
      { email, primary: true, verified: true, visibility: 'public' },
      { email: `${login}@users.noreply.github.example`, primary: false, verified: true, visibility: null },
    ],
  ]),
)

const ORG = 'juniper-freight'
const [ANA, BEN, CHIARA] = PEOPLE

export const SEED = {
  users: [
    ...PEOPLE.map(({ login, name, email, bio }) => ({
      login,
      name,
      email,
      bio,
      company: 'Juniper Freight',
      location: 'Porto',
    })),
    { login: PUBLIC_VIEWER, name: 'Visitor' },
  ],
  orgs: [
    {
      login: ORG,
      name: 'Juniper Freight',
      description: 'Parcels by cargo bike',
      members: [
        { login: ANA.login, role: 'admin' },
        { login: BEN.login, role: 'admin' },
        { login: CHIARA.login, role: 'admin' },
      ],
    },
  ],
  repos: [
    {
      owner: ORG,
      name: 'route-planner',
      description: 'Plans the day of every bike',
      language: 'TypeScript',
      topics: ['routing', 'logistics'],
    },
    {
      owner: ORG,
      name: 'tracking-api',
      description: 'Where is my parcel?',
      language: 'Go',
      topics: ['api', 'logistics'],
    },
    { owner: ORG, name: 'handbook', description: 'How we work', private: true, topics: ['docs'] },
    { owner: ORG, name: 'billing', description: 'Invoices and dunning', private: true, language: 'TypeScript' },
    { owner: BEN.login, name: 'dotfiles', description: 'Shell and editor settings', language: 'Shell' },
  ],
} as const

const HOUR = 3_600_000
const DAY = 24 * HOUR

interface Step {
  readonly at: number
  readonly request: PlaneRequest
}

/** What happened in the weeks before the sandbox was first started. */
export function history(foundedAt: number): Step[] {
  const steps: Step[] = []
  const add = (daysAgo: number, user: string, method: string, target: string, body: unknown): void => {
    steps.push({ at: foundedAt - daysAgo * DAY, request: { method, target, user, body: JSON.stringify(body) } })
  }
  const file = (daysAgo: number, user: string, repo: string, path: string, message: string, text: string): void => {
    add(daysAgo, user, 'PUT', `/repos/${repo}/contents/${path}`, {
      message,
      content: Buffer.from(text).toString('base64'),
    })
  }
  const issue = (
    daysAgo: number,
    user: string,
    repo: string,
    title: string,
    body: string,
    labels: string[] = [],
  ): void => {
    add(daysAgo, user, 'POST', `/repos/${repo}/issues`, { title, body, labels })
  }
  const comment = (daysAgo: number, user: string, repo: string, number: number, body: string): void => {
    add(daysAgo, user, 'POST', `/repos/${repo}/issues/${number}/comments`, { body })
  }
  const planner = `${ORG}/route-planner`
  const tracking = `${ORG}/tracking-api`
  const handbook = `${ORG}/handbook`

  file(
    40,
    BEN.login,
    planner,
    'src/plan.ts',
    'Plan by nearest neighbour',
    'export interface Stop {\n  id: string\n  lat: number\n  lon: number\n}\n\n/** Visits the nearest stop next. Good enough below thirty stops. */\nexport function plan(stops: readonly Stop[]): Stop[] {\n  const left = [...stops]\n  const route: Stop[] = []\n  let here = left.shift()\n  while (here) {\n    route.push(here)\n    const from = here\n    left.sort((a, b) => distance(from, a) - distance(from, b))\n    here = left.shift()\n  }\n  return route\n}\n\nconst distance = (a: Stop, b: Stop) => Math.hypot(a.lat - b.lat, a.lon - b.lon)\n',
  )
  file(
    39,
    BEN.login,
    planner,
    'docs/algorithm.md',
    'Explain the algorithm',
    '# How a day is planned\n\n1. Parcels are grouped by hub.\n2. Each bike takes at most 80 kg.\n3. Stops are ordered by nearest neighbour, then improved by 2-opt.\n',
  )
  file(
    38,
    ANA.login,
    planner,
    'package.json',
    'Make it a package',
    '{\n  "name": "route-planner",\n  "version": "0.4.1",\n  "license": "MIT"\n}\n',
  )
  file(
    30,
    BEN.login,
    tracking,
    'main.go',
    'Serve the health check',
    'package main\n\nimport "net/http"\n\nfunc main() {\n\thttp.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })\n\t_ = http.ListenAndServe(":8080", nil)\n}\n',
  )
  file(
    28,
    CHIARA.login,
    handbook,
    'onboarding.md',
    'First week',
    '# Your first week\n\n- Monday: ride along with a courier.\n- Tuesday: set up your laptop.\n- Friday: ship something small.\n',
  )
  file(
    27,
    CHIARA.login,
    handbook,
    'incidents.md',
    'What to do when it breaks',
    '# Incidents\n\nWrite in #operations first. One person leads, one person writes.\n',
  )

  issue(
    12,
    CHIARA.login,
    planner,
    'Routes cross the river twice on rainy days',
    'On 3 of the last 5 rainy days, bike 7 crossed the bridge twice. Couriers lose about 20 minutes.',
    ['bug'],
  )
  issue(
    9,
    ANA.login,
    planner,
    'Support cargo trailers',
    'Trailers carry 150 kg but cannot use the stairs at Rua das Flores.',
    ['enhancement'],
  )
  issue(
    4,
    BEN.login,
    planner,
    '2-opt stops too early above 60 stops',
    'The improvement loop has a fixed budget of 1,000 swaps.',
    ['bug'],
  )
  issue(
    3,
    CHIARA.login,
    tracking,
    'Customers see "out for delivery" after delivery',
    'The status lags up to ten minutes behind the scanner.',
    ['bug'],
  )
  issue(2, ANA.login, handbook, 'Write down the holiday rules', 'People keep asking.')
  comment(
    11,
    BEN.login,
    planner,
    1,
    'Confirmed. The bridge has no cost in the distance function, so a detour looks free.',
  )
  comment(10, ANA.login, planner, 1, 'Then let us give bridges a penalty of four minutes and measure.')
  comment(3, BEN.login, planner, 3, 'Raising the budget to 10,000 costs 40 ms per route. Worth it.')
  comment(2, CHIARA.login, handbook, 1, 'I can take this next week.')
  return steps
}
