/**
 * Which job does what. Each handler bears being run twice, at once or again: what it works on is claimed in the database.
 *
 * @module
 */
import path from 'node:path'

import { createVerifier } from '@/lib/audit/chain/verification'
import { createExportMaker, exportFolder } from '@/lib/audit/exports'
import { createTargetSender } from '@/lib/audit/stream-target'
import { createStreamSender, type StreamSender } from '@/lib/audit/streams'
import { reconcileChecks } from '@/lib/connections/check-reconcile'
import { createTcpEgress } from '@/lib/egress/tcp'
import { createDigests } from '@/lib/notifications/digest'
import { createMailer, type Mailer } from '@/lib/notifications/mail'
import { createFileTransport, createSmtpTransport } from '@/lib/notifications/transport'
import { createConnectionWatch } from '@/lib/notifications/watch'
import { createWebhookBatches } from '@/lib/notifications/webhook-batch'
import { createWebhookSender } from '@/lib/notifications/webhook-sender'
import { signWebhook } from '@/lib/notifications/webhook-signature'
import { brand } from '@/lib/ids'
import type { JobPayload } from '@/lib/queue/catalog'
import { createQueue, type JobQueue } from '@/lib/queue/queue'
import type { JobHandlers } from '@/lib/queue/workers'
import { forgetAttempts } from '@/lib/sso/attempts'
import { recheckDomains } from '@/lib/sso/domains'
import { createTxtLookup } from '@/lib/sso/txt'
import { checkpointFolder, createAuditChain } from '@/wiring/audit-chain'
import { createConnectionFlows } from '@/wiring/connections'
import type { Core } from '@/wiring/core'
import { webhookKeys } from '@/wiring/notifications'

import { createChainAudit } from './chain-audit'
import { createDrainAudit } from './drain-audit'
import { createReconcileCalls } from './reconcile-calls'
import { createRefreshDue } from './refresh-due'
import { createRetention } from './retention'

const SCAN = 200

export interface WorkerDeps {
  readonly queue: JobQueue
  readonly handlers: JobHandlers
  /** Before the jobs under way are waited for: none of them begins anything new. */
  stop(): Promise<void>
  close(): Promise<void>
}

export function createWorkerDeps(core: Core): WorkerDeps {
  const { appDb, audit, clock, config, log } = core
  const queue = createQueue({ config, log })
  const mailer = createWorkerMailer(core)
  const watch = createConnectionWatch({ appDb, log })
  const digests = createDigests({ appDb })
  const retention = createRetention({ appDb, log })
  const refreshDue = createRefreshDue(core)
  const chain = openOnce(async () => {
    const opened = await createAuditChain(core)
    const { store, keys } = opened
    return { ...opened, verifier: createVerifier({ appDb, audit, store, keys, folder: checkpointFolder(config), log }) }
  })

  /** What needs no credential. Runs without keys too. */
  const always: JobHandlers = {
    sendMail: async ({ mailId }) => {
      await mailer.send(mailId)
    },
    findMail: singly(async () => {
      for (const mailId of await mailer.due(SCAN)) await queue.enqueue('sendMail', { mailId })
    }),
    tellPeople: singly(async () => {
      await watch.scan()
      for (const mailId of await digests.queueDue()) await queue.enqueue('sendMail', { mailId })
    }),
    drainAudit: singly(createDrainAudit({ audit, log })),
    chainAudit: singly(createChainAudit({ chain: chain.open, clock, log })),
    reconcileCalls: singly(
      createReconcileCalls({ audit, clock, checks: (options) => reconcileChecks({ appDb, audit, log }, options) }),
    ),
    tendSignIn: singly(async () => {
      await recheckDomains({ appDb, events: audit, lookupTxt: createTxtLookup() })
      await forgetAttempts(appDb)
    }),
    // One at a time in a process: what waits is found again, and other work has its turn.
    verifyTrail: singly(async ({ tenantId }: JobPayload<'verifyTrail'>) => {
      await (await chain.open()).verifier.verify(brand<'tenant'>(tenantId))
    }),
    findVerifications: singly(async () => {
      for (const tenantId of await (await chain.open()).verifier.due(SCAN))
        await queue.enqueue('verifyTrail', { tenantId })
    }),
    retention: singly(async () => {
      await retention()
      await (await chain.open()).removeOld()
    }),
  }

  return {
    queue,
    handlers: { ...always, ...whileReady(core, credentialHandlers(core, queue, refreshDue)) },
    stop: async () => {
      await Promise.all([refreshDue.stop(), chain.opened()?.then((one) => one?.verifier.stop())])
    },
    close: async () => {
      mailer.close()
      await queue.close()
      await chain.close()
    },
  }
}

/** Without keys these jobs do nothing; what they would do is found again by their scans. */
function whileReady(core: Core, handlers: JobHandlers): JobHandlers {
  const guarded = Object.entries(handlers).map(([name, handler]) => [
    name,
    async (payload: never) => {
      if (core.notReady === undefined) await handler(payload)
    },
  ])
  return Object.fromEntries(guarded) as JobHandlers // the same names with the same payloads
}

