/**
 * The Gmail and Calendar methods served here, described by the vendor's own client library: the keys of each table are
 * checked by the compiler against its parameter types, so that a parameter added, renamed or misspelt fails the build.
 *
 * @module
 */
import type { calendar_v3 } from '@googleapis/calendar'
import type { gmail_v1 } from '@googleapis/gmail'

import type { Schema } from '@/sandbox/core/schema'

type Own<Parameters, Standard> = Record<Exclude<keyof Parameters, keyof Standard | 'requestBody'>, Schema>
type Gmail<Parameters> = Own<Parameters, gmail_v1.Params$Resource$Users$Getprofile> & { userId: Schema }
type Calendar<Parameters> = Own<Parameters, calendar_v3.Params$Resource$Colors$Get>

export interface GoogleMethod {
  readonly id: string
  readonly method: 'GET' | 'POST'
  readonly template: string
  readonly api: 'gmail' | 'calendar'
  /** Any one of them is enough. */
  readonly scopes: readonly string[]
  readonly parameters: Readonly<Record<string, Schema>>
  readonly body?: Schema
  /** The name Google's error details give the method. */
  readonly rpc: string
}

const text: Schema = { type: 'string' }
const texts: Schema = { type: 'array', items: text }
const flag: Schema = { type: 'boolean' }
const instant: Schema = { type: 'string', format: 'date-time' }
const whole = (minimum: number, maximum: number): Schema => ({ type: 'integer', minimum, maximum })
const one = (...values: string[]): Schema => ({ type: 'string', enum: values })
const object = (properties: Readonly<Record<string, Schema>>, required: readonly string[] = []): Schema => ({
  type: 'object',
  properties,
  required,
})

/** Accepted by every method. A token in the query is not: these APIs are called with a header here. */
export const STANDARD: Readonly<Record<string, Schema>> = {
  alt: one('json'),
  fields: text,
  prettyPrint: flag,
  quotaUser: { type: 'string', maxLength: 40 },
}

const MESSAGE = {
  historyId: text,
  id: text,
  internalDate: text,
  labelIds: texts,
  payload: object({}),
  raw: { type: 'string', minLength: 1, pattern: '^[A-Za-z0-9_+/=-]+$' },
  sizeEstimate: whole(0, 2 ** 31),
  snippet: text,
  threadId: text,
} satisfies Record<keyof gmail_v1.Schema$Message, Schema>

const DRAFT = { id: text, message: object(MESSAGE, ['raw']) } satisfies Record<keyof gmail_v1.Schema$Draft, Schema>

const WHEN = { date: { type: 'string', format: 'date' }, dateTime: instant, timeZone: text } satisfies Record<
  keyof calendar_v3.Schema$EventDateTime,
  Schema
>

const ATTENDEE = {
  additionalGuests: whole(0, 1000),
  comment: text,
  displayName: text,
  email: { type: 'string', format: 'email' },
  id: text,
  optional: flag,
  organizer: flag,
  resource: flag,
  responseStatus: one('needsAction', 'declined', 'tentative', 'accepted'),
  self: flag,
} satisfies Record<keyof calendar_v3.Schema$EventAttendee, Schema>

/** Kept by the sandbox, or written by Google alone and so ignored in a body. */
const EVENT_KEPT = {
  attendees: { type: 'array', items: object(ATTENDEE, ['email']), maxItems: 200 },
  description: { type: 'string', maxLength: 8192 },
  end: object(WHEN),
  id: { type: 'string', pattern: '^[a-v0-9]{5,1024}$' },
  location: text,
  start: object(WHEN),
  status: one('confirmed', 'tentative', 'cancelled'),
  summary: text,
  transparency: one('opaque', 'transparent'),
  created: instant,
  creator: object({}),
  etag: text,
  hangoutLink: text,
  htmlLink: text,
  kind: one('calendar#event'),
  organizer: object({}),
  updated: instant,
} satisfies Partial<Record<keyof calendar_v3.Schema$Event, Schema>>

/** In the description, but without effect here: refused by name rather than dropped in silence. */
export const EVENT_UNSUPPORTED = [
  'anyoneCanAddSelf',
  'attachments',
  'attendeesOmitted',
  'birthdayProperties',
  'colorId',
  'conferenceData',
  'endTimeUnspecified',
  'eventType',
  'extendedProperties',
  'focusTimeProperties',
  'gadget',
  'guestsCanInviteOthers',
  'guestsCanModify',
  'guestsCanSeeOtherGuests',
  'iCalUID',
  'locked',
  'originalStartTime',
  'outOfOfficeProperties',
  'privateCopy',
  'recurrence',
  'recurringEventId',
  'reminders',
  'sequence',
  'source',
  'visibility',
  'workingLocationProperties',
] as const satisfies readonly Exclude<keyof calendar_v3.Schema$Event, keyof typeof EVENT_KEPT>[]

const MAIL = 'https://mail.google.com/'
const scope = (name: string): string => `https://www.googleapis.com/auth/${name}`
const READ_MAIL = [MAIL, scope('gmail.modify'), scope('gmail.readonly'), scope('gmail.metadata')]
const READ_EVENTS = ['calendar', 'calendar.readonly', 'calendar.events', 'calendar.events.readonly'].map(scope)

