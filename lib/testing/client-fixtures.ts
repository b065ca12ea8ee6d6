/**
 * What clients that people use say about themselves, as far as their vendors' documentation and public reports tell:
 * the members that decide whether they can connect. None of these was obtained by running the client.
 *
 * @module
 */
export interface DocumentFixture {
  readonly name: string
  readonly url: string
  readonly document: Readonly<Record<string, unknown>>
  /** The address such a client comes back to. */
  readonly redirectUri: string
  readonly scope?: string
  readonly hasKey?: true
}

export interface RegistrationFixture {
  readonly name: string
  readonly metadata: Readonly<Record<string, unknown>>
  readonly redirectUri: string
  readonly scope?: string
}

const at = (url: string, document: object) => ({ url, document: { client_id: url, ...document } })

export const DOCUMENTS: readonly DocumentFixture[] = [
  {
    name: 'ChatGPT',
    ...at('https://chatgpt.com/oauth/client.json', {
      client_name: 'ChatGPT',
      client_uri: 'https://chatgpt.com',
      logo_uri: 'https://chatgpt.com/logo.png',
      redirect_uris: ['https://chatgpt.com/connector_platform_oauth_redirect'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
      token_endpoint_auth_signing_alg_values_supported: ['RS256'],
      jwks_uri: 'https://chatgpt.com/oauth/jwks.json',
    }),
    redirectUri: 'https://chatgpt.com/connector_platform_oauth_redirect',
    hasKey: true,
  },
  {
    name: 'ChatGPT, a connector of its own',
    ...at('https://chatgpt.com/oauth/cb_1234/client.json', {
      client_name: 'ChatGPT',
      redirect_uris: ['https://chatgpt.com/connector/oauth/cb_1234'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_methods_supported: ['private_key_jwt', 'none'],
      jwks_uri: 'https://chatgpt.com/oauth/jwks.json',
    }),
    redirectUri: 'https://chatgpt.com/connector/oauth/cb_1234',
    hasKey: true,
  },
  {
    name: 'Codex',
    ...at('https://chatgpt.com/oauth/codex/client.json', {
      client_name: 'Codex',
      redirect_uris: ['http://127.0.0.1/callback', 'http://localhost/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }),
    redirectUri: 'http://127.0.0.1:1455/callback',
  },
  {
    name: 'Claude',
    ...at('https://claude.ai/oauth/mcp-oauth-client-metadata', {
      client_name: 'Claude',
      client_uri: 'https://claude.ai',
      redirect_uris: ['https://claude.ai/api/mcp/auth_callback', 'https://claude.com/api/mcp/auth_callback'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:jwt-bearer'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }),
    redirectUri: 'https://claude.ai/api/mcp/auth_callback',
    scope: 'mcp:read mcp:write offline_access',
  },
  {
    name: 'Claude Code',
    ...at('https://claude.ai/oauth/claude-code-client-metadata', {
      client_name: 'Claude Code',
      redirect_uris: ['http://localhost/callback', 'http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }),
    redirectUri: 'http://localhost:54321/callback',
    scope: 'mcp:read mcp:write offline_access',
  },
  {
    name: 'VS Code',
    ...at('https://vscode.dev/oauth/client-metadata.json', {
      client_name: 'Visual Studio Code',
      client_uri: 'https://code.visualstudio.com',
      redirect_uris: ['http://127.0.0.1:33418', 'http://127.0.0.1:33418/', 'https://vscode.dev/redirect'],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }),
    redirectUri: 'http://127.0.0.1:50123/',
    scope: 'mcp:read mcp:write offline_access',
  },
  {
    name: 'Zed',
    ...at('https://zed.dev/oauth/client-metadata.json', {
      client_name: 'Zed',
      redirect_uris: ['http://127.0.0.1/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    }),
    redirectUri: 'http://127.0.0.1:49152/callback',
  },
]

export const REGISTRATIONS: readonly RegistrationFixture[] = [
  {
    name: 'Cursor',
    metadata: {
      client_name: 'Cursor',
      redirect_uris: [
        'cursor://anysphere.cursor-mcp/oauth/callback',
        'https://www.cursor.com/agents/mcp/oauth/callback',
        'http://localhost:8787/callback',
      ],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    redirectUri: 'cursor://anysphere.cursor-mcp/oauth/callback',
  },
  {
    name: 'Claude Code',
    metadata: {
      client_name: 'Claude Code (portcullis)',
      redirect_uris: ['http://localhost:3118/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    redirectUri: 'http://localhost:61234/callback',
    scope: 'mcp:read mcp:write offline_access',
  },
  {
    name: 'Claude',
    metadata: {
      client_name: 'Claude',
      redirect_uris: ['https://claude.ai/api/mcp/auth_callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'client_secret_post',
      scope: 'mcp:read mcp:write',
    },
    redirectUri: 'https://claude.ai/api/mcp/auth_callback',
  },
  {
    name: 'VS Code',
    metadata: {
      client_name: 'Visual Studio Code',
      client_uri: 'https://code.visualstudio.com',
      redirect_uris: [
        'https://insiders.vscode.dev/redirect',
        'https://vscode.dev/redirect',
        'http://127.0.0.1/',
        'http://127.0.0.1:33418/',
      ],
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    },
    redirectUri: 'http://127.0.0.1:33418/',
  },
  {
    name: 'mcp-remote',
    metadata: {
      client_name: 'MCP CLI Proxy',
      client_uri: 'https://github.com/modelcontextprotocol/mcp-cli',
      software_id: '2e6dc280-f3c3-4e01-99a7-8181dbd1d23d',
      software_version: '0.15.1',
      redirect_uris: ['http://localhost:19220/oauth/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
      application_type: 'native',
    },
    redirectUri: 'http://localhost:19220/oauth/callback',
    scope: 'mcp:read mcp:write offline_access',
  },
  {
    name: 'mcporter',
    metadata: {
      client_name: 'mcporter (portcullis)',
      redirect_uris: ['http://127.0.0.1:45001/callback'],
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: 'none',
    },
    redirectUri: 'http://127.0.0.1:45002/callback',
  },
]
