import { defineConfig } from 'prisma/config'

export default defineConfig({ schema: 'app/schema.prisma', migrations: { path: 'app/migrations' } })
