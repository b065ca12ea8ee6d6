-- The application database: people, tenants, connections as people see them, agents, sessions, audit.
-- Runs as portcullis_owner. Login roles: portcullis_web (reads), portcullis_app (gateway and worker).
-- portcullis_resolver cannot log in: it owns the few functions that must look across tenants, and they return ids only.
-- portcullis_audit_writer has EXECUTE on the two audit functions and on nothing else.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO portcullis_web, portcullis_app, portcullis_audit_writer, portcullis_resolver;

-- Unset or empty is NULL, and NULL equals nothing: a query that forgot its tenant sees no rows.
CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  SET search_path = pg_catalog AS $$ SELECT NULLIF(current_setting('app.tenant_id', true), '') $$;
CREATE FUNCTION current_person() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  SET search_path = pg_catalog AS $$ SELECT NULLIF(current_setting('app.person_id', true), '') $$;
GRANT EXECUTE ON FUNCTION current_tenant(), current_person() TO portcullis_web, portcullis_app, portcullis_resolver;

------------------------------------------------------------------------------------------------------------ global tables

CREATE TABLE person (
  id                text PRIMARY KEY,
  email             text NOT NULL,
  email_canonical   text NOT NULL UNIQUE,
  email_verified_at timestamptz,
  name              text NOT NULL DEFAULT '',
  created_at        timestamptz NOT NULL DEFAULT now(),
  disabled_at       timestamptz
);

CREATE TABLE person_password (
  person_id  text PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
  hash       text NOT NULL,
  updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE ui_preference (
  person_id text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  name      text NOT NULL CHECK (length(name) <= 64),
  value     text NOT NULL CHECK (length(value) <= 1024),
  PRIMARY KEY (person_id, name)
);

-- One row at most: the link that makes the first person and workspace.
CREATE TABLE setup_link (
  id          boolean PRIMARY KEY DEFAULT true CHECK (id),
  secret_hash bytea NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  used_at     timestamptz
);

-- A link sent by mail. The worker mints the secret when it sends, so that no job and no queue ever holds one.
CREATE TABLE email_token (
  id           text PRIMARY KEY,
  purpose      text NOT NULL CHECK (purpose IN ('magic_link', 'verify_email', 'change_email', 'reset_password', 'sign_up')),
  person_id    text REFERENCES person (id) ON DELETE CASCADE,
  email        text NOT NULL,
  secret_hash  bytea UNIQUE,
  browser_hash bytea,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  used_at      timestamptz
);
CREATE INDEX email_token_person ON email_token (person_id);
CREATE INDEX email_token_expires ON email_token (expires_at);

-- Mail to send. `kind` and `ref_id` name what to render; addresses and secrets are not in the queue.
CREATE TABLE mail (
  id         text PRIMARY KEY,
  kind       text NOT NULL,
  ref_id     text,
  person_id  text REFERENCES person (id) ON DELETE CASCADE,
  email      text NOT NULL,
  data       jsonb NOT NULL DEFAULT '{}',
  status     text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'failed')),
  attempts   integer NOT NULL DEFAULT 0,
  next_at    timestamptz NOT NULL DEFAULT now(),
  created_at timestamptz NOT NULL DEFAULT now(),
  sent_at    timestamptz
);
CREATE INDEX mail_queued ON mail (next_at) WHERE status = 'queued';

CREATE TABLE web_session (
  id               text PRIMARY KEY,
  secret_hash      bytea NOT NULL UNIQUE,
  person_id        text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  tenant_id        text,
  status           text NOT NULL CHECK (status IN ('pending', 'active', 'ended')),
  browser_hash     bytea NOT NULL,
  method           text NOT NULL,
  authenticated_at timestamptz NOT NULL DEFAULT now(),
  created_at       timestamptz NOT NULL DEFAULT now(),
  activated_at     timestamptz,
  last_used_at     timestamptz NOT NULL DEFAULT now(),
  idle_expires_at  timestamptz NOT NULL,
  expires_at       timestamptz NOT NULL,
  ended_at         timestamptz,
  ended_reason     text,
  user_agent       text NOT NULL DEFAULT '',
  network          text NOT NULL DEFAULT ''
);
CREATE INDEX web_session_person ON web_session (person_id) WHERE status <> 'ended';
CREATE INDEX web_session_expires ON web_session (expires_at);

