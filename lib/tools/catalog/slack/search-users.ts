import { z } from 'zod'

import { cursorArgument } from '../../cursor'
import { InvalidArgument } from '../../invalid-argument'
import { apiPath } from '../../path'
import { defineTool, line } from '../../tool'
import { metadataWire, pageCursor } from './api'

const userWire = z.object({
  id: z.string(),
  name: z.string().default(''),
  deleted: z.boolean().default(false),
  is_bot: z.boolean().default(false),
  tz: z.string().nullish(),
  profile: z
    .object({
      real_name: z.string().optional(),
      display_name: z.string().optional(),
      title: z.string().optional(),
      email: z.string().optional(),
    })
    .default({}),
})
const usersWire = z.object({ members: z.array(userWire), response_metadata: metadataWire })
const lookupWire = z.object({ user: userWire })
/** Slack has no search by name; people are listed and filtered, this many pages a call. */
const MAX_PAGES = 5
const PAGE_SIZE = 200

export const slackSearchUsers = defineTool({
  name: 'slack_search_users',
  provider: 'slack',
  title: 'Search people',
  description:
    'Finds people of the workspace by part of their name, or one person by exact e-mail address. Give either query or email.',
  input: z.strictObject({
    query: z.string().trim().min(1).max(80).optional().describe('Part of a name, in any case.'),
    email: z.email().max(254).optional().describe('Exact address. Needs a further permission.'),
    include_deactivated: z.boolean().default(false),
    cursor: cursorArgument,
  }),
  output: z.object({
    users: z.array(
      z.object({
        id: z.string(),
        handle: z.string(),
        real_name: z.string(),
        display_name: z.string(),
        title: z.string(),
        email: z.string().nullable(),
        time_zone: z.string().nullable(),
        bot: z.boolean(),
        deactivated: z.boolean(),
      }),
    ),
    next_cursor: z.string().nullable().describe('Set when there are more people to look through.'),
  }),
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  scopes: { anyOf: [['users:read'], ['users:read.email']], least: ['users:read'] },
  async run(args, api) {
    if ((args.query === undefined) === (args.email === undefined))
      throw new InvalidArgument('query: give either query or email')
    if (args.email !== undefined) {
      const answer = await api.send({
        method: 'POST',
        path: apiPath`/users.lookupByEmail`,
        form: { email: args.email },
        expected: [404],
      })
      return { users: answer.status === 404 ? [] : [userOf(lookupWire.parse(answer.json).user)], next_cursor: null }
    }
    const wanted = (args.query ?? '').toLocaleLowerCase('en')
    const users: ReturnType<typeof userOf>[] = []
    let cursor = pageCursor(api.page)
    for (let page = 0; page < MAX_PAGES; page += 1) {
      const answer = await api.send({
        method: 'POST',
        path: apiPath`/users.list`,
        form: { limit: PAGE_SIZE, cursor },
        maxBytes: 4_000_000,
      })
      const list = usersWire.parse(answer.json)
      for (const user of list.members) {
        const names = [user.name, user.profile.real_name, user.profile.display_name]
        const isMatch = names.some((name) => name?.toLocaleLowerCase('en').includes(wanted) === true)
        if (isMatch && (args.include_deactivated || !user.deleted)) users.push(userOf(user))
      }
      const next = list.response_metadata.next_cursor
      cursor = next === '' ? undefined : next
      if (cursor === undefined || users.length > 0) break
    }
    return { users, next_cursor: cursor === undefined ? null : api.cursor(cursor) }
  },
})

function userOf(user: z.output<typeof userWire>) {
  return {
    id: user.id,
    handle: user.name,
    real_name: line(user.profile.real_name, 200),
    display_name: line(user.profile.display_name, 200),
    title: line(user.profile.title, 200),
    email: user.profile.email ?? null,
    time_zone: user.tz ?? null,
    bot: user.is_bot,
    deactivated: user.deleted,
  }
}
