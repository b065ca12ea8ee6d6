/**
 * The words of every mail, as data: paragraphs and at most one link. Rendered to plain text and to HTML that carries the
 * same and loads nothing. Everything that a person chose (names, addresses) is escaped, and can break neither a header
 * nor the markup.
 *
 * @module
 */
export interface MailContent {
  readonly subject: string
  readonly paragraphs: readonly string[]
  readonly items?: readonly MailItem[]
  readonly action?: { readonly label: string; readonly url: string }
  readonly footer?: string
}

/** One of several things: what happened, what to do, and the page of ours for it. */
export interface MailItem {
  readonly title: string
  readonly text: string
  readonly url: string
}

export interface RenderedMail {
  readonly subject: string
  readonly text: string
  readonly html: string
}

/** What a mail may tell of. `name` is the person's own, or empty. */
export type MailFacts =
  | { readonly kind: 'magic_link'; readonly name: string; readonly url: string; readonly minutes: number }
  | { readonly kind: 'verify_email'; readonly name: string; readonly url: string; readonly minutes: number }
  | { readonly kind: 'change_email'; readonly name: string; readonly url: string; readonly minutes: number }
  | { readonly kind: 'reset_password'; readonly name: string; readonly url: string; readonly minutes: number }
  | { readonly kind: 'sign_up'; readonly url: string; readonly minutes: number }
  | { readonly kind: 'has_account'; readonly name: string; readonly url: string }
  | { readonly kind: 'password_changed'; readonly name: string; readonly url: string }
  | { readonly kind: 'email_changed'; readonly name: string; readonly newEmail: string; readonly url: string }
  /** Anything a domain wants a person to know: a title, a few sentences, one page of ours. */
  | {
      readonly kind: 'notice'
      readonly name: string
      readonly title: string
      readonly body: string
      readonly label: string
      readonly url: string
    }
  | {
      readonly kind: 'invitation'
      readonly workspace: string
      /** Empty when the operator invites. */
      readonly inviter: string
      readonly role: string
      readonly days: number
      readonly url: string
    }
  /** What happened to the person's connections since the last mail, gathered. */
  | {
      readonly kind: 'connections'
      readonly name: string
      readonly workspace: string
      /** The first of them; never empty. */
      readonly items: readonly MailItem[]
      /** How many there are beside `items`. */
      readonly more: number
      readonly url: string
    }

const UNASKED = 'If you did not ask for this, you can leave it: nothing changes unless the link is used.'
const PRODUCT = 'Portcullis'

export function contentOf(facts: MailFacts): MailContent {
  switch (facts.kind) {
    case 'magic_link':
      return {
        subject: `Your link to sign in to ${PRODUCT}`,
        paragraphs: [
          greeting(facts.name),
          `Here is the link you asked for. It works once, for ${duration(facts.minutes)}, in the browser you asked from.`,
        ],
        action: { label: 'Sign in', url: facts.url },
        footer: UNASKED,
      }
    case 'invitation':
      return {
        subject: `You are invited to ${facts.workspace} on ${PRODUCT}`,
        paragraphs: [
          'Hello,',
          `${facts.inviter === '' ? 'You are invited' : `${facts.inviter} invites you`} to the workspace ${facts.workspace}, as ${facts.role === 'member' ? 'a' : 'an'} ${facts.role}. The link works once, for ${facts.days === 1 ? 'a day' : `${facts.days} days`}, and is for this address alone.`,
        ],
        action: { label: 'See the invitation', url: facts.url },
        footer:
          'If you do not know who this is from, you can leave it: nothing happens unless the invitation is accepted.',
      }
    case 'verify_email':
      return {
        subject: 'Confirm your e-mail address',
        paragraphs: [
          greeting(facts.name),
          `Confirm that this address is yours. The link works once, for ${duration(facts.minutes)}.`,
        ],
        action: { label: 'Confirm address', url: facts.url },
        footer: UNASKED,
      }
    case 'change_email':
      return {
        subject: 'Confirm your new e-mail address',
        paragraphs: [
          greeting(facts.name),
          `You asked to use this address for your account. The link works once, for ${duration(facts.minutes)}, while you are signed in.`,
        ],
        action: { label: 'Use this address', url: facts.url },
        footer: UNASKED,
      }
    case 'reset_password':
      return {
        subject: 'Set a new password',
        paragraphs: [
          greeting(facts.name),
          `Set a new password with this link. It works once, for ${duration(facts.minutes)}. Saving it signs you out everywhere and ends the sessions of your agents.`,
        ],
        action: { label: 'Set a new password', url: facts.url },
        footer: UNASKED,
      }
    case 'sign_up':
      return {
        subject: `Finish signing up for ${PRODUCT}`,
        paragraphs: [`Make your workspace with this link. It works once, for ${duration(facts.minutes)}.`],
        action: { label: 'Make a workspace', url: facts.url },
        footer: UNASKED,
      }
    case 'has_account':
      return {
        subject: `You have an account at ${PRODUCT} already`,
        paragraphs: [
          greeting(facts.name),
          'Somebody asked to sign up with this address. You have an account already, so there is nothing to sign up for.',
        ],
        action: { label: 'Sign in', url: facts.url },
        footer: 'If it was not you, you can leave this: nothing has changed.',
      }
    case 'password_changed':
      return {
        subject: 'Your password was changed',
        paragraphs: [
          greeting(facts.name),
          'The password of your account was changed. Your other sessions and those of your agents have ended. API keys still work; look through them on your account page.',
        ],
        action: { label: 'Your account', url: facts.url },
        footer: 'If it was not you, reset your password now and tell your administrator.',
      }
    case 'email_changed':
      return {
        subject: 'The e-mail address of your account was changed',
        paragraphs: [
          greeting(facts.name),
          `Your account now uses ${facts.newEmail}; this address no longer signs in. Your other sessions and those of your agents have ended.`,
        ],
        action: { label: PRODUCT, url: facts.url },
        footer: 'If it was not you, tell your administrator at once.',
      }
    case 'notice':
      return {
        subject: facts.title,
        paragraphs: [greeting(facts.name), facts.body],
        action: { label: facts.label, url: facts.url },
      }
    case 'connections': {
      const { items, more, workspace } = facts
      const total = items.length + more
      const [only] = items
      return {
        subject:
          total === 1 && only !== undefined
            ? only.title
            : `${total} connections need attention in ${oneLine(workspace)}`,
        paragraphs: [
          greeting(facts.name),
          total === 1
            ? `This happened in the workspace ${oneLine(workspace)}.`
            : `This happened to ${total} connections in the workspace ${oneLine(workspace)}.`,
        ],
        items,
        action: {
          label: more === 0 ? 'All notifications' : `All notifications, ${more} more among them`,
          url: facts.url,
        },
        footer: 'You get one mail for what happens within a few minutes, and at most a few an hour.',
      }
    }
  }
}

