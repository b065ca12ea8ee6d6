/**
 * What the pages know about providers without asking: the name to show at once, and whose a tool is. The catalogue itself
 * stays with the gateway; a test holds this against it.
 *
 * @module
 */
const names: Readonly<Record<string, string>> = { google: 'Google', github: 'GitHub', slack: 'Slack' }

const toolPrefixes: Readonly<Record<string, string>> = {
  gmail: 'google',
  calendar: 'google',
  github: 'github',
  slack: 'slack',
}

/** The provider's name; its id for one that is newer than this page. */
export function providerName(provider: string): string {
  return (Object.hasOwn(names, provider) ? names[provider] : undefined) ?? provider
}

/** The provider a tool belongs to, by the first word of its name. */
export function providerOfTool(tool: string): string | undefined {
  const prefix = tool.split('_', 1)[0] ?? ''
  return Object.hasOwn(toolPrefixes, prefix) ? toolPrefixes[prefix] : undefined
}

const summaries: Readonly<Record<string, string>> = {
  google: 'Mail and calendar',
  github: 'Repositories and issues',
  slack: 'Channels and messages',
}

/** What an account there is for, in three words. */
export function providerSummary(provider: string): string | undefined {
  return Object.hasOwn(summaries, provider) ? summaries[provider] : undefined
}
