/**
 * Juniper Freight's mail and calendars.
 *
 * @module
 */
export const PEOPLE = [
  { email: 'ana@juniperfreight.example', sub: '118300000000000000031', givenName: 'Ana', familyName: 'Ribeiro' },
  { email: 'ben@juniperfreight.example', sub: '118300000000000000047', givenName: 'Ben', familyName: 'Okafor' },
  { email: 'chiara@juniperfreight.example', sub: '118300000000000000059', givenName: 'Chiara', familyName: 'Lund' },
] as const

export const DOMAIN = 'juniperfreight.example'
export const nameOf = (person: { givenName: string; familyName: string }): string =>
  `${person.givenName} ${person.familyName}`

const HOUR = 3_600_000
const DAY = 24 * HOUR

interface Mail {
  readonly owner: string
  readonly from: string
  readonly to: string
  readonly subject: string
  readonly hoursAgo: number
  readonly labels: readonly string[]
  readonly thread: string
  readonly text: string
}

const [ANA, BEN, CHIARA] = PEOPLE.map((person) => person.email) as [string, string, string] // three people
const full = (email: string): string => {
  const person = PEOPLE.find((candidate) => candidate.email === email)
  return person === undefined ? email : `${nameOf(person)} <${email}>`
}
const INBOX = ['INBOX', 'UNREAD', 'CATEGORY_PERSONAL']
const READ = ['INBOX', 'CATEGORY_PERSONAL']

const MAILS: readonly Mail[] = [
  {
    owner: ANA,
    from: full(CHIARA),
    to: ANA,
    subject: 'Friday: numbers for the investors',
    hoursAgo: 3,
    labels: [...INBOX, 'IMPORTANT'],
    thread: 'a1',
    text: 'Hi Ana,\n\nthe sheet is ready: 4,210 parcels in October, 96.4 % on time. The rainy week cost us two points.\n\nCan you look before noon?\n\nChiara',
  },
  {
    owner: ANA,
    from: full(BEN),
    to: ANA,
    subject: 'Bridge penalty is live',
    hoursAgo: 7,
    labels: INBOX,
    thread: 'a2',
    text: 'The planner now adds four minutes per bridge. First two routes are 11 % shorter. I keep an eye on it.\n\nBen',
  },
  {
    owner: ANA,
    from: 'Rosa Pinto <rosa@padaria-pinto.example>',
    to: ANA,
    subject: 'Saturday deliveries',
    hoursAgo: 20,
    labels: INBOX,
    thread: 'a3',
    text: 'Good morning! We would like 30 bread boxes delivered every Saturday before 8. What would that cost?\n\nRosa',
  },
  {
    owner: ANA,
    from: 'Câmara do Porto <mobilidade@porto.example>',
    to: ANA,
    subject: 'Permit 2214: loading zone Rua das Flores',
    hoursAgo: 28,
    labels: READ,
    thread: 'a4',
    text: 'Your permit for the loading zone has been extended until 31 December.',
  },
  {
    owner: ANA,
    from: full(ANA),
    to: 'Rosa Pinto <rosa@padaria-pinto.example>',
    subject: 'Re: Saturday deliveries',
    hoursAgo: 18,
    labels: ['SENT'],
    thread: 'a3',
    text: 'Dear Rosa, with pleasure. For 30 boxes within 3 km we ask 42 euros per Saturday.\n\nAna',
  },
  {
    owner: ANA,
    from: 'Invoices <billing@hostwerk.example>',
    to: ANA,
    subject: 'Invoice 88-1043',
    hoursAgo: 49,
    labels: ['INBOX', 'CATEGORY_UPDATES'],
    thread: 'a5',
    text: 'Your invoice over 118.40 EUR is attached to your account page.',
  },
  {
    owner: BEN,
    from: full(ANA),
    to: BEN,
    subject: 'On-call next week',
    hoursAgo: 5,
    labels: INBOX,
    thread: 'b1',
    text: 'Can you take Monday to Wednesday? I have the rest.\n\nAna',
  },
  {
    owner: BEN,
    from: full(CHIARA),
    to: BEN,
    subject: 'Scanner firmware 2.8',
    hoursAgo: 26,
    labels: READ,
    thread: 'b2',
    text: 'Two couriers report a delay of ten minutes since 2.8. Roll back?\n\nChiara',
  },
  {
    owner: BEN,
    from: 'Nightly build <ci@juniperfreight.example>',
    to: BEN,
    subject: 'route-planner: build 512 passed',
    hoursAgo: 9,
    labels: ['INBOX', 'CATEGORY_UPDATES'],
    thread: 'b3',
    text: 'All 318 tests passed in 2 min 11 s.',
  },
  {
    owner: CHIARA,
    from: full(ANA),
    to: CHIARA,
    subject: 'Trailer test on Thursday',
    hoursAgo: 4,
    labels: INBOX,
    thread: 'c1',
    text: 'Please plan one route without stairs. The trailer arrives at 9.\n\nAna',
  },
  {
    owner: CHIARA,
    from: 'Teresa Vaz <teresa@couriers.example>',
    to: CHIARA,
    subject: 'Sick today',
    hoursAgo: 12,
    labels: INBOX,
    thread: 'c2',
    text: 'Sorry, I have a fever. Bike 7 is in the hub, key at the desk.',
  },
  {
    owner: CHIARA,
    from: full(BEN),
    to: CHIARA,
    subject: 'Re: Scanner firmware 2.8',
    hoursAgo: 24,
    labels: READ,
    thread: 'c3',
    text: 'Rolled back on all devices at 14:10. Please tell me if it is still slow.\n\nBen',
  },
]

