'use client'

import './globals.css'

/** Stands in for the root layout itself, so it uses none of its providers. */
export default function GlobalError({ error }: { error: Error & { digest?: string } }) {
  return (
    <html lang="en">
      <body>
        <title>Portcullis cannot show this page</title>
        <main className="flex min-h-dvh flex-col items-center justify-center px-6 text-center">
          <h1 className="text-xl font-semibold">Portcullis cannot show this page</h1>
          <p className="mt-1 max-w-md text-muted">
            Nothing was changed. Load the page again; if it stays like this, tell whoever runs this server.
          </p>
          {error.digest === undefined ? null : (
            <p className="mt-4 text-xs text-muted">
              Reference <code className="font-mono">{error.digest}</code>
            </p>
          )}
          {/* A full page load on purpose: the client router may be what failed. */}
          <a
            href=""
            className="mt-6 inline-flex h-10 items-center rounded-md bg-accent px-4 font-medium text-on-accent"
          >
            Load again
          </a>
        </main>
      </body>
    </html>
  )
}