export function renderMail(content: MailContent): RenderedMail {
  const { action, footer, items = [] } = content
  const text = [
    ...content.paragraphs.map(oneLine),
    ...items.map(({ title, text, url }) => `* ${oneLine(title)}.\n  ${oneLine(text)}\n  ${url}`),
    ...(action === undefined ? [] : [`${oneLine(action.label)}:\n${action.url}`]),
    ...(footer === undefined ? [] : [oneLine(footer)]),
  ].join('\n\n')
  const html = [
    '<!doctype html><html lang="en"><body style="font:16px/1.5 system-ui,sans-serif;color:#1c1f24;max-width:36rem">',
    ...content.paragraphs.map((paragraph) => `<p>${escapeHtml(oneLine(paragraph))}</p>`),
    ...(items.length === 0 ? [] : ['<ul style="padding-left:1.25rem">', ...items.map(renderItem), '</ul>']),
    ...(action === undefined
      ? []
      : [
          `<p><a href="${escapeHtml(action.url)}">${escapeHtml(oneLine(action.label))}</a></p>`,
          `<p style="color:#5b6470;font-size:14px;word-break:break-all">${escapeHtml(action.url)}</p>`,
        ]),
    ...(footer === undefined ? [] : [`<p style="color:#5b6470;font-size:14px">${escapeHtml(oneLine(footer))}</p>`]),
    '</body></html>',
  ].join('\n')
  return { subject: headerText(content.subject), text: `${text}\n`, html }
}

const renderItem = ({ title, text, url }: MailItem) =>
  `<li style="margin-bottom:12px"><a href="${escapeHtml(url)}">${escapeHtml(oneLine(title))}</a><br>${escapeHtml(oneLine(text))}</li>`

const greeting = (name: string) => (oneLine(name) === '' ? 'Hello,' : `Hello ${oneLine(name)},`)

function duration(minutes: number): string {
  if (minutes >= 120) return `${Math.floor(minutes / 60)} hours`
  return minutes === 1 ? 'one minute' : `${minutes} minutes`
}

/** Control and direction characters become spaces: text of people stays one line of text. */
const oneLine = (text: string) => text.replace(/[\p{Cc}\p{Zl}\p{Zp}\u202a-\u202e\u2066-\u2069]+/gu, ' ').trim()

/** As a header takes it: one line, of bounded length. RFC 5322 §2.2. */
export const headerText = (text: string) => Array.from(oneLine(text)).slice(0, 150).join('')

const ESCAPES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
}
const escapeHtml = (text: string) => text.replace(/[&<>"']/g, (character) => ESCAPES[character] ?? '')