export const METHODS: readonly GoogleMethod[] = [
  {
    id: 'gmail.users.getProfile',
    method: 'GET',
    template: '/gmail/v1/users/{userId}/profile',
    api: 'gmail',
    scopes: [...READ_MAIL, scope('gmail.compose')],
    parameters: { userId: text },
    rpc: 'caribou.api.proto.MailboxService.GetProfile',
  },
  {
    id: 'gmail.users.messages.list',
    method: 'GET',
    template: '/gmail/v1/users/{userId}/messages',
    api: 'gmail',
    scopes: READ_MAIL,
    parameters: {
      includeSpamTrash: flag,
      labelIds: texts,
      maxResults: whole(1, 500),
      pageToken: { type: 'string', pattern: '^[0-9]+$' },
      q: text,
      userId: text,
    } satisfies Gmail<gmail_v1.Params$Resource$Users$Messages$List>,
    rpc: 'caribou.api.proto.MailboxService.ListMessages',
  },
  {
    id: 'gmail.users.messages.get',
    method: 'GET',
    template: '/gmail/v1/users/{userId}/messages/{id}',
    api: 'gmail',
    scopes: READ_MAIL,
    parameters: {
      format: one('minimal', 'full', 'raw', 'metadata'),
      id: text,
      metadataHeaders: texts,
      userId: text,
    } satisfies Gmail<gmail_v1.Params$Resource$Users$Messages$Get>,
    rpc: 'caribou.api.proto.MailboxService.GetMessage',
  },
  {
    id: 'gmail.users.drafts.create',
    method: 'POST',
    template: '/gmail/v1/users/{userId}/drafts',
    api: 'gmail',
    scopes: [MAIL, scope('gmail.modify'), scope('gmail.compose')],
    parameters: { userId: text },
    body: object(DRAFT, ['message']),
    rpc: 'caribou.api.proto.MailboxService.CreateDraft',
  },
  {
    id: 'calendar.calendarList.list',
    method: 'GET',
    template: '/calendar/v3/users/me/calendarList',
    api: 'calendar',
    scopes: ['calendar', 'calendar.readonly', 'calendar.calendarlist', 'calendar.calendarlist.readonly'].map(scope),
    parameters: {
      maxResults: whole(1, 250),
      minAccessRole: one('freeBusyReader', 'owner', 'reader', 'writer'),
      pageToken: { type: 'string', pattern: '^[0-9]+$' },
      showDeleted: flag,
      showHidden: flag,
      syncToken: text,
    } satisfies Calendar<calendar_v3.Params$Resource$Calendarlist$List>,
    rpc: 'calendar.v3.CalendarList.List',
  },
  {
    id: 'calendar.events.list',
    method: 'GET',
    template: '/calendar/v3/calendars/{calendarId}/events',
    api: 'calendar',
    scopes: [...READ_EVENTS, scope('calendar.events.owned'), scope('calendar.events.owned.readonly')],
    parameters: {
      alwaysIncludeEmail: flag,
      calendarId: text,
      eventTypes: texts,
      iCalUID: text,
      maxAttendees: whole(1, 10_000),
      maxResults: whole(1, 2500),
      orderBy: one('startTime', 'updated'),
      pageToken: { type: 'string', pattern: '^[0-9]+$' },
      privateExtendedProperty: texts,
      q: text,
      sharedExtendedProperty: texts,
      showDeleted: flag,
      showHiddenInvitations: flag,
      singleEvents: flag,
      syncToken: text,
      timeMax: instant,
      timeMin: instant,
      timeZone: text,
      updatedMin: instant,
    } satisfies Calendar<calendar_v3.Params$Resource$Events$List>,
    rpc: 'calendar.v3.Events.List',
  },
  {
    id: 'calendar.events.get',
    method: 'GET',
    template: '/calendar/v3/calendars/{calendarId}/events/{eventId}',
    api: 'calendar',
    scopes: [...READ_EVENTS, scope('calendar.events.owned'), scope('calendar.events.owned.readonly')],
    parameters: {
      alwaysIncludeEmail: flag,
      calendarId: text,
      eventId: text,
      maxAttendees: whole(1, 10_000),
      timeZone: text,
    } satisfies Calendar<calendar_v3.Params$Resource$Events$Get>,
    rpc: 'calendar.v3.Events.Get',
  },
  {
    id: 'calendar.events.insert',
    method: 'POST',
    template: '/calendar/v3/calendars/{calendarId}/events',
    api: 'calendar',
    scopes: ['calendar', 'calendar.events', 'calendar.events.owned', 'calendar.app.created'].map(scope),
    parameters: {
      calendarId: text,
      conferenceDataVersion: whole(0, 1),
      maxAttendees: whole(1, 10_000),
      sendNotifications: flag,
      sendUpdates: one('all', 'externalOnly', 'none'),
      supportsAttachments: flag,
    } satisfies Calendar<calendar_v3.Params$Resource$Events$Insert>,
    body: object(EVENT_KEPT, ['start', 'end']),
    rpc: 'calendar.v3.Events.Insert',
  },
]

/** Without effect here: refused rather than ignored, so that nobody believes in a filter that did not filter. */
export const UNSUPPORTED_PARAMETERS = new Set([
  'eventTypes',
  'iCalUID',
  'privateExtendedProperty',
  'sharedExtendedProperty',
  'showDeleted',
  'syncToken',
  'updatedMin',
  'minAccessRole',
])
