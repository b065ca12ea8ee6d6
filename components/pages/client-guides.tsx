'use client'

import { BookOpenCheck, ExternalLink, FlaskConical } from 'lucide-react'
import { useState } from 'react'

import { isPublic, serverName, WAYS, type ClientGuide, type Proof, type Way } from '@/components/clients/guide'
import { clientGuides } from '@/components/clients/guides'
import { Alert } from '@/components/ui/alert'
import { Badge } from '@/components/ui/badge'
import { CodeBlock } from '@/components/ui/code-block'
import { ChoiceList, ChoiceTrigger, Tabs, TabsContent } from '@/components/ui/tabs'

/** How each client is connected to this agent. Which one is shown stands in the address. */
export function ClientGuides({
  mcpUrl,
  agentName,
  client,
}: {
  mcpUrl: string
  agentName: string
  client?: string | undefined
}) {
  const guides = clientGuides({ mcpUrl, serverName: serverName(agentName) })
  const [shown, setShown] = useState(guides.find(({ id }) => id === client)?.id ?? 'claude-code')
  const show = (id: string) => {
    setShown(id)
    const address = new URL(window.location.href)
    address.searchParams.set('client', id)
    window.history.replaceState(null, '', address)
  }
  return (
    <Tabs value={shown} onValueChange={show}>
      <ChoiceList aria-label="Client">
        {guides.map(({ id, name }) => (
          <ChoiceTrigger key={id} value={id}>
            {name}
          </ChoiceTrigger>
        ))}
      </ChoiceList>
      {guides.map((guide) => (
        <TabsContent key={guide.id} value={guide.id} className="space-y-8">
          <Guide guide={guide} mcpUrl={mcpUrl} />
        </TabsContent>
      ))}
    </Tabs>
  )
}

function Guide({ guide, mcpUrl }: { guide: ClientGuide; mcpUrl: string }) {
  return (
    <>
      {guide.ways.map((way) => (
        <section key={way.kind} className="space-y-4" aria-label={`${guide.name}: ${WAYS[way.kind]}`}>
          <div className="flex flex-wrap items-center gap-x-3 gap-y-2">
            <h3 className="font-semibold">{WAYS[way.kind]}</h3>
            <ProofBadge proof={way.proof} />
          </div>
          <ProofNote proof={way.proof} name={guide.name} />
          {way.callsFrom === 'vendor' && !isPublic(mcpUrl) ? (
            <Alert tone="warning" title={`${guide.name} cannot reach this address`}>
              Its calls come from the vendor’s servers. They need an https address on the public internet; this one is
              for {new URL(mcpUrl).hostname} alone.
            </Alert>
          ) : null}
          <Steps way={way} name={guide.name} />
        </section>
      ))}
      {guide.notes.length === 0 ? null : (
        <ul className="list-disc space-y-1 pl-4 text-sm text-muted marker:text-line-strong">
          {guide.notes.map((note) => (
            <li key={note}>{note}</li>
          ))}
        </ul>
      )}
    </>
  )
}

function Steps({ way, name }: { way: Way; name: string }) {
  return (
    <ol className="space-y-4">
      {way.steps.map(({ text, snippet }, index) => (
        <li key={text} className="flex gap-3">
          <span
            aria-hidden
            className="grid size-6 shrink-0 place-items-center rounded-full bg-sunken text-xs font-medium text-muted tabular-nums"
          >
            {index + 1}
          </span>
          <div className="min-w-0 flex-1 space-y-2">
            <p className="text-sm leading-6">{text}</p>
            {snippet === undefined ? null : (
              <CodeBlock code={snippet.code} title={snippet.title} what={`${name}: ${snippet.title}`} />
            )}
          </div>
        </li>
      ))}
    </ol>
  )
}

function ProofBadge({ proof }: { proof: Proof }) {
  return proof.kind === 'run' ? (
    <Badge tone="success" icon={FlaskConical}>
      Tested with every release
    </Badge>
  ) : (
    <Badge icon={BookOpenCheck}>By the vendor’s documentation</Badge>
  )
}

function ProofNote({ proof, name }: { proof: Proof; name: string }) {
  if (proof.kind === 'run')
    return (
      <p className="text-sm wrap-anywhere text-muted">Our own tests run {proof.packages.join(' and ')} this way.</p>
    )
  return (
    <p className="text-sm text-muted">
      We have not run {name === 'Anything else' ? 'it' : name} this way ourselves.{' '}
      <a
        href={proof.url}
        rel="noreferrer"
        target="_blank"
        className="-my-2 inline-flex min-h-10 items-center gap-1 text-accent-ink underline-offset-2 hover:underline md:my-0 md:min-h-0"
      >
        What it is based on
        <ExternalLink aria-hidden className="size-3.5" />
      </a>
    </p>
  )
}