-- Counters of the rate limiter (its own table format).
CREATE TABLE rate_limit (
  key    varchar(255) PRIMARY KEY,
  points integer NOT NULL DEFAULT 0,
  expire bigint
);
CREATE INDEX rate_limit_expire ON rate_limit (expire);

------------------------------------------------------------------------------------------------------------ tenant tables

CREATE TABLE tenant (
  id          text PRIMARY KEY,
  name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  slug        text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9](-?[a-z0-9])*$' AND length(slug) <= 48),
  created_at  timestamptz NOT NULL DEFAULT now(),
  disabled_at timestamptz
);

CREATE TABLE membership (
  tenant_id  text NOT NULL REFERENCES tenant (id),
  person_id  text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  role       text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'auditor')),
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, person_id)
);
CREATE INDEX membership_person ON membership (person_id);

CREATE TABLE api_key (
  tenant_id    text NOT NULL REFERENCES tenant (id),
  id           text NOT NULL,
  person_id    text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  role         text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'auditor')),
  secret_hash  bytea NOT NULL UNIQUE,
  prefix       text NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  revoked_at   timestamptz,
  PRIMARY KEY (tenant_id, id)
);

-- A connection as people see and block it. `access` decides together with the vault's own state; `state` is a copy for display.
CREATE TABLE connection (
  tenant_id             text NOT NULL REFERENCES tenant (id),
  id                    text NOT NULL,
  provider              text NOT NULL,
  provider_app          text NOT NULL,
  subject               text NOT NULL,
  account_label         text NOT NULL,
  account_email         text,
  owner_person_id       text REFERENCES person (id) ON DELETE SET NULL,
  access                text NOT NULL DEFAULT 'blocked' CHECK (access IN ('allowed', 'blocked', 'deleted')),
  access_reason         text,
  state                 text NOT NULL CHECK (state IN ('connecting', 'active', 'refreshing', 'degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended')),
  state_reason          text,
  state_at              timestamptz NOT NULL DEFAULT now(),
  -- The least generation the vault may hold. An older row there is a rollback and is not opened.
  credential_generation integer NOT NULL DEFAULT 0,
  requested_scopes      text[] NOT NULL DEFAULT '{}',
  granted_scopes        text[] NOT NULL DEFAULT '{}',
  created_at            timestamptz NOT NULL DEFAULT now(),
  authorized_at         timestamptz,
  last_used_at          timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX connection_account ON connection (tenant_id, owner_person_id, provider, provider_app, subject) WHERE access <> 'deleted';
CREATE INDEX connection_subject ON connection (provider, provider_app, subject);

-- One consent flow under way. The state parameter is stored as a hash and spent by one conditional UPDATE.
CREATE TABLE connect_attempt (
  tenant_id        text NOT NULL REFERENCES tenant (id),
  id               text NOT NULL,
  person_id        text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  web_session_id   text NOT NULL,
  browser_hash     bytea NOT NULL,
  provider         text NOT NULL,
  provider_app     text NOT NULL,
  state_hash       bytea NOT NULL UNIQUE,
  code_verifier    text NOT NULL,
  nonce            text NOT NULL,
  requested_scopes text[] NOT NULL,
  connection_id    text,
  expected_subject text,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL,
  used_at          timestamptz,
  outcome          text,
  outcome_detail   jsonb,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX connect_attempt_expires ON connect_attempt (expires_at);

CREATE TABLE agent (
  tenant_id       text NOT NULL REFERENCES tenant (id),
  id              text NOT NULL,
  name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  description     text NOT NULL DEFAULT '' CHECK (length(description) <= 500),
  created_by      text REFERENCES person (id) ON DELETE SET NULL,
  profile_version integer NOT NULL DEFAULT 1,
  created_at      timestamptz NOT NULL DEFAULT now(),
  disabled_at     timestamptz,
  last_used_at    timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX agent_id ON agent (id);

CREATE TABLE profile_version (
  tenant_id  text NOT NULL,
  agent_id   text NOT NULL,
  version    integer NOT NULL CHECK (version > 0),
  document   jsonb NOT NULL,
  created_by text REFERENCES person (id) ON DELETE SET NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, agent_id, version),
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agent (tenant_id, id)
);

-- What an agent holds: a session key or, later, an OAuth grant of ours. Revocable, listed, named in every audit record.
CREATE TABLE agent_session (
  tenant_id    text NOT NULL REFERENCES tenant (id),
  id           text NOT NULL,
  agent_id     text NOT NULL,
  kind         text NOT NULL CHECK (kind IN ('key', 'oauth')),
  secret_hash  bytea NOT NULL UNIQUE,
  secret_hint  text NOT NULL,
  label        text NOT NULL DEFAULT '' CHECK (length(label) <= 80),
  person_id    text REFERENCES person (id) ON DELETE SET NULL,
  -- Whose accounts it may use: those of person_id, or, issued by the operator alone, every account of the workspace.
  acts_for     text NOT NULL DEFAULT 'person' CHECK (acts_for IN ('person', 'workspace')),
  client_id    text,
  scopes       text[] NOT NULL DEFAULT '{mcp:read,mcp:write}',
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz NOT NULL,
  last_used_at timestamptz,
  ended_at     timestamptz,
  ended_reason text,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agent (tenant_id, id)
);
CREATE INDEX agent_session_agent ON agent_session (tenant_id, agent_id);
CREATE INDEX agent_session_person ON agent_session (person_id) WHERE ended_at IS NULL;

------------------------------------------------------------------------------------------------------------------- audit

-- Append-only. An intent, its outcome, or an event. Readable fields are ids, enumerations and digests; every free text is
-- in `sealed`, encrypted under the tenant's audit key; people appear as random pseudonyms.
CREATE TABLE audit_record (
  tenant_id        text NOT NULL,
  id               text NOT NULL,
  format           smallint NOT NULL DEFAULT 1,
  kind             text NOT NULL CHECK (kind IN ('intent', 'outcome', 'event')),
  action           text NOT NULL,
  recorded_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  occurred_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
  call_id          text,
  actor_kind       text NOT NULL CHECK (actor_kind IN ('person', 'agent', 'api_key', 'provider', 'system', 'anonymous')),
  actor_pseudonym  text,
  agent_id         text,
  agent_session_id text,
  connection_id    text,
  target_id        text,
  tool             text,
  profile_version  integer,
  decision         text CHECK (decision IN ('permit', 'deny', 'approval_required')),
  outcome          text CHECK (outcome IN ('success', 'error', 'denied', 'cancelled', 'expired', 'unknown')),
  reason           text,
  duration_ms      integer,
  argument_digest  bytea,
  key_version      integer,
  sealed           bytea,
  PRIMARY KEY (tenant_id, id),
  CHECK ((kind = 'intent') = (decision IS NOT NULL) OR kind = 'event'),
  CHECK (kind <> 'outcome' OR outcome IS NOT NULL),
  CHECK (kind = 'event' OR call_id IS NOT NULL)
);
-- Each call has exactly one intent and at most one outcome.
CREATE UNIQUE INDEX audit_record_call ON audit_record (tenant_id, call_id, kind) WHERE call_id IS NOT NULL AND kind <> 'event';
CREATE INDEX audit_record_time ON audit_record (tenant_id, recorded_at DESC, id DESC);
CREATE INDEX audit_record_open ON audit_record (recorded_at) WHERE kind = 'intent' AND decision = 'permit';

-- A call's canonical arguments, sealed, kept for a while beside the record that covers their digest.
CREATE TABLE audit_arguments (
  tenant_id   text NOT NULL,
  call_id     text NOT NULL,
  key_version integer NOT NULL,
  sealed      bytea NOT NULL CHECK (length(sealed) <= 17000),
  expires_at  timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, call_id)
);
CREATE INDEX audit_arguments_expires ON audit_arguments (expires_at);

-- Who a pseudonym is. Erasing this row makes the records anonymous without touching them.
CREATE TABLE audit_identity (
  tenant_id  text NOT NULL,
  pseudonym  text NOT NULL,
  kind       text NOT NULL,
  subject_id text NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, pseudonym),
  UNIQUE (tenant_id, kind, subject_id)
);

