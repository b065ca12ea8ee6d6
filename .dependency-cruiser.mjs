/** Lowest first. A module may import its own row and the rows above it in this list. */
const layers = [
  ['lib/(clock|config|errors|ids|log|secret)\\.ts$'],
  ['lib/(db|queue|egress)/'],
  ['lib/(audit|tenancy|identity|policy|providers)/'],
  ['lib/vault/'],
  ['lib/connections/'],
  ['lib/(refresh|notifications|doctor|oauth-server|sso)/'],
  ['lib/(broker|tools)/'],
  ['lib/mcp/'],
  ['app/', 'workers/', 'gateway/', 'cli/', 'wiring/'],
]

/** Each vendor is named in one place, so it can be read, faked and replaced there. */
const homes = {
  'openid-client': '^lib/providers/(oauth|issuer)\\.ts$',
  bullmq: '^(lib/queue/|workers/)',
  ioredis: '^lib/queue/',
  '@modelcontextprotocol': '^lib/mcp/',
  '@prisma': '^lib/db/',
  pg: '^(lib/db/|lib/audit/|lib/queue/)',
  undici: '^lib/egress/',
  'next-auth': '^(app/api/auth/|app/_data/|components/auth/|lib/identity/next-auth\\.ts$)',
  nodemailer: '^lib/notifications/',
  '@node-rs/argon2': '^lib/identity/password\\.ts$',
  'oidc-provider': '^lib/oauth-server/',
  '@simplewebauthn/server': '^lib/identity/',
  '@simplewebauthn/browser': '^app/_client/passkey\\.ts$',
  otpauth: '^lib/identity/totp\\.ts$',
  uqr: '^lib/identity/totp\\.ts$',
  jose: '^lib/(identity|providers|oauth-server)/',
  pino: '^lib/log\\.ts$',
  'prom-client': '^lib/metrics\\.ts$',
  emulate: '^sandbox/',
  aws4fetch: '^lib/audit/',
  '@aws-sdk': '^lib/vault/kek/aws-kms\\.ts$',
}

/** No rule is a warning: what is not worth failing for is not worth a rule. */
const severity = /** @type {const} */ ('error')

/** Names and signs of the providers: data that imports nothing, so that settings and pages may know it too. */
const faces = '^lib/providers/(face|catalog/faces|catalog/[^/]+/face)\\.ts$'

const tests = '\\.test\\.tsx?$|^lib/testing/|^e2e/|^bench/|/test-kit\\.ts$'

/** @type {import('dependency-cruiser').IConfiguration} */
export default {
  forbidden: [
    ...layers.slice(0, -1).map((own, rank) => ({
      name: `layer-${rank}-imports-upward`,
      severity,
      from: { path: own.map((path) => `^${path}`), pathNot: tests },
      to: {
        path: layers
          .slice(rank + 1)
          .flat()
          .map((path) => `^${path}`),
        pathNot: faces,
      },
    })),
    {
      name: 'no-cycles',
      severity,
      from: { pathNot: '^lib/db/internal/' },
      to: { circular: true, viaOnly: { dependencyTypesNot: ['type-only'] } },
    },
    {
      name: 'internal-is-internal',
      comment: 'x/internal/ is for files under x/ only.',
      severity,
      from: { path: '^(lib/[^/]+|app|workers|gateway|cli|components)/' },
      to: { path: '^lib/[^/]+/internal/', pathNot: '^$1/' },
    },
    {
      name: 'components-take-data-not-services',
      severity,
      from: { path: '^components/|/_components/' },
      to: { path: '^lib/', pathNot: faces, dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'credentials-open-in-one-place',
      comment: 'Only the broker, the refresh engine and the connection flows may open a credential.',
      severity,
      from: {
        pathNot: `^lib/(vault|broker|refresh|connections)/|^wiring/|${tests}`,
      },
      to: { path: '^lib/vault/credential\\.ts$', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'web-reaches-no-vault-and-no-queue',
      comment: 'A remote-code bug in the pages must find neither keys nor queue in its module graph.',
      severity,
      from: { path: '^(app|components)/|^proxy\\.ts$' },
      to: {
        path: '^(lib/(vault|queue|refresh|broker|connections|providers|egress|mcp)|wiring|gateway|workers)/',
        pathNot: faces,
        reachable: true,
      },
    },
    {
      name: 'product-does-not-know-the-sandbox',
      severity,
      from: { path: '^(lib|app|gateway|workers|cli|components|wiring)/', pathNot: tests },
      to: { path: '^sandbox/' },
    },
    {
      name: 'faces-are-data',
      comment: 'They are in every page and in every process.',
      severity,
      from: { path: faces },
      to: { pathNot: faces },
    },
    { name: 'testing-is-for-tests', severity, from: { pathNot: tests }, to: { path: '^lib/testing/' } },
    {
      name: 'pure-decision',
      severity,
      from: { path: '^lib/policy/decide\\.ts$' },
      to: { path: '^lib/(db|queue|egress)/|^node:' },
    },
    {
      name: 'pure-envelope',
      severity,
      from: { path: '^lib/vault/envelope\\.ts$' },
      to: { path: '^lib/(db|queue|egress)/|^node:(fs|net|http)' },
    },
    ...Object.entries(homes).map(([vendor, home]) => ({
      name: `one-home-for-${vendor.replace(/[^a-z0-9]+/g, '-')}`,
      severity,
      from: { path: '^(app|lib|gateway|workers|components|cli|wiring|sandbox)/', pathNot: `${home}|${tests}` },
      to: { path: `node_modules/${vendor}/` },
    })),
  ],
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    doNotFollow: { path: 'node_modules|^lib/db/internal/' },
    exclude: { path: '^(\\.next/|\\.build/)' },
    enhancedResolveOptions: { exportsFields: ['exports'], conditionNames: ['import', 'node', 'default', 'types'] },
  },
}
