/**
 * Juniper Freight's Slack workspace.
 *
 * @module
 */
import type { PlaneRequest } from '@/sandbox/emulator/plane'

export const PEOPLE = [
  { name: 'ana', realName: 'Ana Ribeiro', email: 'ana@juniperfreight.example', title: 'Founder' },
  { name: 'ben', realName: 'Ben Okafor', email: 'ben@juniperfreight.example', title: 'Backend' },
  { name: 'chiara', realName: 'Chiara Lund', email: 'chiara@juniperfreight.example', title: 'Operations' },
] as const

export const TEAM = { id: 'T000000001', name: 'Juniper Freight', domain: 'juniper-freight' } as const

/** Acts for the app's bot token, and owns the workspace before anybody else. */
export const APP_USER = 'portcullis'
const OWNER = 'admin'
export const EMULATOR_USERS = [...PEOPLE.map((person) => person.name), APP_USER, OWNER]

export const SEED = {
  team: { name: TEAM.name, domain: TEAM.domain },
  users: [
    ...PEOPLE.map(({ name, realName, email, title }) => ({
      name,
      real_name: realName,
      email,
      profile: { display_name: name, real_name: realName, email, title },
    })),
    { name: APP_USER, real_name: 'Portcullis', email: 'app@juniperfreight.example' },
  ],
  channels: [
    { name: 'operations', topic: 'Bikes, hubs, couriers', purpose: 'What happens on the street' },
    { name: 'engineering', topic: 'route-planner, tracking-api', purpose: 'Code and scanners' },
    { name: 'founders', is_private: true, topic: 'Money', purpose: 'Just us' },
  ],
} as const

const HOUR = 3_600_000

/** The two channels every workspace begins with. */
const GENERAL = 'C000000001'
const RANDOM = 'C000000002'

/** What happened in the days before the sandbox was first started. */
export function history(foundedAt: number): { at: number; request: PlaneRequest }[] {
  const begun = foundedAt - 80 * HOUR
  const arrivals = PEOPLE.flatMap(({ name }) =>
    [GENERAL, RANDOM].map((channel) => ({ at: begun, request: call(name, 'conversations.join', { channel }) })),
  )
  const profile = { real_name: 'Duarte Reis', display_name: 'duarte', email: 'it@juniperfreight.example', title: 'IT' }
  const owner = { at: begun, request: call(OWNER, 'users.profile.set', { profile }) }
  const said: [hoursAgo: number, channel: string, who: string, text: string][] = [
    [74, 'general', 'ana', 'Good news: the loading zone at Rua das Flores is ours until December.'],
    [73, 'general', 'chiara', 'That saves us ten minutes a day :tada:'],
    [50, 'operations', 'chiara', 'Bike 7 crossed the bridge twice again. Can somebody look at the route?'],
    [49, 'operations', 'ben', 'On it. The planner thinks bridges are free.'],
    [30, 'engineering', 'ben', 'Bridge penalty is deployed to staging: four minutes per crossing.'],
    [28, 'engineering', 'ana', 'Nice. Please compare last week’s routes before and after.'],
    [26, 'operations', 'chiara', 'Scanner firmware 2.8 is slow. Two couriers report ten minutes of delay.'],
    [24, 'engineering', 'ben', 'Rolled back the scanner firmware on all devices at 14:10.'],
    [20, 'founders', 'ana', 'Investor call is on Friday at 11. Chiara brings the October numbers.'],
    [12, 'operations', 'chiara', 'Teresa is sick today, bike 7 stays in the hub.'],
    [6, 'random', 'ben', 'Whoever left the pastéis de nata in the kitchen: thank you.'],
    [3, 'engineering', 'ben', 'First routes with the bridge penalty are 11 % shorter.'],
  ]
  const messages = said.map(([hoursAgo, channel, who, text]) => ({
    at: foundedAt - hoursAgo * HOUR,
    request: call(who, 'chat.postMessage', { channel, text }),
  }))
  return [...arrivals, owner, ...messages]
}

export const call = (user: string, method: string, body: Record<string, unknown>): PlaneRequest => ({
  method: 'POST',
  target: `/api/${method}`,
  user,
  body: JSON.stringify(body),
})