-- Records of actions that are never refused, committed with the action itself; the worker moves them into audit_record.
CREATE TABLE audit_outbox (
  tenant_id  text NOT NULL,
  id         text NOT NULL,
  record     jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_outbox_time ON audit_outbox (created_at);

------------------------------------------------------------------------------------------------- grants and row security

GRANT SELECT, INSERT, UPDATE, DELETE ON
  person, person_password, ui_preference, setup_link, email_token, mail, web_session, rate_limit,
  tenant, membership, api_key, connection, connect_attempt, agent, profile_version, agent_session, audit_arguments, audit_identity, audit_outbox
  TO portcullis_app;
GRANT SELECT, INSERT ON audit_record TO portcullis_app;

GRANT SELECT ON ui_preference, tenant, membership, connection, agent, profile_version, audit_record, audit_identity TO portcullis_web;
GRANT SELECT (id, email, email_verified_at, name, created_at, disabled_at) ON person TO portcullis_web;
GRANT SELECT (tenant_id, id, person_id, name, role, prefix, created_at, expires_at, last_used_at, revoked_at) ON api_key TO portcullis_web;
GRANT SELECT (tenant_id, id, agent_id, kind, secret_hint, label, person_id, acts_for, client_id, scopes, created_at, expires_at, last_used_at, ended_at, ended_reason) ON agent_session TO portcullis_web;
GRANT SELECT (id, person_id, tenant_id, status, method, authenticated_at, created_at, activated_at, last_used_at, idle_expires_at, expires_at, ended_at, ended_reason, user_agent, network) ON web_session TO portcullis_web;
GRANT SELECT (tenant_id, id, person_id, provider, requested_scopes, connection_id, created_at, expires_at, used_at, outcome, outcome_detail) ON connect_attempt TO portcullis_web;
-- Whether and since when there is a password, never its hash.
GRANT SELECT (person_id, updated_at) ON person_password TO portcullis_web;
-- The only writes of web: how a person likes the pages to look.
GRANT INSERT, UPDATE ON ui_preference TO portcullis_web;

GRANT SELECT ON person, tenant, membership, api_key, connection, agent, profile_version, agent_session, web_session, connect_attempt, audit_record, audit_outbox, audit_arguments TO portcullis_resolver;
-- SELECT … FOR SHARE needs an UPDATE privilege; one harmless column is enough.
GRANT UPDATE (last_used_at) ON agent_session, agent, connection TO portcullis_resolver;
GRANT UPDATE (name) ON tenant TO portcullis_resolver; -- for the lock alone: its policy lets no changed row through
GRANT UPDATE (status, activated_at, last_used_at) ON web_session TO portcullis_resolver;
GRANT INSERT ON audit_record, audit_arguments TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['membership', 'api_key', 'connection', 'connect_attempt', 'agent', 'profile_version', 'agent_session',
                           'audit_record', 'audit_arguments', 'audit_identity', 'audit_outbox'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['membership', 'api_key', 'connection', 'agent', 'profile_version', 'agent_session', 'connect_attempt',
                           'audit_record', 'audit_arguments', 'audit_outbox'] LOOP
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['connection', 'agent', 'agent_session'] LOOP
    EXECUTE format('CREATE POLICY resolver_lock ON %I FOR UPDATE TO portcullis_resolver USING (true) WITH CHECK (false)', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['audit_record', 'audit_arguments'] LOOP
    EXECUTE format('CREATE POLICY resolver_append ON %I FOR INSERT TO portcullis_resolver WITH CHECK (true)', t);
  END LOOP;
END $$;

ALTER TABLE tenant ENABLE ROW LEVEL SECURITY;
ALTER TABLE tenant FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON tenant TO portcullis_app, portcullis_web USING (id = current_tenant()) WITH CHECK (id = current_tenant());
CREATE POLICY resolver_read ON tenant FOR SELECT TO portcullis_resolver USING (true);
CREATE POLICY resolver_lock ON tenant FOR UPDATE TO portcullis_resolver USING (true) WITH CHECK (false);

-- Global tables that web reads: a person sees themself and the people of the current workspace.
ALTER TABLE person ENABLE ROW LEVEL SECURITY;
ALTER TABLE person FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY resolver_read ON person FOR SELECT TO portcullis_resolver USING (true);
CREATE POLICY self_and_colleagues ON person FOR SELECT TO portcullis_web
  USING (id = current_person() OR EXISTS (SELECT 1 FROM membership m WHERE m.person_id = person.id AND m.tenant_id = current_tenant()));

ALTER TABLE person_password ENABLE ROW LEVEL SECURITY;
ALTER TABLE person_password FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person_password TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY own ON person_password FOR SELECT TO portcullis_web USING (person_id = current_person());

ALTER TABLE web_session ENABLE ROW LEVEL SECURITY;
ALTER TABLE web_session FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON web_session TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY resolver_all ON web_session TO portcullis_resolver USING (true) WITH CHECK (true);
CREATE POLICY own ON web_session FOR SELECT TO portcullis_web USING (person_id = current_person());

ALTER TABLE ui_preference ENABLE ROW LEVEL SECURITY;
ALTER TABLE ui_preference FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON ui_preference TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY own ON ui_preference TO portcullis_web USING (person_id = current_person()) WITH CHECK (person_id = current_person());

-------------------------------------------------------------------------------------------------------------- functions
-- Each runs as portcullis_resolver with a fixed search_path, because row security shows even the table owner nothing.

-- Activates a pending web session once, within a minute, in the browser that started it. Returns nothing when it may not.
CREATE FUNCTION redeem_ticket(p_secret_hash bytea, p_browser_hash bytea)
  RETURNS TABLE (session_id text, person_id text)
  LANGUAGE sql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  UPDATE public.web_session s SET status = 'active', activated_at = now(), last_used_at = now()
   WHERE s.secret_hash = p_secret_hash AND s.browser_hash = p_browser_hash AND s.status = 'pending'
     AND s.created_at > now() - interval '60 seconds'
  RETURNING s.id, s.person_id
$$;

CREATE FUNCTION session_by_hash(p_secret_hash bytea)
  RETURNS TABLE (session_id text, person_id text, tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.id, s.person_id, s.tenant_id FROM public.web_session s JOIN public.person p ON p.id = s.person_id
   WHERE s.secret_hash = p_secret_hash AND s.status = 'active' AND s.idle_expires_at > now() AND s.expires_at > now() AND p.disabled_at IS NULL
$$;

CREATE FUNCTION memberships_of(p_person_id text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT m.tenant_id FROM public.membership m JOIN public.tenant t ON t.id = m.tenant_id
   WHERE m.person_id = p_person_id AND t.disabled_at IS NULL ORDER BY m.created_at, m.tenant_id
$$;

-- Where a person holds agent sessions that still work, whatever became of the membership or the workspace.
CREATE FUNCTION agent_session_tenants_of(p_person_id text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT s.tenant_id FROM public.agent_session s WHERE s.person_id = p_person_id AND s.ended_at IS NULL ORDER BY s.tenant_id
$$;

CREATE FUNCTION agent_session_by_hash(p_secret_hash bytea)
  RETURNS TABLE (tenant_id text, session_id text, agent_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.tenant_id, s.id, s.agent_id FROM public.agent_session s WHERE s.secret_hash = p_secret_hash
$$;

CREATE FUNCTION api_key_by_hash(p_secret_hash bytea)
  RETURNS TABLE (tenant_id text, key_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.tenant_id, k.id FROM public.api_key k WHERE k.secret_hash = p_secret_hash
$$;

CREATE FUNCTION connect_attempt_by_hash(p_state_hash bytea)
  RETURNS TABLE (tenant_id text, attempt_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.tenant_id, a.id FROM public.connect_attempt a WHERE a.state_hash = p_state_hash
$$;

CREATE FUNCTION connections_by_subject(p_provider text, p_provider_app text, p_subject text)
  RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.id FROM public.connection c
   WHERE c.provider = p_provider AND c.provider_app = p_provider_app AND c.subject = p_subject AND c.access <> 'deleted'
$$;

CREATE FUNCTION tenant_ids() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.id FROM public.tenant t ORDER BY t.created_at, t.id
$$;

-- Permitted calls of this window without an outcome: their process died before it could say how they ended.
CREATE FUNCTION unfinished_calls(p_after timestamptz, p_before timestamptz, p_limit integer)
  RETURNS TABLE (tenant_id text, call_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT i.tenant_id, i.call_id FROM public.audit_record i
   WHERE i.kind = 'intent' AND i.decision = 'permit' AND i.recorded_at >= p_after AND i.recorded_at < p_before
     AND NOT EXISTS (SELECT 1 FROM public.audit_record o WHERE o.tenant_id = i.tenant_id AND o.call_id = i.call_id AND o.kind = 'outcome')
   ORDER BY i.recorded_at LIMIT p_limit
$$;

CREATE FUNCTION outbox_tenants(p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT o.tenant_id FROM (SELECT x.tenant_id FROM public.audit_outbox x ORDER BY x.created_at LIMIT p_limit) o
$$;

CREATE FUNCTION expired_argument_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT a.tenant_id FROM public.audit_arguments a WHERE a.expires_at < now()
$$;

-- Expired consent flows, so that the table stays small.
CREATE FUNCTION expired_attempt_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT a.tenant_id FROM public.connect_attempt a WHERE a.expires_at < now() - interval '1 day'
$$;

/*
 * Records the intents of many calls in one statement and says for each whether it may go on.
 *
 * The rows that can forbid a call are locked FOR SHARE: a revocation either commits first and is seen here, or waits for
 * this statement. So no intent commits as permitted after a revocation was acknowledged, whatever any cache says.
 * A changed profile answers `stale` and records nothing, unless the caller says that it already decided once more.
 * A denied call has ended with its denial: its outcome is written beside it.
 */
CREATE FUNCTION audit_intents(p_calls jsonb)
  RETURNS TABLE (call_id text, decision text, reason text, credential_generation integer)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  WITH input AS (
    SELECT * FROM jsonb_to_recordset(p_calls) AS x (
      record_id text, denial_id text, call_id text, tenant_id text, agent_id text, agent_session_id text, connection_id text, actor_pseudonym text,
      tool text, profile_version integer, decision text, reason text, argument_digest text, key_version integer, sealed text,
      arguments text, arguments_expire_at timestamptz, is_final boolean)
  ), tenants AS (
    SELECT t.id FROM public.tenant t WHERE t.id IN (SELECT i.tenant_id FROM input i) AND t.disabled_at IS NULL
     ORDER BY t.id FOR SHARE
  ), sessions AS (
    SELECT s.tenant_id, s.id, s.agent_id FROM public.agent_session s
     WHERE (s.tenant_id, s.id) IN (SELECT i.tenant_id, i.agent_session_id FROM input i) AND s.ended_at IS NULL AND s.expires_at > now()
     ORDER BY s.id FOR SHARE
  ), agents AS (
    SELECT a.tenant_id, a.id, a.profile_version FROM public.agent a
     WHERE (a.tenant_id, a.id) IN (SELECT i.tenant_id, i.agent_id FROM input i) AND a.disabled_at IS NULL
     ORDER BY a.id FOR SHARE
  ), connections AS (
    SELECT c.tenant_id, c.id, c.credential_generation FROM public.connection c
     WHERE (c.tenant_id, c.id) IN (SELECT i.tenant_id, i.connection_id FROM input i) AND c.access = 'allowed'
     ORDER BY c.id FOR SHARE
  ), judged AS (
    SELECT i.*, c.credential_generation AS generation,
      CASE
        WHEN t.id IS NULL THEN 'tenant_disabled'
        WHEN s.id IS NULL THEN 'session_ended'
        WHEN a.id IS NULL THEN 'agent_disabled'
        WHEN a.profile_version <> i.profile_version THEN 'profile_changed'
        WHEN i.connection_id IS NOT NULL AND c.id IS NULL THEN 'connection_blocked'
      END AS refusal
    FROM input i
    LEFT JOIN tenants t ON t.id = i.tenant_id
    LEFT JOIN sessions s ON s.tenant_id = i.tenant_id AND s.id = i.agent_session_id AND s.agent_id = i.agent_id
    LEFT JOIN agents a ON a.tenant_id = i.tenant_id AND a.id = i.agent_id
    LEFT JOIN connections c ON c.tenant_id = i.tenant_id AND c.id = i.connection_id
  ), verdicts AS (
    SELECT j.*,
      CASE WHEN j.refusal = 'profile_changed' AND NOT j.is_final THEN 'stale'
           WHEN j.refusal IS NOT NULL THEN 'deny' ELSE j.decision END AS verdict,
      COALESCE(j.refusal, j.reason) AS why
    FROM judged j
  ), records AS (
    INSERT INTO public.audit_record (tenant_id, id, kind, action, call_id, actor_kind, actor_pseudonym, agent_id, agent_session_id,
        connection_id, tool, profile_version, decision, reason, argument_digest, key_version, sealed)
    SELECT v.tenant_id, v.record_id, 'intent', 'tool.call', v.call_id, 'agent', v.actor_pseudonym, v.agent_id, v.agent_session_id,
        v.connection_id, v.tool, v.profile_version, v.verdict, v.why, decode(v.argument_digest, 'base64'), v.key_version, decode(v.sealed, 'base64')
      FROM verdicts v WHERE v.verdict <> 'stale'
  ), denials AS (
    INSERT INTO public.audit_record (tenant_id, id, kind, action, call_id, actor_kind, actor_pseudonym, agent_id, agent_session_id,
        connection_id, tool, profile_version, outcome, reason)
    SELECT v.tenant_id, v.denial_id, 'outcome', 'tool.call', v.call_id, 'agent', v.actor_pseudonym, v.agent_id, v.agent_session_id,
        v.connection_id, v.tool, v.profile_version, 'denied', v.why
      FROM verdicts v WHERE v.verdict = 'deny'
  ), kept AS (
    INSERT INTO public.audit_arguments (tenant_id, call_id, key_version, sealed, expires_at)
    SELECT v.tenant_id, v.call_id, v.key_version, decode(v.arguments, 'base64'), v.arguments_expire_at
      FROM verdicts v WHERE v.verdict <> 'stale' AND v.arguments IS NOT NULL
  )
  SELECT v.call_id, v.verdict, v.why, v.generation FROM verdicts v;
END $$;

-- Records how calls ended. The first outcome of a call stays; a second is ignored.
CREATE FUNCTION audit_outcomes(p_outcomes jsonb) RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE n integer;
BEGIN
  INSERT INTO public.audit_record (tenant_id, id, kind, action, occurred_at, call_id, actor_kind, actor_pseudonym, agent_id, agent_session_id,
      connection_id, tool, profile_version, outcome, reason, duration_ms, key_version, sealed)
  SELECT x.tenant_id, x.record_id, 'outcome', 'tool.call', COALESCE(x.occurred_at, clock_timestamp()), x.call_id, 'agent', i.actor_pseudonym, i.agent_id,
      i.agent_session_id, i.connection_id, i.tool, i.profile_version, x.outcome, x.reason, x.duration_ms, x.key_version, decode(x.sealed, 'base64')
    FROM jsonb_to_recordset(p_outcomes) AS x (
      record_id text, call_id text, tenant_id text, outcome text, reason text, duration_ms integer, key_version integer, sealed text, occurred_at timestamptz)
    JOIN public.audit_record i ON i.tenant_id = x.tenant_id AND i.call_id = x.call_id AND i.kind = 'intent'
  ON CONFLICT (tenant_id, call_id, kind) WHERE call_id IS NOT NULL AND kind <> 'event' DO NOTHING;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

-- Ownership moves to the resolver; it may create in this schema only while this migration runs.
GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION redeem_ticket(bytea, bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION session_by_hash(bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION memberships_of(text) OWNER TO portcullis_resolver;
ALTER FUNCTION agent_session_tenants_of(text) OWNER TO portcullis_resolver;
ALTER FUNCTION agent_session_by_hash(bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION api_key_by_hash(bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION connect_attempt_by_hash(bytea) OWNER TO portcullis_resolver;
ALTER FUNCTION connections_by_subject(text, text, text) OWNER TO portcullis_resolver;
ALTER FUNCTION tenant_ids() OWNER TO portcullis_resolver;
ALTER FUNCTION unfinished_calls(timestamptz, timestamptz, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION outbox_tenants(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION expired_argument_tenants() OWNER TO portcullis_resolver;
ALTER FUNCTION expired_attempt_tenants() OWNER TO portcullis_resolver;
ALTER FUNCTION audit_intents(jsonb) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_outcomes(jsonb) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION redeem_ticket(bytea, bytea) TO portcullis_web;
GRANT EXECUTE ON FUNCTION session_by_hash(bytea), memberships_of(text) TO portcullis_web, portcullis_app;
GRANT EXECUTE ON FUNCTION agent_session_tenants_of(text), agent_session_by_hash(bytea), api_key_by_hash(bytea), connect_attempt_by_hash(bytea),
  connections_by_subject(text, text, text), tenant_ids(), unfinished_calls(timestamptz, timestamptz, integer), outbox_tenants(integer),
  expired_argument_tenants(), expired_attempt_tenants() TO portcullis_app;
GRANT EXECUTE ON FUNCTION audit_intents(jsonb), audit_outcomes(jsonb) TO portcullis_audit_writer;
SET LOCAL ROLE portcullis_owner;
