-- The chain over the audit trail: each record gets a position in its workspace and a hash over itself and the one before,
-- after its commit and by the worker, so that inserting records stays as parallel as it was.
--
-- A hash covers every column of audit_record that is not null. A later migration may add nullable columns and nothing
-- else, or what is linked already would no longer fit its hash.

CREATE TABLE audit_link (
  tenant_id text NOT NULL,
  position  bigint NOT NULL CHECK (position > 0),
  record_id text NOT NULL,
  previous  bytea NOT NULL CHECK (length(previous) = 32),
  hash      bytea NOT NULL CHECK (length(hash) = 32),
  linked_at timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (tenant_id, position)
);
-- A record stands in one place.
CREATE UNIQUE INDEX audit_link_record ON audit_link (tenant_id, record_id);

-- Where each chain ends. Its row is locked while links are added: one sequencer a workspace, however many workers.
CREATE TABLE audit_head (
  tenant_id   text PRIMARY KEY,
  position    bigint NOT NULL,
  hash        bytea NOT NULL CHECK (length(hash) = 32),
  -- The latest time of a record that is linked.
  recorded_to timestamptz,
  updated_at  timestamptz NOT NULL DEFAULT now()
);

-- What retention removed: everything up to this position, whose hash the next link continues. Signed outside.
CREATE TABLE audit_cut (
  tenant_id text NOT NULL,
  position  bigint NOT NULL CHECK (position > 0),
  hash      bytea NOT NULL CHECK (length(hash) = 32),
  cut_at    timestamptz NOT NULL,
  key_id    text NOT NULL,
  signature bytea NOT NULL,
  PRIMARY KEY (tenant_id, position)
);

-- The digest of free fields that were erased, so that their record still fits its hash.
CREATE TABLE audit_erasure (
  tenant_id text NOT NULL,
  record_id text NOT NULL,
  digest    bytea NOT NULL CHECK (length(digest) = 32),
  erased_at timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, record_id)
);

-- Up to where each place outside has been told.
CREATE TABLE audit_checkpoint (
  tenant_id text NOT NULL,
  sink      text NOT NULL CHECK (sink IN ('file', 's3', 'webhook')),
  position  bigint NOT NULL,
  told_at   timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, sink)
);

-- How long records are kept; NULL is for ever.
ALTER TABLE tenant ADD COLUMN audit_retention_days integer CHECK (audit_retention_days BETWEEN 30 AND 3650);

GRANT SELECT, INSERT ON audit_link, audit_cut TO portcullis_app;
GRANT SELECT, INSERT, UPDATE ON audit_head, audit_checkpoint TO portcullis_app;
GRANT SELECT ON audit_erasure TO portcullis_app;
GRANT SELECT (tenant_id, position, record_id, linked_at) ON audit_link TO portcullis_web;

