'use client'

import Link from 'next/link'
import { useEffect, useState } from 'react'

import { items, load } from '@/app/_client/load'
import { text } from '@/app/_client/request'
import { beginElsewhere } from '@/app/_client/sign-in-elsewhere'
import { Alert } from '@/components/ui/alert'
import { Button } from '@/components/ui/button'
import { ProviderMark } from '@/components/ui/provider-mark'
import { useAction } from '@/components/use-action'

interface Provider {
  readonly name: string
  readonly displayName: string
}

/** The other ways in, below the form: single sign-on always, Google and GitHub where they are set up. */
export function Elsewhere({ next }: { next: string | undefined }) {
  const [providers, setProviders] = useState<readonly Provider[]>([])
  const wanted = next === undefined ? {} : { next }
  const start = useAction((name: string) => beginElsewhere(`/signin/with/${name}`, wanted))
  useEffect(() => {
    const controller = new AbortController()
    load(
      '/signin/available',
      (body) => items(body, (one) => ({ name: text(one, 'name'), displayName: text(one, 'displayName') })),
      controller.signal,
    )
      .then((result) => {
        if (result.ok) setProviders(result.value)
      })
      // Without the list the page lacks a convenience, not its purpose.
      .catch(() => undefined)
    return () => controller.abort()
  }, [])

  return (
    <div className="mt-4 space-y-2 border-t border-line pt-4">
      {start.error === undefined ? null : <Alert tone="danger" title={start.error.message} />}
      {providers.map(({ name, displayName }) => (
        <Button key={name} size="lg" block pending={start.pending} onClick={() => void start.run(name)}>
          <ProviderMark provider={name} className="size-6 border-0 bg-transparent" /> Sign in with {displayName}
        </Button>
      ))}
      <p className="text-center text-sm">
        <Link
          href={next === undefined ? '/login/sso' : `/login/sso?${new URLSearchParams({ next }).toString()}`}
          className="link"
        >
          Use single sign-on
        </Link>
      </p>
    </div>
  )
}
