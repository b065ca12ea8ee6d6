import { createHash } from 'node:crypto'

import { z } from 'zod'

import { canonicalJson } from '../../../audit/canonical'
import { InvalidArgument } from '../../invalid-argument'
import { apiPath } from '../../path'
import { defineTool } from '../../tool'
import { calendarArgument, emailArgument, scope } from './api'
import { eventOf, eventOutput, eventWire } from './calendar-event'

const when = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })])
  .describe('A date (2026-05-04) for an all-day event, or a time with offset (2026-05-04T09:00:00+02:00).')

const input = z.strictObject({
  calendar_id: calendarArgument,
  summary: z.string().trim().min(1).max(1_000),
  description: z.string().max(8_000).optional(),
  location: z.string().max(1_000).optional(),
  start: when,
  end: when.describe('As start; the day after the last one for all-day events.'),
  time_zone: z
    .string()
    .regex(/^[A-Za-z0-9_+/-]{1,64}$/, 'is not a time zone')
    .optional()
    .describe('IANA name, such as Europe/Berlin. Needed for repeated events only.'),
  attendees: z.array(emailArgument).max(100).default([]),
  send_updates: z
    .enum(['none', 'all', 'externalOnly'])
    .default('none')
    .describe('Whom to send an invitation by e-mail.'),
  idempotency_key: z
    .string()
    .regex(/^[\x21-\x7e]{1,128}$/)
    .optional()
    .describe('Calls with the same key make one event. Absent: calls with the same arguments do.'),
})

export const calendarCreateEvent = defineTool({
  name: 'calendar_create_event',
  provider: 'google',
  title: 'Create an event',
  description:
    'Creates a calendar event. Called again with the same arguments (or idempotency_key) it returns the event that exists rather than a second one.',
  input,
  output: z.object({ event: eventOutput, already_existed: z.boolean() }),
  annotations: { readOnly: false, destructive: false, idempotent: true, openWorld: true },
  resources: { calendar: ({ calendar_id }) => [calendar_id], recipient: ({ attendees }) => attendees },
  scopes: { anyOf: [[scope('calendar.events')]], least: [scope('calendar.events')] },
  async run(args, api) {
    const isAllDay = !args.start.includes('T')
    if (isAllDay === args.end.includes('T')) throw new InvalidArgument('end: must be a date when start is one')
    if (!(new Date(args.start) < new Date(args.end))) throw new InvalidArgument('end: must be after start')
    const at = (value: string) =>
      isAllDay
        ? { date: value }
        : { dateTime: value, ...(args.time_zone === undefined ? {} : { timeZone: args.time_zone }) }
    const events = apiPath`/calendar/v3/calendars/${args.calendar_id}/events`
    const insert = (id: string) =>
      api.send({
        method: 'POST',
        path: events,
        query: { sendUpdates: args.send_updates },
        json: {
          id,
          summary: args.summary,
          description: args.description,
          location: args.location,
          start: at(args.start),
          end: at(args.end),
          ...(args.attendees.length === 0 ? {} : { attendees: args.attendees.map((email) => ({ email })) }),
        },
        expected: [409],
      })

    const id = eventId(args.idempotency_key ?? canonicalJson(args), args.calendar_id)
    const answer = await insert(id)
    if (answer.status !== 409) return { event: eventOf(eventWire.parse(answer.json)), already_existed: false }

    const existing = eventWire.parse(
      (await api.send({ method: 'GET', path: apiPath`/calendar/v3/calendars/${args.calendar_id}/events/${id}` })).json,
    )
    if (existing.status !== 'cancelled') return { event: eventOf(existing), already_existed: true }
    // It existed and was deleted since: its id is spent, and asking again means wanting it again.
    const again = await insert(eventId(api.callId, args.calendar_id))
    if (again.status === 409) throw new InvalidArgument('idempotency_key: was used for an event that was deleted')
    return { event: eventOf(eventWire.parse(again.json)), already_existed: false }
  },
})

/** Lower-case base32hex, as Calendar demands of ids that clients make (RFC 4648 §7). */
function eventId(key: string, calendarId: string): string {
  const digest = createHash('sha256').update(`${calendarId}\n${key}`).digest()
  let bits = 0n
  for (const byte of digest.subarray(0, 20)) bits = (bits << 8n) | BigInt(byte)
  return bits.toString(32).padStart(32, '0')
}