GRANT SELECT ON audit_link, audit_head, audit_cut, audit_erasure, audit_checkpoint TO portcullis_resolver;
GRANT DELETE ON audit_record, audit_link, audit_erasure TO portcullis_resolver;
GRANT INSERT ON audit_erasure TO portcullis_resolver;
GRANT UPDATE (sealed) ON audit_record TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['audit_link', 'audit_head', 'audit_cut', 'audit_erasure', 'audit_checkpoint'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
END $$;
CREATE POLICY resolver_append ON audit_erasure FOR INSERT TO portcullis_resolver WITH CHECK (true);
-- Whatever a function says, nothing younger than the shortest retention can go, and of a record only its free fields.
CREATE POLICY resolver_cut ON audit_record FOR DELETE TO portcullis_resolver USING (recorded_at < now() - interval '30 days');
CREATE POLICY resolver_cut ON audit_link FOR DELETE TO portcullis_resolver USING (true);
CREATE POLICY resolver_cut ON audit_erasure FOR DELETE TO portcullis_resolver USING (true);
CREATE POLICY resolver_erase ON audit_record FOR UPDATE TO portcullis_resolver USING (true) WITH CHECK (sealed IS NULL);

-- Workspaces that may have records without a link, those that were looked at longest ago first. A record that was committed
-- late is found while its workspace's newest link is younger than p_seconds.
CREATE FUNCTION audit_unlinked_tenants(p_seconds float8, p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT k.id
    FROM (SELECT t.id FROM public.tenant t UNION SELECT h.tenant_id FROM public.audit_head h) AS k (id)
    LEFT JOIN public.audit_head h ON h.tenant_id = k.id
   CROSS JOIN LATERAL (
      SELECT r.recorded_at FROM public.audit_record r WHERE r.tenant_id = k.id ORDER BY r.recorded_at DESC, r.id DESC LIMIT 1) AS newest
   WHERE h.recorded_to IS NULL OR newest.recorded_at > h.recorded_to OR h.recorded_to > now() - make_interval(secs => p_seconds)
   ORDER BY h.updated_at NULLS FIRST, k.id LIMIT p_limit
$$;

-- Every workspace with a chain, and every other.
CREATE FUNCTION audit_chain_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.id FROM public.tenant t UNION SELECT h.tenant_id FROM public.audit_head h UNION SELECT c.tenant_id FROM public.audit_cut c ORDER BY 1
$$;

-- Chains that grew since the sink was last told, when that is long enough ago.
CREATE FUNCTION audit_untold_tenants(p_sink text, p_seconds float8, p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT h.tenant_id FROM public.audit_head h
    LEFT JOIN public.audit_checkpoint c ON c.tenant_id = h.tenant_id AND c.sink = p_sink
   WHERE h.position > COALESCE(c.position, 0) AND (c.told_at IS NULL OR c.told_at <= now() - make_interval(secs => p_seconds))
   ORDER BY c.told_at NULLS FIRST, h.tenant_id LIMIT p_limit
$$;

CREATE FUNCTION audit_retention_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.id FROM public.tenant t WHERE t.audit_retention_days IS NOT NULL ORDER BY t.id
$$;

-- Removes the oldest records below the newest cut, with their links, when all of them are older than their workspace keeps
-- records. Returns how many.
CREATE FUNCTION audit_delete_cut(p_tenant_id text, p_limit integer) RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  v_days integer;
  v_position bigint;
  v_links text[];
  v_records integer;
BEGIN
  SELECT t.audit_retention_days INTO v_days FROM public.tenant t WHERE t.id = p_tenant_id;
  SELECT max(c.position) INTO v_position FROM public.audit_cut c WHERE c.tenant_id = p_tenant_id;
  IF v_days IS NULL OR v_position IS NULL THEN
    RETURN 0;
  END IF;
  WITH gone AS (
    DELETE FROM public.audit_link l
     WHERE l.tenant_id = p_tenant_id AND l.position IN (
       SELECT x.position FROM public.audit_link x
        WHERE x.tenant_id = p_tenant_id AND x.position <= v_position ORDER BY x.position LIMIT p_limit)
    RETURNING l.record_id)
  SELECT array_agg(g.record_id) INTO v_links FROM gone g;
  IF v_links IS NULL THEN
    RETURN 0;
  END IF;
  DELETE FROM public.audit_erasure e WHERE e.tenant_id = p_tenant_id AND e.record_id = ANY (v_links);
  DELETE FROM public.audit_record r
   WHERE r.tenant_id = p_tenant_id AND r.id = ANY (v_links) AND r.recorded_at < now() - make_interval(days => v_days);
  GET DIAGNOSTICS v_records = ROW_COUNT;
  IF v_records <> cardinality(v_links) THEN
    RAISE EXCEPTION 'a record below the cut is younger than its workspace keeps records, or gone';
  END IF;
  RETURN v_records;
END $$;

-- Empties the free fields of the records of one pseudonym and keeps their digest. Returns how many.
CREATE FUNCTION audit_erase_fields(p_tenant_id text, p_pseudonym text, p_limit integer) RETURNS integer
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE n integer;
BEGIN
  WITH picked AS (
    SELECT r.id, sha256(r.sealed) AS digest FROM public.audit_record r
     WHERE r.tenant_id = p_tenant_id AND r.actor_pseudonym = p_pseudonym AND r.sealed IS NOT NULL
     LIMIT p_limit FOR UPDATE
  ), kept AS (
    INSERT INTO public.audit_erasure (tenant_id, record_id, digest) SELECT p_tenant_id, p.id, p.digest FROM picked p
  )
  UPDATE public.audit_record r SET sealed = NULL FROM picked p WHERE r.tenant_id = p_tenant_id AND r.id = p.id;
  GET DIAGNOSTICS n = ROW_COUNT;
  RETURN n;
END $$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION audit_unlinked_tenants(float8, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_chain_tenants() OWNER TO portcullis_resolver;
ALTER FUNCTION audit_untold_tenants(text, float8, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_retention_tenants() OWNER TO portcullis_resolver;
ALTER FUNCTION audit_delete_cut(text, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION audit_erase_fields(text, text, integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION audit_unlinked_tenants(float8, integer), audit_chain_tenants(), audit_untold_tenants(text, float8, integer),
  audit_retention_tenants(), audit_delete_cut(text, integer), audit_erase_fields(text, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION audit_unlinked_tenants(float8, integer), audit_chain_tenants(), audit_untold_tenants(text, float8, integer),
  audit_retention_tenants(), audit_delete_cut(text, integer), audit_erase_fields(text, text, integer) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
