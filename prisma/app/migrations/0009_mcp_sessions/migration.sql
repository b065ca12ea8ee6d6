-- The gateways that run now, so that a request of an MCP session finds the one that holds it.
CREATE TABLE gateway_instance (
  id            text PRIMARY KEY,
  -- Where other gateways reach this one. Null: they cannot.
  advertise_url text,
  started_at    timestamptz NOT NULL DEFAULT now(),
  heartbeat_at  timestamptz NOT NULL DEFAULT now()
);
GRANT SELECT, INSERT, UPDATE, DELETE ON gateway_instance TO portcullis_app;

-- What the open streams of a gateway wait for: the end of their access, and a change of what their agent may list. One
-- answer for each watcher; the fingerprint changes when profile or accounts do and says nothing else.
CREATE FUNCTION watched_agents(p_watchers jsonb) RETURNS TABLE (watcher text, ended text, fingerprint text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT i.watcher,
    CASE
      WHEN t.id IS NULL OR t.disabled_at IS NOT NULL THEN 'tenant_disabled'
      WHEN s.id IS NULL OR s.ended_at IS NOT NULL THEN 'session_ended'
      WHEN a.id IS NULL OR a.disabled_at IS NOT NULL THEN 'agent_disabled'
    END,
    md5(concat_ws('|', a.profile_version, (
      SELECT string_agg(concat_ws(':', c.id, c.access, c.account_label), ',' ORDER BY c.id) FROM public.connection c
       WHERE c.tenant_id = i.tenant_id AND c.access <> 'deleted' AND c.state <> 'connecting'
         AND (i.person_id IS NULL OR c.owner_person_id = i.person_id))))
  FROM jsonb_to_recordset(p_watchers) AS i (
    watcher text, tenant_id text, agent_id text, agent_session_id text, person_id text)
  LEFT JOIN public.tenant t ON t.id = i.tenant_id
  LEFT JOIN public.agent_session s ON s.tenant_id = i.tenant_id AND s.id = i.agent_session_id
  LEFT JOIN public.agent a ON a.tenant_id = i.tenant_id AND a.id = i.agent_id
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION watched_agents(jsonb) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION watched_agents(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION watched_agents(jsonb) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
