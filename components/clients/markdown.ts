/**
 * The guides as docs/clients.md.
 *
 * @module
 */
import { WAYS, type ClientGuide, type Proof, type Way } from '@/components/clients/guide'

const INTRODUCTION = `# Connecting a client

Every agent has one URL. A client that can sign in needs nothing else: it is sent to a browser, a person reads what is
asked for and approves, and the client gets tokens that last minutes and are renewed. Clients that cannot sign in send a
session key in the \`Authorization\` header; a person with the right to makes one on the agent's page, and it is shown once.

The agent's page in the dashboard has all of this with the agent's own URL filled in, and its _Doctor_ tab shows what a
client that does not get through has sent and was told. Below, \`https://portcullis.example.com/mcp/agt_…\` stands for that URL.

Each way says where its words come from. _Run here_ means that this repository's tests start that client, in that version,
this way. _Vendor's documentation_ means that they do not: menus move, so follow the link when something is not where this
page says.`

export function guidesAsMarkdown(guides: readonly ClientGuide[]): string {
  return `${[INTRODUCTION, ...guides.map(guideText)].join('\n\n')}\n`
}

function guideText({ name, ways, notes }: ClientGuide): string {
  return [`## ${name}`, ...ways.map(wayText), notes.map((note) => `- ${note}`).join('\n')]
    .filter((part) => part !== '')
    .join('\n\n')
}

function wayText({ kind, callsFrom, proof, steps }: Way): string {
  const lines = steps.map(({ text, snippet }, index) => {
    const block = snippet === undefined ? '' : `\n\n${indented(fenced(snippet))}`
    return `${index + 1}. ${text}${block}`
  })
  const reach =
    callsFrom === 'vendor'
      ? ['Calls come from the vendor’s servers, so the URL must be one of public https, not of your own network.']
      : []
  return [`### ${WAYS[kind]}`, proofText(proof), ...reach, lines.join('\n\n')].join('\n\n')
}

function proofText(proof: Proof): string {
  return proof.kind === 'run'
    ? `_Run here:_ ${proof.packages.map((one) => `\`${one}\``).join(', ')}, in \`${proof.test}\`.`
    : `_Vendor’s documentation_, not run here: <${proof.url}>`
}

const fenced = ({ title, language, code }: { title: string; language: string; code: string }) =>
  `${title}:\n\n\`\`\`${language}\n${code}\n\`\`\``

const indented = (text: string) => text.replace(/^(?=.)/gm, '   ')
