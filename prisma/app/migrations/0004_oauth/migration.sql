-- The authorization server: what it keeps between two requests, who its clients are, and which agent session an access
-- token belongs to. Its tables have no tenant of their own: a client and a code are presented before anybody knows one.

-- Codes, tokens, grants, consents under way, spent assertions. Nothing here can be presented: ids are hashes.
CREATE TABLE oauth_artifact (
  model            text NOT NULL CHECK (model IN ('AccessToken', 'AuthorizationCode', 'ClientCredentials', 'Grant', 'Interaction', 'RefreshToken', 'ReplayDetection')),
  id_hash          bytea NOT NULL CHECK (length(id_hash) = 32),
  payload          jsonb NOT NULL,
  -- The grant an artefact came from; a grant carries the session that its tokens act for.
  grant_hash       bytea,
  tenant_id        text,
  agent_session_id text,
  -- Of a refresh token: the one it replaced.
  parent_hash      bytea,
  -- Of a grant: the refresh token spent last, since when, and how often since. Only its children and, for a short while,
  -- the token itself may be spent next.
  head_hash        bytea,
  head_at          timestamptz,
  head_uses        integer NOT NULL DEFAULT 0,
  consumed_at      timestamptz,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL,
  PRIMARY KEY (model, id_hash)
);
CREATE INDEX oauth_artifact_grant ON oauth_artifact (grant_hash) WHERE grant_hash IS NOT NULL;
CREATE INDEX oauth_artifact_expires ON oauth_artifact (expires_at);

-- Clients that registered themselves, clients that a person made, and the last approved copy of those that publish a document.
CREATE TABLE oauth_client (
  id               text PRIMARY KEY CHECK (length(id) <= 2048),
  kind             text NOT NULL CHECK (kind IN ('registered', 'manual', 'document')),
  metadata         jsonb NOT NULL,
  secret_hash      bytea,
  secret_hint      text,
  -- Of a manual client: whose it is. A headless one acts for one agent, through one session.
  tenant_id        text REFERENCES tenant (id),
  person_id        text REFERENCES person (id) ON DELETE CASCADE,
  agent_id         text,
  agent_session_id text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  last_used_at     timestamptz,
  -- A client that nobody ever approved goes after a day, one that nobody uses any more after a while.
  expires_at       timestamptz NOT NULL,
  revoked_at       timestamptz,
  CHECK ((kind = 'manual') = (tenant_id IS NOT NULL))
);
CREATE INDEX oauth_client_tenant ON oauth_client (tenant_id) WHERE tenant_id IS NOT NULL;
CREATE INDEX oauth_client_expires ON oauth_client (expires_at);
CREATE INDEX oauth_client_unused ON oauth_client (created_at) WHERE last_used_at IS NULL AND kind = 'registered';

-- What a session of a client was given: the client as the person saw it, and the digest of what may not change silently.
ALTER TABLE agent_session ADD COLUMN client_name text CHECK (length(client_name) <= 120);
ALTER TABLE agent_session ADD COLUMN client_host text CHECK (length(client_host) <= 300);
ALTER TABLE agent_session ADD COLUMN client_digest bytea;

GRANT SELECT, INSERT, UPDATE, DELETE ON oauth_artifact, oauth_client TO portcullis_app;
GRANT SELECT (client_name, client_host) ON agent_session TO portcullis_web;
GRANT SELECT (model, id_hash, payload, tenant_id, agent_session_id, expires_at) ON oauth_artifact TO portcullis_resolver;

-- The session an access token acts for now, until when, and with which scopes; nothing for a token that is not one.
CREATE FUNCTION agent_session_by_access_token(p_id_hash bytea)
  RETURNS TABLE (tenant_id text, session_id text, scope text, expires_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.tenant_id, a.agent_session_id, COALESCE(a.payload->>'scope', ''), a.expires_at FROM public.oauth_artifact a
   WHERE a.model IN ('AccessToken', 'ClientCredentials') AND a.id_hash = p_id_hash AND a.expires_at > now()
     AND a.agent_session_id IS NOT NULL
$$;

-- The session's id when it may act now: not ended, its agent, its workspace and its person still there. The digest is the
-- client's as it was approved.
CREATE FUNCTION live_agent_session(p_tenant_id text, p_session_id text)
  RETURNS TABLE (session_id text, client_digest bytea)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.id, s.client_digest FROM public.agent_session s
    JOIN public.agent a ON a.tenant_id = s.tenant_id AND a.id = s.agent_id AND a.disabled_at IS NULL
    JOIN public.tenant t ON t.id = s.tenant_id AND t.disabled_at IS NULL
    LEFT JOIN public.membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
    LEFT JOIN public.person p ON p.id = m.person_id AND p.disabled_at IS NULL
   WHERE s.tenant_id = p_tenant_id AND s.id = p_session_id AND s.ended_at IS NULL AND s.expires_at > now()
     AND (s.acts_for = 'workspace' OR p.id IS NOT NULL)
$$;

-- The workspace of an agent, for a member of it; nothing for everybody else.
CREATE FUNCTION agent_tenant_of_member(p_agent_id text, p_person_id text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.tenant_id FROM public.agent a
    JOIN public.membership m ON m.tenant_id = a.tenant_id AND m.person_id = p_person_id
    JOIN public.tenant t ON t.id = a.tenant_id AND t.disabled_at IS NULL
   WHERE a.id = p_agent_id AND a.disabled_at IS NULL
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION agent_session_by_access_token(bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION agent_tenant_of_member(text, text) OWNER TO portcullis_resolver;
ALTER FUNCTION live_agent_session(text, text) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION agent_session_by_access_token(bytea), agent_tenant_of_member(text, text), live_agent_session(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION agent_session_by_access_token(bytea), agent_tenant_of_member(text, text), live_agent_session(text, text) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
