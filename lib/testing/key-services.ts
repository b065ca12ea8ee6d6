/**
 * Key services on loopback, as strict as the real ones and with real cryptography behind them: AWS KMS in its own protocol
 * (JSON 1.1, as the AWS SDK speaks it) and the transit engine of HashiCorp Vault. Either can be unwell on demand.
 *
 * @see https://docs.aws.amazon.com/kms/latest/APIReference/CommonErrors.html
 * @see https://developer.hashicorp.com/vault/api-docs and /vault/api-docs/secret/transit
 * @module
 */
import { createCipheriv, createDecipheriv, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'

/** What the next request meets instead of an answer. */
export type Trouble =
  | { readonly status: number; readonly type?: string; readonly errors?: readonly string[]; readonly text?: string }
  | 'hang'
  | 'reset'

export interface KeyService {
  readonly url: string
  /** One for each request to come; the last one stays when `isLasting`. */
  trouble(troubles: readonly Trouble[], isLasting?: boolean): void
  /** What was asked, in order: `Encrypt`, `Decrypt`, `encrypt/app`, `auth/approle/login`, … */
  readonly asked: string[]
  close(): Promise<void>
}

interface Answer {
  readonly status: number
  readonly body: unknown
  readonly type?: string
}

async function serve(
  handle: (request: IncomingMessage, body: string, asked: string[]) => Answer,
  troubleAnswer: (trouble: Exclude<Trouble, string>) => Answer,
): Promise<KeyService> {
  let troubles: Trouble[] = []
  let isLasting = false
  const asked: string[] = []
  const respond = (response: ServerResponse, { status, body, type = 'application/json' }: Answer) => {
    response.writeHead(status, { 'content-type': type })
    response.end(typeof body === 'string' ? body : JSON.stringify(body))
  }
  const server = createServer((request, response) => {
    const chunks: Buffer[] = []
    request.on('data', (chunk: Buffer) => chunks.push(chunk))
    request.on('end', () => {
      const trouble = isLasting && troubles.length === 1 ? troubles[0] : troubles.shift()
      if (trouble === 'hang') {
        asked.push('hang')
        return
      }
      if (trouble === 'reset') {
        asked.push('reset')
        request.socket.destroy()
        return
      }
      if (trouble !== undefined) {
        asked.push(`trouble ${trouble.status}`)
        respond(response, troubleAnswer(trouble))
        return
      }
      respond(response, handle(request, Buffer.concat(chunks).toString('utf8'), asked))
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo // a TCP server has one
  return {
    url: `http://127.0.0.1:${port}`,
    asked,
    trouble(next, lasts = false) {
      troubles = [...next]
      isLasting = lasts
    },
    close: async () => {
      const closed = once(server, 'close')
      server.close()
      server.closeAllConnections()
      await closed
    },
  }
}

function sealBytes(key: Buffer, plain: Buffer, aad: string): Buffer {
  const nonce = randomBytes(12)
  const cipher = createCipheriv('aes-256-gcm', key, nonce)
  cipher.setAAD(Buffer.from(aad))
  return Buffer.concat([nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
}

function openBytes(key: Buffer, sealed: Buffer, aad: string): Buffer | undefined {
  if (sealed.length < 28) return undefined
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(0, 12), { authTagLength: 16 })
  decipher.setAAD(Buffer.from(aad))
  decipher.setAuthTag(sealed.subarray(-16))
  try {
    return Buffer.concat([decipher.update(sealed.subarray(12, -16)), decipher.final()])
  } catch {
    return undefined
  }
}

// ------------------------------------------------------------------------------------------------------------- KMS

export type KmsKeyState = 'Enabled' | 'Disabled' | 'PendingDeletion'

export interface KmsStandIn extends KeyService {
  /** Makes a key. @returns its ARN */
  createKey(): string
  setState(arn: string, state: KmsKeyState): void
  /** The encryption contexts it was given, as CloudTrail would show them. */
  readonly contexts: Record<string, string>[]
}

const REGION = 'eu-central-1'
const JSON_1_1 = 'application/x-amz-json-1.1'
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/

export async function createKmsStandIn(): Promise<KmsStandIn> {
  const keys = new Map<string, { readonly key: Buffer; state: KmsKeyState }>()
  const contexts: Record<string, string>[] = []
  const refuse = (type: string, message: string, status = 400): Answer => ({
    status,
    type: JSON_1_1,
    body: { __type: type, message },
  })

  const service = await serve(
    (request, body, asked) => {
      const { 'x-amz-target': target, 'content-type': type, authorization = '' } = request.headers
      if (request.method !== 'POST' || request.url !== '/' || type !== JSON_1_1)
        return refuse('UnknownOperationException', 'not a JSON 1.1 request')
      const scope = new RegExp(
        `^AWS4-HMAC-SHA256 Credential=AKIATEST/\\d{8}/${REGION}/kms/aws4_request, SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}$`,
      ).exec(authorization)
      const signed = scope?.[1]?.split(';') ?? []
      if (!['host', 'x-amz-date', 'x-amz-target'].every((name) => signed.includes(name)))
        return refuse('IncompleteSignatureException', 'not signed')
      const operation = /^TrentService\.(Encrypt|Decrypt)$/.exec(String(target))?.[1]
      if (operation === undefined) return refuse('UnknownOperationException', 'no such operation')
      asked.push(operation)
      const input = JSON.parse(body) as Record<string, unknown> // the SDK's own serialisation
      const { KeyId: arn, EncryptionContext: context = {} } = input
      if (typeof arn !== 'string') return refuse('ValidationException', 'KeyId is required here')
      const entry = keys.get(arn)
      if (entry === undefined) return refuse('NotFoundException', `Key '${arn}' does not exist`)
      if (entry.state === 'Disabled') return refuse('DisabledException', `${arn} is disabled.`)
      if (entry.state === 'PendingDeletion') return refuse('KMSInvalidStateException', `${arn} is pending deletion.`)
      contexts.push(context as Record<string, string>) // strings to strings, as sent
      const aad = JSON.stringify(Object.entries(context as object).sort())
      const field = operation === 'Encrypt' ? input['Plaintext'] : input['CiphertextBlob']
      if (typeof field !== 'string' || !BASE64.test(field)) return refuse('ValidationException', 'not base64')
      const bytes = Buffer.from(field, 'base64')
      if (operation === 'Encrypt') {
        if (bytes.length > 4_096) return refuse('ValidationException', 'Plaintext is longer than 4096 bytes')
        const name = Buffer.from(arn)
        const blob = Buffer.concat([Buffer.from([name.length]), name, sealBytes(entry.key, bytes, aad)])
        return {
          status: 200,
          type: JSON_1_1,
          body: { CiphertextBlob: blob.toString('base64'), EncryptionAlgorithm: 'SYMMETRIC_DEFAULT', KeyId: arn },
        }
      }
      const length = bytes[0] ?? 0
      const wrappedBy = bytes.toString('utf8', 1, 1 + length)
      if (!keys.has(wrappedBy)) return refuse('InvalidCiphertextException', '')
      if (wrappedBy !== arn)
        return refuse('IncorrectKeyException', 'The key ID in the request does not identify a CMK…')
      const plain = openBytes(entry.key, bytes.subarray(1 + length), aad)
      if (plain === undefined) return refuse('InvalidCiphertextException', '')
      return {
        status: 200,
        type: JSON_1_1,
        body: { EncryptionAlgorithm: 'SYMMETRIC_DEFAULT', KeyId: arn, Plaintext: plain.toString('base64') },
      }
    },
    ({ status, type = 'KMSInternalException', text }) =>
      text === undefined ? refuse(type, 'Rate exceeded', status) : { status, body: text, type: 'text/html' },
  )
  return {
    ...service,
    contexts,
    createKey() {
      const arn = `arn:aws:kms:${REGION}:111122223333:key/${randomUUID()}`
      keys.set(arn, { key: randomBytes(32), state: 'Enabled' })
      return arn
    },
    setState(arn, state) {
      const entry = keys.get(arn)
      if (entry !== undefined) entry.state = state
    },
  }
}

export const KMS_CREDENTIALS = { accessKeyId: 'AKIATEST', secretAccessKey: 'a secret of nobody' }

// --------------------------------------------------------------------------------------------------------- transit

export interface TransitStandIn extends KeyService {
  readonly tokens: Set<string>
  readonly roles: Map<string, string>
  createKey(name: string): void
  /** Versions below are refused, as after `min_decryption_version`. */
  setMinimum(name: string, version: number): void
  /** An old server: it ignores `associated_data`. */
  ignoreAssociatedData: boolean
  /** How long a login lasts, in seconds. */
  leaseSeconds: number
}

export async function createTransitStandIn(): Promise<TransitStandIn> {
  const keys = new Map<string, { versions: Buffer[]; minimum: number }>()
  const tokens = new Set<string>()
  const roles = new Map<string, string>()
  const errors = (status: number, ...messages: string[]): Answer => ({ status, body: { errors: messages } })
  const data = (value: Record<string, unknown> | null, auth: Record<string, unknown> | null = null): Answer => ({
    status: 200,
    body: {
      request_id: randomUUID(),
      lease_id: '',
      renewable: false,
      lease_duration: 0,
      data: value,
      wrap_info: null,
      warnings: null,
      auth,
      mount_type: auth === null ? 'transit' : '',
    },
  })

  const service = await serve(
    (request, body, asked) => {
      const url = request.url ?? ''
      if (!['POST', 'PUT'].includes(request.method ?? '')) return errors(405)
      if (request.headers['x-vault-request'] !== 'true') return errors(412, "missing 'X-Vault-Request' header")
      asked.push(url.replace(/^\/v1\/(transit\/)?/, ''))
      const input = JSON.parse(body) as Record<string, unknown> // strictness is below, field by field
      if (url === '/v1/auth/approle/login') {
        if (roles.get(String(input['role_id'])) !== input['secret_id']) return errors(400, 'invalid role or secret ID')
        const token = `hvs.${randomBytes(12).toString('hex')}`
        tokens.add(token)
        return data(null, {
          client_token: token,
          accessor: randomUUID(),
          policies: ['default', 'portcullis'],
          token_policies: ['default', 'portcullis'],
          metadata: { role_name: 'portcullis' },
          lease_duration: standIn.leaseSeconds,
          renewable: true,
          entity_id: randomUUID(),
          token_type: 'service',
          orphan: true,
        })
      }
      if (!tokens.has(String(request.headers['x-vault-token']))) return errors(403, 'permission denied')
      const rotation = /^\/v1\/transit\/keys\/([\w.-]+)\/rotate$/.exec(url)
      if (rotation !== null) {
        const entry = keys.get(rotation[1] ?? '')
        if (entry === undefined) return errors(400, 'no existing key named could be found')
        entry.versions.push(randomBytes(32))
        return data({ latest_version: entry.versions.length })
      }
      const [, operation, name = ''] = /^\/v1\/transit\/(encrypt|decrypt)\/([\w.-]+)$/.exec(url) ?? []
      if (operation === undefined) return errors(404)
      const entry = keys.get(name)
      if (entry === undefined) return errors(400, 'encryption key not found')
      const aad = input['associated_data'] ?? ''
      if (typeof aad !== 'string' || (aad !== '' && !BASE64.test(aad)))
        return errors(400, 'failed to base64-decode associated_data')
      const bound = standIn.ignoreAssociatedData ? '' : aad
      if (operation === 'encrypt') {
        const plain = input['plaintext']
        if (typeof plain !== 'string' || !BASE64.test(plain)) return errors(400, 'failed to base64-decode plaintext')
        const version = entry.versions.length
        const sealed = sealBytes(entry.versions[version - 1] ?? randomBytes(32), Buffer.from(plain, 'base64'), bound)
        return data({ ciphertext: `vault:v${version}:${sealed.toString('base64')}`, key_version: version })
      }
      const [, version = '0', sealed = ''] = /^vault:v(\d+):(.+)$/.exec(String(input['ciphertext'])) ?? []
      if (version === '0') return errors(400, 'invalid ciphertext: no prefix')
      if (Number(version) < entry.minimum)
        return errors(400, 'ciphertext or signature version is disallowed by policy (too old)')
      const key = entry.versions[Number(version) - 1]
      if (key === undefined) return errors(400, 'invalid ciphertext: version is too new')
      const plain = openBytes(key, Buffer.from(sealed, 'base64'), bound)
      return plain === undefined
        ? errors(400, 'invalid ciphertext: cipher: message authentication failed')
        : data({ plaintext: plain.toString('base64') })
    },
    ({ status, errors: messages = [], text }) =>
      text === undefined ? errors(status, ...messages) : { status, body: text, type: 'text/html' },
  )
  const standIn: TransitStandIn = {
    ...service,
    tokens,
    roles,
    ignoreAssociatedData: false,
    leaseSeconds: 3_600,
    createKey: (name) => void keys.set(name, { versions: [randomBytes(32)], minimum: 1 }),
    setMinimum(name, version) {
      const entry = keys.get(name)
      if (entry !== undefined) entry.minimum = version
    },
  }
  return standIn
}
