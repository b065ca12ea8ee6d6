-- People: invitations, what a key is for and where from, accounts that are shared, the end of a workspace. Runs as portcullis_owner.

------------------------------------------------------------------------------------------------------- the end of a workspace

-- Disabled at once; everything of it is gone after `purge_at`, until which an owner may take it back.
ALTER TABLE tenant ADD COLUMN purge_at        timestamptz;
ALTER TABLE tenant ADD COLUMN purge_began_at  timestamptz;
ALTER TABLE tenant ADD COLUMN purged_at       timestamptz;
ALTER TABLE tenant ADD CONSTRAINT tenant_purge CHECK (purge_at IS NULL OR disabled_at IS NOT NULL);
CREATE INDEX tenant_purge_due ON tenant (purge_at) WHERE purge_at IS NOT NULL AND purged_at IS NULL;

------------------------------------------------------------------------------------------------------------------- API keys

-- Names of the permission table. Empty: everything that its role may do.
ALTER TABLE api_key ADD COLUMN scopes text[] NOT NULL DEFAULT '{}' CHECK (cardinality(scopes) <= 200);
-- Where it may be used from, as CIDR ranges. Empty: from everywhere.
ALTER TABLE api_key ADD COLUMN ip_ranges text[] NOT NULL DEFAULT '{}' CHECK (cardinality(ip_ranges) <= 20);
ALTER TABLE api_key ADD COLUMN revoked_reason text CHECK (length(revoked_reason) <= 64);
GRANT SELECT (scopes, ip_ranges, revoked_reason) ON api_key TO portcullis_web;

-------------------------------------------------------------------------------------------------------- shared connections

-- `personal`: for its owner's agents alone. `workspace`: for the agents of everybody in it.
ALTER TABLE connection ADD COLUMN sharing text NOT NULL DEFAULT 'personal' CHECK (sharing IN ('personal', 'workspace'));

---------------------------------------------------------------------------------------------------------------- invitations

