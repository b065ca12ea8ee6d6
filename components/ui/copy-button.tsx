'use client'

import { Check, Copy } from 'lucide-react'
import { useEffect, useState } from 'react'

import { Button, IconButton } from '@/components/ui/button'
import type { ButtonProps } from '@/components/ui/button'

type CopyState = 'idle' | 'copied' | 'refused'

/**
 * Copies a text. Where the browser refuses the clipboard (plain http on another host, a denied permission) it says so
 * instead of pretending.
 *
 * @param what  names the thing for screen readers: “Copy agent URL”
 */
export function CopyButton({
  text,
  what,
  label,
  onCopied,
  variant,
  className,
}: {
  text: string
  what: string
  /** Visible label; without it the button is an icon. */
  label?: string
  onCopied?: () => void
  variant?: ButtonProps['variant']
  className?: string
}) {
  const [state, setState] = useState<CopyState>('idle')
  useEffect(() => {
    if (state === 'idle') return undefined
    const timer = setTimeout(() => setState('idle'), 2500)
    return () => clearTimeout(timer)
  }, [state])

  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text)
      setState('copied')
      onCopied?.()
    } catch {
      setState('refused')
    }
  }
  const icon = state === 'copied' ? <Check aria-hidden className="text-success" /> : <Copy aria-hidden />
  const notice =
    state === 'copied' ? `${what} copied` : state === 'refused' ? 'Select the text and copy it by hand' : ''
  return (
    <>
      {label === undefined ? (
        <IconButton
          label={notice === '' ? `Copy ${what}` : notice}
          className={className}
          {...(variant === undefined ? {} : { variant })}
          onClick={() => void copy()}
        >
          {icon}
        </IconButton>
      ) : (
        <Button className={className} {...(variant === undefined ? {} : { variant })} onClick={() => void copy()}>
          {icon} {state === 'copied' ? 'Copied' : state === 'refused' ? 'Copy by hand' : label}
        </Button>
      )}
      <span role="status" className="sr-only">
        {notice}
      </span>
    </>
  )
}
