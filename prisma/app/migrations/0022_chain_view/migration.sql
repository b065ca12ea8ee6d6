-- The newest verification of a workspace's own trail that was asked for: a worker computes the chain again, and says here
-- how far it is and what it found.
CREATE TABLE audit_verification (
  tenant_id    text PRIMARY KEY REFERENCES tenant (id),
  status       text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'running', 'done', 'failed')),
  done         bigint NOT NULL DEFAULT 0,
  total        bigint NOT NULL DEFAULT 0,
  report       jsonb,
  error        text CHECK (length(error) <= 64),
  lease        text,
  leased_until timestamptz,
  failures     integer NOT NULL DEFAULT 0,
  asked_at     timestamptz NOT NULL DEFAULT now(),
  ended_at     timestamptz
);
CREATE INDEX audit_verification_open ON audit_verification (asked_at) WHERE status IN ('queued', 'running');

GRANT SELECT, INSERT, UPDATE, DELETE ON audit_verification TO portcullis_app;
GRANT SELECT (tenant_id, status, asked_at, leased_until) ON audit_verification TO portcullis_resolver;
ALTER TABLE audit_verification ENABLE ROW LEVEL SECURITY;
ALTER TABLE audit_verification FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON audit_verification TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY resolver_read ON audit_verification FOR SELECT TO portcullis_resolver USING (true);

-- Verifications that nobody is at: new ones, and those whose worker died.
CREATE FUNCTION due_audit_verifications(p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT v.tenant_id FROM public.audit_verification v
   WHERE v.status IN ('queued', 'running') AND (v.leased_until IS NULL OR v.leased_until <= now())
   ORDER BY v.asked_at LIMIT p_limit
$$;

-- How far the chains of all workspaces are behind their records: how many have no link, up to a limit, and for how many
-- seconds the oldest of those. A record that was committed late is found for p_seconds.
CREATE FUNCTION audit_backlog(p_seconds float8, p_limit integer) RETURNS TABLE (records integer, seconds float8)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT count(*)::integer, COALESCE(GREATEST(0, extract(epoch FROM clock_timestamp() - min(w.recorded_at))), 0)::float8
    FROM (SELECT u.recorded_at
            FROM (SELECT t.id FROM public.tenant t UNION SELECT h.tenant_id FROM public.audit_head h) AS k (id)
            LEFT JOIN public.audit_head h ON h.tenant_id = k.id
           CROSS JOIN LATERAL (
              SELECT r.recorded_at FROM public.audit_record r
                LEFT JOIN LATERAL (
                  SELECT 1 AS one FROM public.audit_link x WHERE x.tenant_id = r.tenant_id AND x.record_id = r.id LIMIT 1) AS l ON true
               WHERE r.tenant_id = k.id AND l.one IS NULL
                 AND (h.recorded_to IS NULL OR r.recorded_at >= LEAST(h.recorded_to, clock_timestamp()) - make_interval(secs => p_seconds))
               ORDER BY r.recorded_at, r.id LIMIT p_limit) AS u
           LIMIT p_limit) AS w
$$;

-- For each kind of place outside: for how many seconds it has been told nothing, and how many chains have grown since.
CREATE FUNCTION audit_checkpoint_ages() RETURNS TABLE (sink text, seconds float8, behind integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.sink, GREATEST(0, extract(epoch FROM clock_timestamp() - max(s.told_at)))::float8,
         (SELECT count(*)::integer FROM public.audit_head h
            LEFT JOIN public.audit_checkpoint c ON c.tenant_id = h.tenant_id AND c.sink = s.sink
           WHERE h.position > COALESCE(c.position, 0))
    FROM public.audit_checkpoint s GROUP BY s.sink
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION due_audit_verifications(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_backlog(float8, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_checkpoint_ages() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION due_audit_verifications(integer), audit_backlog(float8, integer), audit_checkpoint_ages() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_audit_verifications(integer), audit_backlog(float8, integer), audit_checkpoint_ages() TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
