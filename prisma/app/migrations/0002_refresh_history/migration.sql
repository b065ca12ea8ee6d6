-- What people see of a credential's life: what it is now, and what was tried. Copies for display; the vault decides.
-- Runs as portcullis_owner.

ALTER TABLE connection
  ADD COLUMN access_expires_at     timestamptz,
  ADD COLUMN refresh_expires_at    timestamptz,
  ADD COLUMN next_refresh_at       timestamptz,
  ADD COLUMN last_refresh_at       timestamptz,
  -- The last failure, as a code. It stays after a success: older than last_refresh_at means that it is over.
  ADD COLUMN last_error_code       text CHECK (length(last_error_code) <= 64),
  ADD COLUMN last_error_at         timestamptz,
  -- NULL: not known yet.
  ADD COLUMN refresh_token_present boolean,
  -- Failed attempts in a row.
  ADD COLUMN failures              integer NOT NULL DEFAULT 0,
  -- When the vault's row was as it is copied here. An older copy never overwrites a newer one.
  ADD COLUMN shown_at              timestamptz;

-- One row for each attempt to refresh (outcome `issued`, or the kind of its failure) and for each change of state (outcome
-- `state:<state>`, the reason as code). Nothing here is a secret and nothing is decided by it.
CREATE TABLE refresh_event (
  tenant_id     text NOT NULL REFERENCES tenant (id),
  id            text NOT NULL,
  connection_id text NOT NULL,
  at            timestamptz NOT NULL DEFAULT now(),
  cause         text NOT NULL CHECK (length(cause) <= 64),
  outcome       text NOT NULL CHECK (length(outcome) <= 64),
  code          text CHECK (length(code) <= 64),
  latency_ms    integer CHECK (latency_ms >= 0),
  generation    integer NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX refresh_event_connection ON refresh_event (tenant_id, connection_id, at DESC, id DESC);
CREATE INDEX refresh_event_time ON refresh_event (at);
-- A state is copied again after a crash; its line stays one.
CREATE UNIQUE INDEX refresh_event_state ON refresh_event (tenant_id, connection_id, at, outcome) WHERE starts_with(outcome, 'state:');

GRANT SELECT, INSERT, UPDATE, DELETE ON refresh_event TO portcullis_app;
GRANT SELECT ON refresh_event TO portcullis_web, portcullis_resolver;
ALTER TABLE refresh_event ENABLE ROW LEVEL SECURITY;
ALTER TABLE refresh_event FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON refresh_event TO portcullis_app, portcullis_web
  USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY resolver_read ON refresh_event FOR SELECT TO portcullis_resolver USING (true);

-- Whose history is older than a season.
CREATE FUNCTION expired_refresh_event_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT e.tenant_id FROM public.refresh_event e WHERE e.at < now() - interval '90 days'
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION expired_refresh_event_tenants() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION expired_refresh_event_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION expired_refresh_event_tenants() TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
