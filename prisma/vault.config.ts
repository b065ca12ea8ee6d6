import { defineConfig } from 'prisma/config'

export default defineConfig({ schema: 'vault/schema.prisma', migrations: { path: 'vault/migrations' } })
