import { webcrypto } from 'node:crypto'

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'

import { open, seal, type NamedKey, type Place } from './envelope'
import vectors from './envelope.vectors.json' with { type: 'json' }

const key: NamedKey = { id: 'vault/1', key: Buffer.alloc(32, 7) }
const place: Place = { tenantId: 'ten_a', connectionId: 'con_a', field: 'access_token', generation: 3 }
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex')

describe('committed vectors', () => {
  it.each(vectors)('opens what earlier versions sealed: $name', (vector) => {
    const opened = open(
      { id: vector.keyId, key: Buffer.from(vector.key, 'hex') },
      Buffer.from(vector.sealed, 'hex'),
      vector.place,
    )
    expect(hex(opened)).toBe(vector.plaintext)
  })

  it.each(vectors)('is the format it says it is, computed by another implementation: $name', async (vector) => {
    const sealed = Buffer.from(vector.sealed, 'hex')
    const id = Buffer.from(vector.keyId)
    const nonce = sealed.subarray(5 + id.length + 32, 5 + id.length + 44)
    const { tenantId, connectionId, field, generation } = vector.place
    const data = Buffer.from(JSON.stringify([1, tenantId, connectionId, field, generation, vector.keyId]))
    const { subtle } = webcrypto
    const info = await subtle.digest('SHA-256', Buffer.concat([Buffer.from('portcullis envelope 1'), data]))
    const base = await subtle.importKey('raw', Buffer.from(vector.key, 'hex'), 'HKDF', false, ['deriveBits'])
    const bits = Buffer.from(await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: nonce, info }, base, 512))
    const messageKey = await subtle.importKey('raw', bits.subarray(0, 32), 'AES-GCM', false, ['encrypt'])
    const parameters = { name: 'AES-GCM', iv: nonce, additionalData: data, tagLength: 128 }
    const body = await subtle.encrypt(parameters, messageKey, Buffer.from(vector.plaintext, 'hex'))
    const expected = [Buffer.from('PCE'), Buffer.from([1, id.length]), id, bits.subarray(32), nonce, Buffer.from(body)]
    expect(hex(sealed)).toBe(hex(Buffer.concat(expected)))
  })
})

describe('a sealed value', () => {
  it('opens to exactly the bytes that were sealed, whatever they are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 9_000 }), fc.string(), fc.nat(), (plain, field, generation) => {
        const there = { ...place, field, generation }
        expect(hex(open(key, seal(key, plain, there), there))).toBe(hex(plain))
      }),
      { numRuns: 60 },
    )
  })

  it('is refused when any single bit of it is flipped', () => {
    const sealed = seal(key, Buffer.from('secret'), place)
    for (let bit = 0; bit < sealed.length * 8; bit += 1) {
      const altered = Buffer.from(sealed)
      altered[bit >> 3]! ^= 1 << (bit & 7)
      expect(() => open(key, altered, place), `bit ${bit}`).toThrow(
        expect.objectContaining({ code: 'vault.unreadable' }),
      )
    }
  })

  it('is refused at every shorter and any longer length: no short tag, no empty value', () => {
    const sealed = seal(key, Buffer.from('secret'), place)
    for (let length = 0; length < sealed.length; length += 1)
      expect(() => open(key, sealed.subarray(0, length), place), `${length} bytes`).toThrow(
        expect.objectContaining({ code: 'vault.unreadable' }),
      )
    expect(() => open(key, Buffer.concat([sealed, Buffer.alloc(1)]), place)).toThrow()
  })

  it.each([
    { tenantId: 'ten_b' },
    { connectionId: 'con_b' },
    { field: 'refresh_token' },
    { generation: 2 },
    // Moving a separator between two fields must not make the same place.
    { tenantId: 'ten_a","con_a', connectionId: '' },
  ])('is refused in another place: %j', (other) => {
    const sealed = seal(key, Buffer.from('secret'), place)
    expect(() => open(key, sealed, { ...place, ...other })).toThrow(
      expect.objectContaining({ code: 'vault.unreadable' }),
    )
  })

  it('belongs to one place only: no two different places share an envelope', () => {
    const places = fc.record({
      tenantId: fc.string(),
      connectionId: fc.string(),
      field: fc.string(),
      generation: fc.nat(),
    })
    fc.assert(
      fc.property(places, places, (a, b) => {
        fc.pre(JSON.stringify(a) !== JSON.stringify(b))
        expect(() => open(key, seal(key, Buffer.from('x'), a), b)).toThrow()
      }),
      { numRuns: 100 },
    )
  })

  it('is refused under another key and under another name of the same key', () => {
    const sealed = seal(key, Buffer.from('secret'), place)
    expect(() => open({ ...key, key: Buffer.alloc(32, 8) }, sealed, place)).toThrow()
    expect(() => open({ ...key, id: 'vault/2' }, sealed, place)).toThrow()
  })

  it('never repeats a nonce or a ciphertext for the same value', () => {
    const seen = new Set(Array.from({ length: 500 }, () => hex(seal(key, Buffer.from('x'), place))))
    expect(seen.size).toBe(500)
  })

  it('that was made to open under two keys is refused: the header commits to one', () => {
    // GCM itself would accept this: commitment and body of two keys, put together.
    const other: NamedKey = { ...key, key: Buffer.alloc(32, 9) }
    const [ours, theirs] = [
      seal(key, Buffer.from('same length'), place),
      seal(other, Buffer.from('same length'), place),
    ]
    const commitmentEnd = 5 + key.id.length + 32
    const mixed = Buffer.concat([theirs.subarray(0, commitmentEnd), ours.subarray(commitmentEnd)])
    expect(() => open(key, mixed, place)).toThrow(expect.objectContaining({ code: 'vault.unreadable' }))
    expect(() => open(other, mixed, place)).toThrow(expect.objectContaining({ code: 'vault.unreadable' }))
  })

  it('needs a key of 256 bits', () => {
    expect(() => seal({ id: 'k', key: Buffer.alloc(16) }, Buffer.from('x'), place)).toThrow(
      expect.objectContaining({ code: 'vault.key_unavailable' }),
    )
  })
})
