import { z } from 'zod'

import { cursorArgument } from '../../cursor'
import { apiPath } from '../../path'
import { defineTool, line } from '../../tool'
import { github, limitArgument, pageNumber, readScopes } from './api'

const answerWire = z.object({
  total_count: z.int(),
  incomplete_results: z.boolean().default(false),
  items: z.array(
    z.object({
      full_name: z.string(),
      description: z.string().nullish(),
      private: z.boolean(),
      archived: z.boolean().default(false),
      html_url: z.string(),
      stargazers_count: z.int(),
      language: z.string().nullish(),
      default_branch: z.string().default('main'),
      updated_at: z.string().nullish(),
    }),
  ),
})

/** GitHub gives out the first thousand results of a search, however many there are. */
const SEARCH_REACH = 1_000

export const githubSearchRepositories = defineTool({
  name: 'github_search_repositories',
  provider: 'github',
  title: 'Search repositories',
  description:
    'Searches GitHub repositories the connected account can see. Takes GitHub search syntax, for example "topic:cli language:go stars:>100" or "user:octocat".',
  input: z.strictObject({
    query: z.string().trim().min(1).max(256).describe('What to look for, in GitHub search syntax.'),
    sort: z.enum(['best_match', 'stars', 'forks', 'help-wanted-issues', 'updated']).default('best_match'),
    order: z.enum(['desc', 'asc']).default('desc'),
    limit: limitArgument,
    cursor: cursorArgument,
  }),
  output: z.object({
    total: z.int(),
    incomplete: z.boolean().describe('True when GitHub gave up before it had looked everywhere.'),
    repositories: z.array(
      z.object({
        full_name: z.string(),
        description: z.string(),
        private: z.boolean(),
        archived: z.boolean(),
        url: z.string(),
        stars: z.int(),
        language: z.string().nullable(),
        default_branch: z.string(),
        updated_at: z.string().nullable(),
      }),
    ),
    next_cursor: z.string().nullable(),
  }),
  annotations: { readOnly: true, destructive: false, idempotent: true, openWorld: false },
  scopes: readScopes,
  async run(args, api) {
    const page = pageNumber(api.page)
    const answer = await api.send(
      github({
        method: 'GET',
        path: apiPath`/search/repositories`,
        query: {
          q: args.query,
          ...(args.sort === 'best_match' ? {} : { sort: args.sort, order: args.order }),
          per_page: args.limit,
          page,
        },
      }),
    )
    const found = answerWire.parse(answer.json)
    const hasMore = found.items.length > 0 && page * args.limit < Math.min(found.total_count, SEARCH_REACH)
    return {
      total: found.total_count,
      incomplete: found.incomplete_results,
      repositories: found.items.map((item) => ({
        full_name: item.full_name,
        description: line(item.description),
        private: item.private,
        archived: item.archived,
        url: item.html_url,
        stars: item.stargazers_count,
        language: item.language ?? null,
        default_branch: item.default_branch,
        updated_at: item.updated_at ?? null,
      })),
      next_cursor: hasMore ? api.cursor(page + 1) : null,
    }
  },
})
