/**
 * A Calendar event as tools give it back.
 *
 * @module
 */
import { z } from 'zod'

import { capText, line } from '../../tool'

const whenWire = z
  .object({ date: z.string().optional(), dateTime: z.string().optional(), timeZone: z.string().optional() })
  .default({})

export const eventWire = z.object({
  id: z.string(),
  status: z.string().default('confirmed'),
  summary: z.string().optional(),
  description: z.string().optional(),
  location: z.string().optional(),
  htmlLink: z.string().optional(),
  start: whenWire,
  end: whenWire,
  organizer: z.object({ email: z.string().optional() }).optional(),
  attendees: z.array(z.object({ email: z.string().optional(), responseStatus: z.string().optional() })).default([]),
})

export const eventOutput = z.object({
  id: z.string(),
  status: z.string(),
  summary: z.string(),
  description: z.string(),
  location: z.string(),
  url: z.string().nullable(),
  start: z.string().describe('A date for all-day events, else a time with offset.'),
  end: z.string(),
  time_zone: z.string().nullable(),
  organizer: z.string().nullable(),
  attendees: z.array(z.object({ email: z.string(), response: z.string() })),
})

export function eventOf(event: z.output<typeof eventWire>): z.output<typeof eventOutput> {
  return {
    id: event.id,
    status: event.status,
    summary: line(event.summary),
    description: capText(event.description ?? '', 2_000).text,
    location: line(event.location),
    url: event.htmlLink ?? null,
    start: event.start.dateTime ?? event.start.date ?? '',
    end: event.end.dateTime ?? event.end.date ?? '',
    time_zone: event.start.timeZone ?? null,
    organizer: event.organizer?.email ?? null,
    attendees: event.attendees
      .slice(0, 100)
      .map(({ email, responseStatus }) => ({ email: email ?? '', response: responseStatus ?? 'needsAction' })),
  }
}