/** What opens credentials. */
function credentialHandlers(core: Core, queue: JobQueue, refreshDue: ReturnType<typeof createRefreshDue>): JobHandlers {
  const { log, refresher } = core
  const connections = createConnectionFlows(core, queue)
  const { appDb, audit: events, clock, config, egress } = core
  const batches = createWebhookBatches({ appDb, publicUrl: config.publicUrl })
  const exports = createExportMaker({ appDb, audit: events, folder: exportFolder(config.dataDir), clock, log })
  const streams = createAuditStreamSender(core)
  const webhooks = createWebhookSender({ appDb, egress, keys: webhookKeys(core.keys), events, clock, log })
  return {
    makeExport: async ({ tenantId, exportId }) => {
      await exports.make(brand<'tenant'>(tenantId), exportId)
    },
    findExports: singly(async () => {
      await exports.expire(SCAN)
      for (const { tenantId, exportId } of await exports.due(SCAN))
        await queue.enqueue('makeExport', { tenantId, exportId })
    }),
    streamAudit: async ({ tenantId, streamId }) => {
      await streams.send(brand<'tenant'>(tenantId), streamId)
    },
    findStreams: singly(async () => {
      for (const { tenantId, streamId } of await streams.due(SCAN))
        await queue.enqueue('streamAudit', { tenantId, streamId })
    }),
    deliverWebhook: async ({ tenantId, deliveryId }) => {
      await webhooks.send(brand<'tenant'>(tenantId), deliveryId)
    },
    findWebhooks: singly(async () => {
      await batches.makeDue()
      for (const { tenantId, deliveryId } of await webhooks.due(SCAN))
        await queue.enqueue('deliverWebhook', { tenantId, deliveryId })
    }),
    refreshDue: refreshDue.handlers.refreshDue,
    tendApps: singly(refreshDue.handlers.tendApps),
    recoverAttempts: singly(async () => {
      const { replayed, recovered } = await refresher.recoverAbandoned()
      if (replayed + recovered > 0) log.info({ replayed, recovered }, 'refreshes of lost processes were taken over')
    }),
    revokeGrant: async ({ tenantId, revocationId }) => {
      await connections.revoke(brand<'tenant'>(tenantId), revocationId)
    },
    findRevocations: singly(async () => {
      for (const { tenantId, revocationId } of await connections.due(SCAN))
        await queue.enqueue('revokeGrant', { tenantId, revocationId })
    }),
    purgeWorkspaces: singly(async () => {
      const { purged, waiting } = await connections.purge()
      if (purged + waiting > 0) log.info({ purged, waiting }, 'deleted workspaces were destroyed')
    }),
    sweepConnections: singly(async () => {
      const report = await connections.sweep()
      if (Object.values(report).some((n: number) => n > 0)) log.info({ ...report }, 'connections were repaired')
    }),
  }
}

function createAuditStreamSender({ appDb, audit, clock, config, egress, log }: Core): StreamSender {
  const send = createTargetSender({
    egress,
    tcp: createTcpEgress({ ...config.egress, production: config.production }),
    sign: signWebhook,
    hostname: new URL(config.publicUrl).hostname,
  })
  return createStreamSender({ appDb, audit, send, clock, log })
}

function createWorkerMailer({ appDb, config, log }: Core): Mailer {
  const { url, from } = config.smtp
  const transport =
    url !== undefined
      ? createSmtpTransport({ url, from })
      : createFileTransport({
          dir: path.join(config.dataDir, 'mail'),
          from,
          // Without a mail server whoever tries the product must be told where their link is; in production nobody is.
          onWritten: (file) => {
            if (config.publicUrlIsLoopback) process.stdout.write(`Mail: ${file}\n`)
          },
        })
  return createMailer({ appDb, transport, publicUrl: config.publicUrl, log })
}

/** Opened by the first job that needs it; what fails, such as a key that cannot be read, is tried again by the next. */
function openOnce<T extends { close(): Promise<void> }>(create: () => Promise<T>) {
  let opened: Promise<T> | undefined
  return {
    open: (): Promise<T> => {
      const opening = (opened ??= create())
      opening.catch(() => {
        if (opened === opening) opened = undefined
      })
      return opening
    },
    opened: () => opened?.catch(() => undefined),
    close: async (): Promise<void> => {
      await (await opened?.catch(() => undefined))?.close()
    },
  }
}

/** A scan that takes longer than its interval is not run beside itself. */
function singly<T extends readonly unknown[]>(scan: (...given: T) => Promise<void>): (...given: T) => Promise<void> {
  let isRunning = false
  return async (...given) => {
    if (isRunning) return
    isRunning = true
    try {
      await scan(...given)
    } finally {
      isRunning = false
    }
  }
}
