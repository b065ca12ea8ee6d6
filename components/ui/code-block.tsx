import { cn } from '@/components/cn'
import { CopyButton } from '@/components/ui/copy-button'

/** Text to be copied as it stands: a command, a file, a URL. Scrolls inside itself, never the page. */
export function CodeBlock({
  code,
  what,
  title,
  isWrapping = false,
  className,
}: {
  code: string
  /** Names the content for screen readers and for the copy button: “Cursor configuration”. */
  what: string
  /** Shown above, usually a file name. */
  title?: string
  isWrapping?: boolean
  className?: string
}) {
  return (
    <figure className={cn('overflow-hidden rounded-lg border border-line bg-sunken', className)}>
      {title === undefined ? null : (
        <figcaption className="flex items-center justify-between gap-2 border-b border-line py-1 pr-1 pl-4 text-xs font-medium text-muted">
          <span className="min-w-0 truncate font-mono">{title}</span>
          <CopyButton text={code} what={what} />
        </figcaption>
      )}
      <div className="flex items-start">
        <pre
          tabIndex={isWrapping ? undefined : 0}
          aria-label={what}
          role={isWrapping ? undefined : 'region'}
          className={cn(
            'min-w-0 flex-1 px-4 py-3 font-mono text-[0.8125rem] leading-relaxed focus-visible:-outline-offset-2',
            isWrapping ? 'break-all whitespace-pre-wrap' : 'overflow-x-auto',
          )}
        >
          <code>{code}</code>
        </pre>
        {title === undefined ? <CopyButton text={code} what={what} className="m-1 shrink-0" /> : null}
      </div>
    </figure>
  )
}
