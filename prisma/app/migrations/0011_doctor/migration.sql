-- What clients fetched, sent and got on their way to an agent: a short memory for whoever wonders why one does not get
-- through. Nothing here is a secret, nothing is decided by it, and losing it loses nothing else.

CREATE TABLE doctor_step (
  tenant_id  text NOT NULL REFERENCES tenant (id),
  id         text NOT NULL,
  agent_id   text NOT NULL,
  at         timestamptz NOT NULL DEFAULT now(),
  -- The same step again within a minute is counted, not written again.
  repeats    integer NOT NULL DEFAULT 0 CHECK (repeats >= 0),
  last_at    timestamptz NOT NULL DEFAULT now(),
  step       text NOT NULL CHECK (length(step) <= 40),
  status     integer NOT NULL,
  -- Why it was refused, as a code. Null: it was not.
  problem    text CHECK (length(problem) <= 40),
  client     text CHECK (length(client) <= 120),
  network    text NOT NULL CHECK (length(network) <= 64),
  detail     jsonb NOT NULL DEFAULT '{}' CHECK (octet_length(detail::text) <= 2000),
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, agent_id) REFERENCES agent (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX doctor_step_agent ON doctor_step (tenant_id, agent_id, at DESC, id DESC);
CREATE INDEX doctor_step_time ON doctor_step (at);
CREATE INDEX doctor_step_network ON doctor_step (network, last_at DESC);

GRANT SELECT, INSERT, UPDATE, DELETE ON doctor_step TO portcullis_app;
GRANT SELECT ON doctor_step TO portcullis_resolver;
ALTER TABLE doctor_step ENABLE ROW LEVEL SECURITY;
ALTER TABLE doctor_step FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON doctor_step TO portcullis_app, portcullis_web
  USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY resolver_read ON doctor_step FOR SELECT TO portcullis_resolver USING (true);

-- Whose agents these are. Ids of nothing are left out.
CREATE FUNCTION doctor_agents(p_agent_ids text[]) RETURNS TABLE (agent_id text, tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT a.id, a.tenant_id FROM public.agent a WHERE a.id = ANY (p_agent_ids)
$$;

-- The agent that a network asked about last. A step that names no agent (the server's metadata, a registration) belongs to
-- it; nothing when the network, an office or a vendor's cloud, asked about agents of two workspaces lately.
CREATE FUNCTION doctor_agents_of_networks(p_networks text[]) RETURNS TABLE (network text, agent_id text, tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT n.network, (array_agg(d.agent_id ORDER BY d.last_at DESC))[1], min(d.tenant_id)
    FROM unnest(p_networks) AS n (network)
    JOIN public.doctor_step d ON d.network = n.network AND d.last_at > now() - interval '10 minutes'
   GROUP BY n.network HAVING count(DISTINCT d.tenant_id) = 1
$$;

CREATE FUNCTION expired_doctor_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT d.tenant_id FROM public.doctor_step d WHERE d.at < now() - interval '14 days'
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION doctor_agents(text[]) OWNER TO portcullis_resolver;
ALTER FUNCTION doctor_agents_of_networks(text[]) OWNER TO portcullis_resolver;
ALTER FUNCTION expired_doctor_tenants() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION doctor_agents(text[]), doctor_agents_of_networks(text[]), expired_doctor_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION doctor_agents(text[]), doctor_agents_of_networks(text[]), expired_doctor_tenants() TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
