'use client'

import Link from 'next/link'
import { useEffect, useRef, useState } from 'react'

import { redeemTicket } from '@/app/(auth)/_components/finish-sign-in'
import { Alert } from '@/components/ui/alert'

/** Back from elsewhere: the ticket that the gateway just set becomes the session, then on to the page that was wanted. */
export function FinishElsewhere({ next }: { next: string }) {
  const [hasFailed, setHasFailed] = useState(false)
  const hasBegun = useRef(false)
  useEffect(() => {
    // A ticket is redeemed once; effects run twice in development.
    if (hasBegun.current) return
    hasBegun.current = true
    redeemTicket()
      .then((isSignedIn) => {
        if (isSignedIn) window.location.replace(next)
        else setHasFailed(true)
      })
      .catch(() => setHasFailed(true))
  }, [next])

  if (!hasFailed)
    return (
      <p role="status" className="text-muted">
        One moment…
      </p>
    )
  return (
    <div className="space-y-4">
      <Alert
        tone="danger"
        title="This browser did not keep the sign-in, or a minute has passed. Allow cookies for this page, then try again."
      />
      <Link href="/login" className="link">
        Back to signing in
      </Link>
    </div>
  )
}
