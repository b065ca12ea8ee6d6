import { z } from 'zod'

import { apiPath } from '../../path'
import { defineTool } from '../../tool'
import { github, issueNumberArgument, ownerArgument, repoArgument, repository, writeScopes } from './api'

const commentWire = z.object({ id: z.int(), html_url: z.string(), created_at: z.string() })

export const githubCommentOnIssue = defineTool({
  name: 'github_comment_on_issue',
  provider: 'github',
  title: 'Comment on an issue',
  description: 'Adds a comment to an issue or pull request, as the connected account. People who follow it are told.',
  input: z.strictObject({
    owner: ownerArgument,
    repo: repoArgument,
    issue_number: issueNumberArgument,
    body: z.string().trim().min(1).max(65_536).describe('GitHub-flavoured Markdown.'),
  }),
  output: z.object({ id: z.int(), url: z.string(), created_at: z.string() }),
  annotations: { readOnly: false, destructive: false, idempotent: false, openWorld: true },
  resources: { repository },
  scopes: writeScopes,
  async run({ owner, repo, issue_number, body }, api) {
    const answer = await api.send(
      github({
        method: 'POST',
        path: apiPath`/repos/${owner}/${repo}/issues/${issue_number}/comments`,
        json: { body },
      }),
    )
    const comment = commentWire.parse(answer.json)
    return { id: comment.id, url: comment.html_url, created_at: comment.created_at }
  },
})
