/**
 * What calls are about, whatever the tool calls its arguments: a repository, a channel, a recipient. Each kind has one
 * canonical form, the one in which its provider compares, so that a rule cannot be passed by another spelling of the same
 * thing.
 *
 * @module
 */
import { domainToASCII } from 'node:url'

export const RESOURCES = ['repository', 'path', 'ref', 'label', 'login', 'calendar', 'recipient', 'channel'] as const
export type Resource = (typeof RESOURCES)[number]

/**
 * Arguments of a tool as the resources they name, before canonicalisation. An empty list says that the call is about none;
 * undefined, that the call leaves open which.
 */
export type ResourceReaders<A> = Readonly<Partial<Record<Resource, (args: A) => readonly string[] | undefined>>>

const lower = (value: string) => value.normalize('NFC').trim().toLowerCase()

const CANONICAL: Readonly<Record<Resource, (value: string) => string | undefined>> = {
  // GitHub compares owners, repositories, labels and logins without case.
  repository: (value) => (/^[^/\s]+\/[^/\s]+$/.test(value.trim()) ? lower(value) : undefined),
  label: lower,
  login: lower,
  // Refs and paths are compared byte by byte. A path that climbs is not inside of anything.
  ref: (value) => value.replace(/^refs\/heads\//, ''),
  path: (value) => {
    const segments = value.split('/').filter((segment) => segment !== '' && segment !== '.')
    return segments.includes('..') || value.includes('\\') ? undefined : segments.join('/')
  },
  calendar: lower,
  channel: (value) => value.trim().toUpperCase(),
  recipient: (value) => {
    const { local, domain } = addressOf(value)
    return domain === '' || local === '' ? undefined : `${local}@${domain}`
  },
}

/** Of these one thing has many names, some of which only the provider knows: they can be permitted, not forbidden. */
export const ALIASED: ReadonlySet<Resource> = new Set(['ref', 'calendar'])

/** @returns undefined for what is no such thing: no rule is kept by it */
export const canonical = (resource: Resource, value: string): string | undefined => CANONICAL[resource](value)

/** The part of an address behind its last @, in ASCII and lower case; empty when there is none. */
export const domainOf = (address: string): string => addressOf(address).domain

function addressOf(value: string): { readonly local: string; readonly domain: string } {
  const text = value.normalize('NFC').trim()
  const at = text.lastIndexOf('@')
  return {
    local: text.slice(0, Math.max(0, at)).toLowerCase(),
    domain: at < 0 ? '' : domainToASCII(text.slice(at + 1)),
  }
}

/** Mailboxes of one person at providers that ignore dots, and what stands behind a plus. */
const DOTLESS = new Set(['gmail.com', 'googlemail.com'])

/**
 * The form for comparisons that forbid: two spellings that a person or a provider could take for the same have the same.
 * Never used to permit, because it makes things equal that are not.
 */
export function folded(value: string, resource?: Resource): string {
  const plain = foldedPattern(value).replace(/\s+/gu, ' ').trim()
  if (resource !== 'recipient') return plain
  const { local, domain } = addressOf(plain)
  const mailbox = local.replace(/\+.*$/, '')
  return DOTLESS.has(domain) ? `${mailbox.replaceAll('.', '')}@gmail.com` : `${mailbox}@${domain}`
}

/** The same for a pattern, whose spaces may stand beside a placeholder. */
export const foldedPattern = (pattern: string): string =>
  pattern
    .normalize('NFKD')
    .replace(/[\p{M}\p{Default_Ignorable_Code_Point}]|(?!\s)\p{Cc}/gu, '')
    .toLowerCase()
