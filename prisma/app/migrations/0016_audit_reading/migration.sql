-- Reading the trail: an index for each thing a list may be narrowed by, exports that are made in the background, and
-- streams to other systems. Runs as portcullis_owner.

-- Rows of a list are intents and events; each filter finds its newest page in one index, whatever the size of the trail.
CREATE INDEX audit_record_agent ON audit_record (tenant_id, agent_id, recorded_at DESC, id DESC) WHERE kind <> 'outcome' AND agent_id IS NOT NULL;
CREATE INDEX audit_record_actor ON audit_record (tenant_id, actor_pseudonym, recorded_at DESC, id DESC) WHERE kind <> 'outcome' AND actor_pseudonym IS NOT NULL;
CREATE INDEX audit_record_connection ON audit_record (tenant_id, connection_id, recorded_at DESC, id DESC) WHERE kind <> 'outcome' AND connection_id IS NOT NULL;
CREATE INDEX audit_record_tool ON audit_record (tenant_id, tool, recorded_at DESC, id DESC) WHERE kind = 'intent';
CREATE INDEX audit_record_event ON audit_record (tenant_id, recorded_at DESC, id DESC) WHERE kind = 'event';
CREATE INDEX audit_record_action ON audit_record (tenant_id, action, recorded_at DESC, id DESC) WHERE kind = 'event';
CREATE INDEX audit_record_unpermitted ON audit_record (tenant_id, decision, recorded_at DESC, id DESC) WHERE kind = 'intent' AND decision <> 'permit';
-- How a call ended stands in its own record: a list by outcome is a list of ends.
CREATE INDEX audit_record_outcome ON audit_record (tenant_id, outcome, recorded_at DESC, id DESC) WHERE kind <> 'intent' AND outcome IS NOT NULL;

-- An export under way or ready. Its pages are sealed under the tenant's audit key in a file of the data folder.
CREATE TABLE audit_export (
  tenant_id    text NOT NULL REFERENCES tenant (id),
  id           text NOT NULL,
  format       text NOT NULL CHECK (format IN ('jsonl', 'csv', 'cef')),
  filter       jsonb NOT NULL,
  until        timestamptz NOT NULL,
  status       text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'ready', 'failed', 'expired')),
  total        integer,
  done         integer NOT NULL DEFAULT 0,
  bytes        bigint NOT NULL DEFAULT 0,
  chunks       integer NOT NULL DEFAULT 0,
  cursor_at    text,
  cursor_id    text,
  is_cut       boolean NOT NULL DEFAULT false,
  lease        text,
  leased_until timestamptz,
  failures     integer NOT NULL DEFAULT 0,
  error        text CHECK (length(error) <= 64),
  created_by   text NOT NULL CHECK (length(created_by) <= 64),
  created_at   timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz,
  expires_at   timestamptz NOT NULL,
  PRIMARY KEY (tenant_id, id)
);
CREATE INDEX audit_export_open ON audit_export (created_at) WHERE status IN ('queued', 'running');
CREATE INDEX audit_export_expiry ON audit_export (expires_at);

-- Where the trail goes as it grows. The position is that of the last record the other side took.
CREATE TABLE audit_stream (
  tenant_id         text NOT NULL REFERENCES tenant (id),
  id                text NOT NULL,
  kind              text NOT NULL CHECK (kind IN ('webhook', 'syslog', 's3')),
  -- Readable settings: where it goes and how. No secret.
  target            jsonb NOT NULL,
  key_version       integer,
  sealed_secret     bytea CHECK (length(sealed_secret) <= 4096),
  cursor_at         timestamptz NOT NULL,
  cursor_id         text NOT NULL DEFAULT '',
  -- What has been recorded before `safe_until` is complete: every transaction that could add to it has ended.
  safe_until        timestamptz NOT NULL DEFAULT '-infinity',
  fence_xid         text,
  fence_at          timestamptz,
  delivered         bigint NOT NULL DEFAULT 0,
  attempts          integer NOT NULL DEFAULT 0,
  next_at           timestamptz NOT NULL DEFAULT now(),
  lease             text,
  last_delivered_at timestamptz,
  failing_since     timestamptz,
  last_error        text CHECK (length(last_error) <= 64),
  disabled_at       timestamptz,
  disabled_reason   text CHECK (length(disabled_reason) <= 64),
  created_by        text CHECK (length(created_by) <= 64),
  created_at        timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, id),
  CHECK ((key_version IS NULL) = (sealed_secret IS NULL))
);
CREATE INDEX audit_stream_due ON audit_stream (next_at) WHERE disabled_at IS NULL;

GRANT SELECT, INSERT, UPDATE, DELETE ON audit_export, audit_stream TO portcullis_app;
GRANT SELECT (tenant_id, id, status, created_at, leased_until, expires_at) ON audit_export TO portcullis_resolver;
GRANT SELECT (tenant_id, id, next_at, disabled_at) ON audit_stream TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit_export', 'audit_stream'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
END $$;

-- Exports that nobody is making: new ones, and those whose worker died.
CREATE FUNCTION due_audit_exports(p_limit integer) RETURNS TABLE (tenant_id text, export_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.tenant_id, e.id FROM public.audit_export e
   WHERE e.status IN ('queued', 'running') AND (e.leased_until IS NULL OR e.leased_until <= now()) AND e.expires_at > now()
   ORDER BY e.created_at LIMIT p_limit
$$;
CREATE FUNCTION expired_audit_exports(p_limit integer) RETURNS TABLE (tenant_id text, export_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.tenant_id, e.id FROM public.audit_export e WHERE e.expires_at <= now() ORDER BY e.expires_at LIMIT p_limit
$$;
CREATE FUNCTION due_audit_streams(p_limit integer) RETURNS TABLE (tenant_id text, stream_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.tenant_id, s.id FROM public.audit_stream s
   WHERE s.disabled_at IS NULL AND s.next_at <= now() ORDER BY s.next_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION due_audit_exports(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION expired_audit_exports(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_audit_streams(integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION due_audit_exports(integer), expired_audit_exports(integer), due_audit_streams(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_audit_exports(integer), expired_audit_exports(integer), due_audit_streams(integer) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
