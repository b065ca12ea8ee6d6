-- What a connection's page needs besides: which kind of the provider's tokens it holds, and tests whose process died.
-- Runs as portcullis_owner.

ALTER TABLE connection
  -- A name of the provider's definition, from the answer to the last consent. NULL: connected before this was kept.
  ADD COLUMN token_variant text CHECK (length(token_variant) <= 64);

-- Both ends of a test carry its id as their target.
CREATE INDEX audit_record_test_started ON audit_record (recorded_at) WHERE action = 'connection.test_started';
CREATE INDEX audit_record_tested ON audit_record (tenant_id, target_id) WHERE action = 'connection.tested';

-- Tests of this window without an outcome: their process died before it could say how they ended.
CREATE FUNCTION unfinished_connection_tests(p_after timestamptz, p_before timestamptz, p_limit integer)
  RETURNS TABLE (tenant_id text, record_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.tenant_id, s.id FROM public.audit_record s
   WHERE s.action = 'connection.test_started' AND s.recorded_at >= p_after AND s.recorded_at < p_before
     AND NOT EXISTS (SELECT 1 FROM public.audit_record t
                      WHERE t.tenant_id = s.tenant_id AND t.target_id = s.target_id AND t.action = 'connection.tested')
   ORDER BY s.recorded_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION unfinished_connection_tests(timestamptz, timestamptz, integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION unfinished_connection_tests(timestamptz, timestamptz, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION unfinished_connection_tests(timestamptz, timestamptz, integer) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
