import type { Metadata, Viewport } from 'next'
import { cookies, headers } from 'next/headers'
import type { ReactNode } from 'react'

import './globals.css'
import { Providers } from '@/components/providers'
import { isTheme, themeCookie } from '@/components/theme'
import { systemClock } from '@/lib/clock'

export const metadata: Metadata = {
  title: { default: 'Portcullis', template: '%s · Portcullis' },
  description: 'One gate between AI agents and the accounts they use.',
  icons: { icon: '/icon.svg' },
  robots: { index: false, follow: false },
  referrer: 'same-origin',
}

export const viewport: Viewport = {
  width: 'device-width',
  initialScale: 1,
  viewportFit: 'cover',
  themeColor: [
    { media: '(prefers-color-scheme: light)', color: '#f5f6f8' },
    { media: '(prefers-color-scheme: dark)', color: '#0b0e13' },
  ],
}

/** The theme is in the first byte; reading the request also keeps every page dynamic, which the nonce needs. */
export default async function RootLayout({ children }: { children: ReactNode }) {
  const theme = (await cookies()).get(themeCookie)?.value
  const nonce = (await headers()).get('x-nonce') ?? undefined
  return (
    <html lang="en" {...(isTheme(theme) && theme !== 'system' ? { 'data-theme': theme } : {})}>
      <body>
        <Providers nonce={nonce} initialNow={systemClock.now().getTime()}>
          {children}
        </Providers>
      </body>
    </html>
  )
}
