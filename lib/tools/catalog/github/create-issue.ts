import { z } from 'zod'

import { apiPath } from '../../path'
import { defineTool, line } from '../../tool'
import { github, ownerArgument, repoArgument, repository, writeScopes } from './api'

const issueWire = z.object({ number: z.int(), title: z.string(), state: z.string(), html_url: z.string() })

export const githubCreateIssue = defineTool({
  name: 'github_create_issue',
  provider: 'github',
  title: 'Create an issue',
  description: 'Opens a new issue in a repository, as the connected account. People who watch the repository are told.',
  input: z.strictObject({
    owner: ownerArgument,
    repo: repoArgument,
    title: z.string().trim().min(1).max(256),
    body: z.string().max(65_536).optional().describe('GitHub-flavoured Markdown.'),
    labels: z.array(z.string().min(1).max(50)).max(20).optional().describe('Labels that exist in the repository.'),
    assignees: z
      .array(z.string().regex(/^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$/))
      .max(10)
      .optional()
      .describe('Logins.'),
  }),
  output: z.object({ number: z.int(), title: z.string(), state: z.string(), url: z.string() }),
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  resources: { repository, label: ({ labels = [] }) => labels, login: ({ assignees = [] }) => assignees },
  scopes: writeScopes,
  async run({ owner, repo, ...issue }, api) {
    const answer = await api.send(
      github({ method: 'POST', path: apiPath`/repos/${owner}/${repo}/issues`, json: issue }),
    )
    const created = issueWire.parse(answer.json)
    return { number: created.number, title: line(created.title), state: created.state, url: created.html_url }
  },
})
