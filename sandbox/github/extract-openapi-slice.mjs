// @ts-check
/**
 * Cuts the operations the sandbox serves out of GitHub's own OpenAPI description, so that requests and answers are
 * checked against what GitHub publishes and not against our memory of it. Run by hand when the pinned version moves:
 *
 *     npm pack @octokit/openapi@23.0.2 && tar xzf octokit-openapi-23.0.2.tgz
 *     node sandbox/github/extract-openapi-slice.mjs package/generated/api.github.com.json package/LICENSE
 *
 * @module
 */
import { readFileSync, writeFileSync } from 'node:fs'
import process from 'node:process'

const OPERATIONS = [
  'get /user',
  'get /user/emails',
  'get /search/repositories',
  'get /repos/{owner}/{repo}',
  'get /repos/{owner}/{repo}/contents/{path}',
  'get /repos/{owner}/{repo}/issues',
  'post /repos/{owner}/{repo}/issues',
  'get /repos/{owner}/{repo}/issues/{issue_number}',
  'get /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'post /repos/{owner}/{repo}/issues/{issue_number}/comments',
  'post /applications/{client_id}/token',
  'delete /applications/{client_id}/token',
  'delete /applications/{client_id}/grant',
  'post /credentials/revoke',
]
const PROSE = new Set(['description', 'example', 'examples', 'externalDocs', 'summary', 'title', 'tags', 'x-github'])

const [source, licence] = process.argv.slice(2)
if (source === undefined || licence === undefined) {
  throw new Error('usage: extract-openapi-slice.mjs <api.github.com.json> <LICENSE of @octokit/openapi>')
}
const whole = JSON.parse(readFileSync(source, 'utf8'))

/** @type {Record<string, Record<string, unknown>>} */
const components = {}

/** @param {unknown} node @param {boolean} [names] whether the keys of this object are names rather than keywords @returns {unknown} */
function keep(node, names = false) {
  if (Array.isArray(node)) return node.map((item) => keep(item))
  if (typeof node !== 'object' || node === null) return node
  const entries = Object.entries(node)
  const reference = entries.find(([key]) => key === '$ref')?.[1]
  if (typeof reference === 'string' && !names) {
    const [, , section = '', name = ''] = reference.split('/')
    components[section] ??= {}
    if (!(name in components[section])) {
      components[section][name] = null // breaks cycles
      components[section][name] = keep(whole.components[section][name])
    }
    return { $ref: reference }
  }
  return Object.fromEntries(
    entries
      .filter(([key]) => names || (!PROSE.has(key) && !key.startsWith('x-')))
      .map(([key, value]) => [key, keep(value, !names && key === 'properties')]),
  )
}

/** @type {Record<string, Record<string, unknown>>} */
const paths = {}
for (const operation of OPERATIONS) {
  const [method = '', path = ''] = operation.split(' ')
  const described = whole.paths[path][method]
  const responses = Object.fromEntries(
    Object.entries(described.responses)
      .filter(([status]) => status.startsWith('2'))
      .map(([status, response]) => {
        const content = Object.fromEntries(
          Object.entries(response.content ?? {})
            .filter(([type]) => type === 'application/json')
            .map(([type, media]) => [type, { schema: keep(media.schema) }]),
        )
        return [status, Object.keys(content).length === 0 ? {} : { content }]
      }),
  )
  const body = described.requestBody?.content?.['application/json']?.schema
  paths[path] ??= {}
  paths[path][method] = {
    operationId: described.operationId,
    documentationUrl: described.externalDocs?.url,
    parameters: keep(described.parameters ?? []),
    ...(body === undefined
      ? {}
      : { requestBody: { required: described.requestBody.required === true, schema: keep(body) } }),
    responses,
  }
}

const slice = {
  source: '@octokit/openapi generated/api.github.com.json',
  version: '23.0.2',
  licence: readFileSync(licence, 'utf8'),
  paths,
  components,
}
writeFileSync(new URL('./openapi-slice.json', import.meta.url), `${JSON.stringify(slice)}\n`)