/** The Monday of this week, 00:00 UTC. */
function monday(now: number): number {
  const day = new Date(now)
  const midnight = Date.UTC(day.getUTCFullYear(), day.getUTCMonth(), day.getUTCDate())
  return midnight - ((day.getUTCDay() + 6) % 7) * DAY
}

interface Meeting {
  readonly summary: string
  readonly day: number
  readonly hour: number
  readonly minutes: number
  readonly who: readonly string[]
  readonly location?: string
  readonly description?: string
}

const MEETINGS: readonly Meeting[] = [
  { summary: 'Week start', day: 0, hour: 9, minutes: 30, who: [ANA, BEN, CHIARA], location: 'Hub, Rua do Almada 12' },
  {
    summary: 'Route planner review',
    day: 1,
    hour: 14,
    minutes: 60,
    who: [ANA, BEN],
    description: 'Bridge penalty: keep it?',
  },
  { summary: 'Permit office', day: 2, hour: 10, minutes: 90, who: [ANA], location: 'Câmara do Porto' },
  { summary: 'Trailer test ride', day: 3, hour: 9, minutes: 120, who: [ANA, CHIARA], location: 'Hub' },
  { summary: 'Couriers’ round table', day: 3, hour: 16, minutes: 45, who: [BEN, CHIARA] },
  { summary: 'Investor call', day: 4, hour: 11, minutes: 45, who: [ANA, CHIARA], description: 'October numbers' },
]

export function seed(foundedAt: number): Record<string, unknown> {
  const week = monday(foundedAt)
  return {
    users: PEOPLE.map((p) => ({ email: p.email, name: nameOf(p), given_name: p.givenName, family_name: p.familyName })),
    messages: MAILS.map((mail, index) => ({
      id: `19a4${(0xc0ffee0000 + index * 7919).toString(16).padStart(12, '0')}`,
      thread_id: `19a4${Buffer.from(mail.thread).toString('hex').padStart(12, '0')}`,
      user_email: mail.owner,
      from: mail.from,
      to: mail.to,
      subject: mail.subject,
      body_text: mail.text,
      label_ids: mail.labels,
      date: new Date(foundedAt - mail.hoursAgo * HOUR).toISOString(),
      message_id: `<${mail.thread}.${index}@mail.juniperfreight.example>`,
    })),
    calendars: PEOPLE.flatMap(({ email }) => [
      { id: email, user_email: email, summary: email, primary: true, time_zone: 'Europe/Lisbon' },
      {
        id: `c_holidays@${DOMAIN}`,
        user_email: email,
        summary: 'Holidays in Portugal',
        time_zone: 'Europe/Lisbon',
        access_role: 'reader',
      },
    ]),
    calendar_events: MEETINGS.flatMap((meeting, index) =>
      meeting.who.map((email) => ({
        id: `juniper${String(index)}meeting`,
        user_email: email,
        calendar_id: email,
        summary: meeting.summary,
        description: meeting.description,
        location: meeting.location,
        start_date_time: new Date(week + meeting.day * DAY + meeting.hour * HOUR).toISOString(),
        end_date_time: new Date(
          week + meeting.day * DAY + meeting.hour * HOUR + meeting.minutes * 60_000,
        ).toISOString(),
        attendees: meeting.who.map((attendee) => ({ email: attendee })),
      })),
    ),
  }
}
