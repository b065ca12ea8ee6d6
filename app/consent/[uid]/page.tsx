import type { Metadata } from 'next'

import { StepUpProvider } from '@/app/_client/step-up'
import { requireSignedIn } from '@/app/_data/session'
import { web } from '@/app/_data/web'
import { ConsentPage } from '@/app/consent/_components/consent-page'

export const metadata: Metadata = { title: 'Allow an application?' }
export const dynamic = 'force-dynamic'

/**
 * The question to a person before an application gets an agent. The pages' server knows nothing of the request: the
 * browser asks the gateway, which gives it to the browser it began in alone.
 */
export default async function Consent({ params }: { params: Promise<{ uid: string }> }) {
  const viewer = await requireSignedIn()
  const { uid } = await params
  return (
    <StepUpProvider>
      <ConsentPage
        uid={uid}
        isSandbox={web().config.sandbox}
        viewer={viewer === null ? undefined : { email: viewer.email, workspaceId: viewer.tenantId }}
      />
    </StepUpProvider>
  )
}