-- Two secrets: one is shown once to who invites, the other is made when the mail is sent, and proves the mailbox.
CREATE TABLE invitation (
  tenant_id        text NOT NULL REFERENCES tenant (id),
  id               text NOT NULL,
  email            text NOT NULL CHECK (length(email) <= 320),
  email_canonical  text NOT NULL CHECK (length(email_canonical) <= 320),
  role             text NOT NULL CHECK (role IN ('owner', 'admin', 'member', 'auditor')),
  secret_hash      bytea NOT NULL UNIQUE,
  mail_secret_hash bytea UNIQUE,
  -- Whoever may no longer invite has invited nobody: looked at again when it is accepted. NULL: the operator.
  invited_by       text REFERENCES person (id) ON DELETE CASCADE,
  created_at       timestamptz NOT NULL DEFAULT now(),
  expires_at       timestamptz NOT NULL,
  accepted_at      timestamptz,
  accepted_by      text REFERENCES person (id) ON DELETE SET NULL,
  revoked_at       timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX invitation_open ON invitation (tenant_id, email_canonical) WHERE accepted_at IS NULL AND revoked_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON invitation TO portcullis_app;
GRANT SELECT (tenant_id, id, email, role, invited_by, created_at, expires_at, accepted_at, accepted_by, revoked_at) ON invitation TO portcullis_web;
GRANT SELECT ON invitation TO portcullis_resolver;
ALTER TABLE invitation ENABLE ROW LEVEL SECURITY;
ALTER TABLE invitation FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON invitation TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY resolver_read ON invitation FOR SELECT TO portcullis_resolver USING (true);

------------------------------------------------------------------------------------------------------------------ functions

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;

-- By either secret. `is_mailed`: it came out of the mailbox it was sent to.
CREATE FUNCTION invitation_by_hash(p_secret_hash bytea) RETURNS TABLE (tenant_id text, invitation_id text, is_mailed boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT i.tenant_id, i.id, i.mail_secret_hash IS NOT DISTINCT FROM p_secret_hash FROM public.invitation i
   WHERE i.secret_hash = p_secret_hash OR i.mail_secret_hash = p_secret_hash
$$;

-- Workspaces that were deleted and that this person, an owner, may take back still.
CREATE FUNCTION restorable_tenants_of(p_person_id text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT m.tenant_id FROM public.membership m JOIN public.tenant t ON t.id = m.tenant_id
   WHERE m.person_id = p_person_id AND m.role = 'owner' AND t.purge_at > now() AND t.purge_began_at IS NULL
   ORDER BY t.purge_at, m.tenant_id
$$;

CREATE FUNCTION tenants_to_purge(p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.id FROM public.tenant t WHERE t.purge_at <= now() AND t.purged_at IS NULL ORDER BY t.purge_at, t.id LIMIT p_limit
$$;

-- As before, and a call by a person's session never reaches an account that is another's and not shared.
CREATE OR REPLACE FUNCTION audit_intents(p_calls jsonb)
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
    SELECT s.tenant_id, s.id, s.agent_id, s.acts_for, s.person_id FROM public.agent_session s
     WHERE (s.tenant_id, s.id) IN (SELECT i.tenant_id, i.agent_session_id FROM input i) AND s.ended_at IS NULL AND s.expires_at > now()
     ORDER BY s.id FOR SHARE
  ), agents AS (
    SELECT a.tenant_id, a.id, a.profile_version FROM public.agent a
     WHERE (a.tenant_id, a.id) IN (SELECT i.tenant_id, i.agent_id FROM input i) AND a.disabled_at IS NULL
     ORDER BY a.id FOR SHARE
  ), connections AS (
    SELECT c.tenant_id, c.id, c.credential_generation, c.sharing, c.owner_person_id FROM public.connection c
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
        -- A session of a person reaches that person's accounts and those that their owners share.
        WHEN i.connection_id IS NOT NULL AND s.acts_for = 'person' AND c.sharing <> 'workspace'
             AND c.owner_person_id IS DISTINCT FROM s.person_id THEN 'connection_not_shared'
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

-- As before, and a call under way ends when the account it uses is no longer shared.
CREATE OR REPLACE FUNCTION ended_calls(p_calls jsonb) RETURNS TABLE (call_id text, reason text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT j.call_id, j.reason FROM (
    SELECT i.call_id,
      CASE
        WHEN t.id IS NULL OR t.disabled_at IS NOT NULL THEN 'tenant_disabled'
        WHEN s.id IS NULL OR s.ended_at IS NOT NULL THEN 'session_ended'
        WHEN a.id IS NULL OR a.disabled_at IS NOT NULL THEN 'agent_disabled'
        WHEN c.id IS NULL OR c.access <> 'allowed' THEN 'connection_blocked'
        WHEN s.acts_for = 'person' AND c.sharing <> 'workspace' AND c.owner_person_id IS DISTINCT FROM s.person_id
          THEN 'connection_not_shared'
        WHEN a.profile_version <> i.profile_version THEN 'profile_changed'
      END AS reason
    FROM jsonb_to_recordset(p_calls) AS i (
      call_id text, tenant_id text, agent_id text, agent_session_id text, connection_id text, profile_version integer)
    LEFT JOIN public.tenant t ON t.id = i.tenant_id
    LEFT JOIN public.agent_session s ON s.tenant_id = i.tenant_id AND s.id = i.agent_session_id
    LEFT JOIN public.agent a ON a.tenant_id = i.tenant_id AND a.id = i.agent_id
    LEFT JOIN public.connection c ON c.tenant_id = i.tenant_id AND c.id = i.connection_id) j
  WHERE j.reason IS NOT NULL
$$;

REVOKE ALL ON FUNCTION invitation_by_hash(bytea), restorable_tenants_of(text), tenants_to_purge(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION invitation_by_hash(bytea), tenants_to_purge(integer) TO portcullis_app;
GRANT EXECUTE ON FUNCTION restorable_tenants_of(text) TO portcullis_app, portcullis_web;
SET LOCAL ROLE portcullis_owner;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
