-- Which of the calls under way have lost what they were permitted by. Asked by the gateway about calls that take long; a
-- session that merely expired is not among them: what began in time may end.
CREATE FUNCTION ended_calls(p_calls jsonb) RETURNS TABLE (call_id text, reason text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT j.call_id, j.reason FROM (
    SELECT i.call_id,
      CASE
        WHEN t.id IS NULL OR t.disabled_at IS NOT NULL THEN 'tenant_disabled'
        WHEN s.id IS NULL OR s.ended_at IS NOT NULL THEN 'session_ended'
        WHEN a.id IS NULL OR a.disabled_at IS NOT NULL THEN 'agent_disabled'
        WHEN c.id IS NULL OR c.access <> 'allowed' THEN 'connection_blocked'
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

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION ended_calls(jsonb) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION ended_calls(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ended_calls(jsonb) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
