/**
 * Takes a person out of a workspace's trail. Their records stay, and stay verifiable: they name a pseudonym that nobody can
 * resolve any more, and of what was sealed in them only the digest is left.
 *
 * In this order, so that it can be repeated after a crash: first what was sealed, then who the pseudonym was.
 *
 * @module
 */
import type { AppDb } from '../../db/app-db'
import type { TenantId } from '../../ids'
import type { Audit } from '../audit'
import type { AuditActor, Subject } from '../record'

export interface ErasureReport {
  /** Records whose free fields were erased. */
  readonly records: number
  /** Calls whose arguments were erased. */
  readonly calls: number
  /** False when the trail did not know them. */
  readonly wasKnown: boolean
}

const BATCH = 1_000

export async function eraseSubject(
  deps: { readonly appDb: AppDb; readonly audit: Pick<Audit, 'never'> },
  tenantId: TenantId,
  subject: Subject,
  actor: AuditActor,
): Promise<ErasureReport> {
  const { appDb, audit } = deps
  const identity = await appDb.tenant(tenantId, (tx) =>
    tx.auditIdentity.findUnique({
      where: { tenantId_kind_subjectId: { tenantId, kind: subject.kind, subjectId: subject.id } },
    }),
  )
  if (identity === null) return { records: 0, calls: 0, wasKnown: false }
  const { pseudonym } = identity
  const calls = await untilFew(() =>
    appDb.tenant(
      tenantId,
      (tx) => tx.$executeRaw`
        DELETE FROM audit_arguments a WHERE a.tenant_id = ${tenantId} AND a.call_id IN (
          SELECT k.call_id FROM audit_arguments k
            JOIN audit_record r ON r.tenant_id = k.tenant_id AND r.call_id = k.call_id AND r.kind = 'intent'
           WHERE k.tenant_id = ${tenantId} AND r.actor_pseudonym = ${pseudonym} LIMIT ${BATCH})`,
    ),
  )
  const records = await untilFew(() =>
    appDb.tenant(tenantId, async (tx) => {
      const [row] = await tx.$queryRaw<{ n: number }[]>`
        SELECT audit_erase_fields(${tenantId}, ${pseudonym}, ${BATCH}::integer) AS n`
      return row?.n ?? 0
    }),
  )
  await appDb.tenant(tenantId, async (tx) => {
    await tx.auditIdentity.deleteMany({ where: { tenantId, pseudonym } })
    await audit.never(tx, {
      tenantId,
      action: 'audit.person_erased',
      actor,
      targetId: pseudonym,
      detail: { records, calls },
    })
  })
  return { records, calls, wasKnown: true }
}

async function untilFew(some: () => Promise<number>): Promise<number> {
  let sum = 0
  for (;;) {
    const now = await some()
    sum += now
    if (now < BATCH) return sum
  }
}
