-- The vault database: sealed credentials and what keeps them alive. Runs as portcullis_owner. Only gateway and worker
-- connect, as portcullis_vault; web's role may not even connect.

REVOKE ALL ON SCHEMA public FROM PUBLIC;
ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO portcullis_vault, portcullis_resolver;

CREATE FUNCTION current_tenant() RETURNS text LANGUAGE sql STABLE PARALLEL SAFE
  SET search_path = pg_catalog AS $$ SELECT NULLIF(current_setting('app.tenant_id', true), '') $$;
GRANT EXECUTE ON FUNCTION current_tenant() TO portcullis_vault, portcullis_resolver;

-- One credential of one connection. `generation` counts successful token answers; it is inside the associated data of the
-- sealed values and is the fence of every save. Lease columns are compared and set in database time.
CREATE TABLE credential (
  tenant_id           text NOT NULL,
  connection_id       text NOT NULL,
  provider            text NOT NULL,
  provider_app        text NOT NULL,
  subject             text NOT NULL,
  state               text NOT NULL CHECK (state IN ('connecting', 'active', 'refreshing', 'degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended')),
  state_reason        text,
  state_at            timestamptz NOT NULL DEFAULT now(),
  generation          integer NOT NULL CHECK (generation > 0),
  key_version         integer NOT NULL,
  dek_wrapped         bytea,
  access_sealed       bytea,
  refresh_sealed      bytea,
  -- When the current access token was received. With access_expires_at it gives the token's lifetime and age.
  issued_at           timestamptz NOT NULL DEFAULT now(),
  access_expires_at   timestamptz,
  refresh_expires_at  timestamptz,
  refresh_at          timestamptz,
  granted_scopes      text[] NOT NULL DEFAULT '{}',
  lease_owner         text,
  lease_until         timestamptz,
  attempt_id          text,
  attempt_started_at  timestamptz,
  unknown_outcomes    integer NOT NULL DEFAULT 0,
  failures            integer NOT NULL DEFAULT 0,
  rejections          integer NOT NULL DEFAULT 0,
  first_rejection_at  timestamptz,
  last_used_at        timestamptz,
  created_at          timestamptz NOT NULL DEFAULT now(),
  updated_at          timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, connection_id)
);
CREATE INDEX credential_due ON credential (refresh_at, connection_id) INCLUDE (tenant_id, provider, provider_app)
  WHERE refresh_at IS NOT NULL AND state IN ('active', 'degraded');
CREATE INDEX credential_lease ON credential (lease_until) WHERE lease_owner IS NOT NULL;

-- A provider-side revocation still to be done. The sealed token is dropped with the row.
CREATE TABLE revocation (
  tenant_id     text NOT NULL,
  id            text NOT NULL,
  connection_id text NOT NULL,
  provider      text NOT NULL,
  provider_app  text NOT NULL,
  scope         text NOT NULL CHECK (scope IN ('grant', 'token')),
  generation    integer NOT NULL,
  key_version   integer NOT NULL,
  dek_wrapped   bytea NOT NULL,
  token_sealed  bytea NOT NULL,
  attempts      integer NOT NULL DEFAULT 0,
  next_at       timestamptz NOT NULL DEFAULT now(),
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX revocation_due ON revocation (next_at);

-- Records that may never be refused, committed with the vault change; the worker moves them into the audit trail.
CREATE TABLE audit_outbox (
  tenant_id  text NOT NULL,
  id         text NOT NULL,
  record     jsonb NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_outbox_time ON audit_outbox (created_at);

-- Opened at boot: proves that the key-encryption key is the one this data was written under.
CREATE TABLE key_canary (
  id         boolean PRIMARY KEY DEFAULT true CHECK (id),
  kek_id     text NOT NULL,
  sealed     bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now()
);

GRANT SELECT, INSERT, UPDATE, DELETE ON credential, revocation, audit_outbox, key_canary TO portcullis_vault;
GRANT SELECT ON credential, revocation, audit_outbox TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['credential', 'revocation', 'audit_outbox'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_vault USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
END $$;

CREATE FUNCTION due_refreshes(p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c
   WHERE c.refresh_at <= now() AND c.refresh_at IS NOT NULL AND c.state IN ('active', 'degraded') ORDER BY c.refresh_at LIMIT p_limit
$$;

-- Attempts whose lease ran out: their process died or hung while the provider's answer was under way.
CREATE FUNCTION abandoned_attempts(p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c
   WHERE c.lease_owner IS NOT NULL AND c.lease_until < now() ORDER BY c.lease_until LIMIT p_limit
$$;

CREATE FUNCTION due_revocations(p_limit integer) RETURNS TABLE (tenant_id text, revocation_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT r.tenant_id, r.id FROM public.revocation r WHERE r.next_at <= now() ORDER BY r.next_at LIMIT p_limit
$$;

CREATE FUNCTION outbox_tenants(p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT o.tenant_id FROM (SELECT x.tenant_id FROM public.audit_outbox x ORDER BY x.created_at LIMIT p_limit) o
$$;

-- Every (tenant, connection) the vault knows, for the sweeper that repairs half-made and half-deleted connections.
CREATE FUNCTION credential_ids(p_after text, p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c WHERE c.connection_id > p_after ORDER BY c.connection_id LIMIT p_limit
$$;
CREATE UNIQUE INDEX credential_connection ON credential (connection_id);

-- True when any credential exists: data without keys must not be taken for a first run.
CREATE FUNCTION has_credentials() RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM public.credential)
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION due_refreshes(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION abandoned_attempts(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_revocations(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION outbox_tenants(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION credential_ids(text, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION has_credentials() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON ALL FUNCTIONS IN SCHEMA public FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_refreshes(integer), abandoned_attempts(integer), due_revocations(integer), outbox_tenants(integer),
  credential_ids(text, integer), has_credentials() TO portcullis_vault;
SET LOCAL ROLE portcullis_owner;
