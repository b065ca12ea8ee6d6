/**
 * Roles in order. Every role may do what the next one may, and the last changes nothing.
 *
 * @module
 */
import type { Role } from './principal'

export const ROLES = ['owner', 'admin', 'member', 'auditor'] as const satisfies readonly Role[]

/** The lesser of two roles: what a key may do when its maker may do less than the key says. */
export function lesserRole(a: Role, b: Role): Role {
  return ROLES.indexOf(a) >= ROLES.indexOf(b) ? a : b
}

/** True when whoever holds `own` may give `other` away, or take it: nobody reaches above themself. */
export function reaches(own: Role, other: Role): boolean {
  return ROLES.indexOf(own) <= ROLES.indexOf(other)
}

export function isRole(value: string): value is Role {
  return (ROLES as readonly string[]).includes(value) // widened: includes() would ask for a Role to begin with
}

/** A role read from our own database. An unknown word is the least of roles. */
export function parseRole(value: string): Role {
  return isRole(value) ? value : 'auditor'
}
