-- How each registered app fares at its provider, shared by all processes, and which refreshes are due and for whom.
-- Runs as portcullis_owner.

-- One row for each app at a provider. `closed`: requests go. `open`: none go until `open_until`. `half_open`: one went to
-- see, and until `open_until` nobody else does. Times are the database's.
CREATE TABLE provider_app (
  provider    text NOT NULL,
  app_key     text NOT NULL,
  state       text NOT NULL DEFAULT 'closed' CHECK (state IN ('closed', 'open', 'half_open')),
  cause       text CHECK (cause IN ('weather', 'rate_limited', 'app_fault', 'incident')),
  code        text CHECK (length(code) <= 64),
  -- When the present or latest episode of trouble began. Openings soon after one another are one episode.
  since       timestamptz,
  open_until  timestamptz,
  closed_at   timestamptz,
  -- Openings in this episode: each lasts longer than the one before.
  opens       integer NOT NULL DEFAULT 0,
  -- Distinct connections in an unbroken run of trouble, and when it began. A handful at most.
  run         text[] NOT NULL DEFAULT '{}',
  run_at      timestamptz,
  -- The connection whose answer opened it, until another one agrees.
  opener      text,
  -- Connections that were refused as the app's fault while others were served. Alone they stop nobody.
  lone        text[] NOT NULL DEFAULT '{}',
  -- In whose trails the episode stands. A handful at most.
  tenants     text[] NOT NULL DEFAULT '{}',
  -- The fence of every change to the columns above.
  version     bigint NOT NULL DEFAULT 0,
  -- Requests up to here have their turn.
  paced_until timestamptz,
  PRIMARY KEY (provider, app_key)
) WITH (fillfactor = 50);

-- Connections that were lately refused with words nobody documented.
CREATE TABLE provider_app_rejection (
  provider      text NOT NULL,
  app_key       text NOT NULL,
  connection_id text NOT NULL,
  at            timestamptz NOT NULL DEFAULT clock_timestamp(),
  PRIMARY KEY (provider, app_key, connection_id)
);

-- Due refreshes that a worker has taken. Losing a row costs a look at the credential's own lease, nothing else.
CREATE TABLE refresh_claim (
  connection_id text PRIMARY KEY,
  until         timestamptz NOT NULL
);

GRANT SELECT, INSERT, UPDATE, DELETE ON provider_app, provider_app_rejection, refresh_claim TO portcullis_vault;
GRANT SELECT ON provider_app_rejection TO portcullis_resolver;
GRANT SELECT, INSERT, DELETE ON refresh_claim TO portcullis_resolver;

-- Not used for so long that its tokens are left to expire: out of the schedule until the next call.
ALTER TABLE credential ADD COLUMN idle_since timestamptz;
CREATE INDEX credential_idle ON credential (refresh_expires_at) WHERE idle_since IS NOT NULL AND refresh_expires_at IS NOT NULL;

-- Each app's schedule is a range of one index, so that one app's backlog is not in another's way.
DROP INDEX credential_due;
CREATE INDEX credential_due ON credential (provider, provider_app, refresh_at, connection_id) INCLUDE (tenant_id)
  WHERE refresh_at IS NOT NULL AND state IN ('active', 'degraded');
CREATE INDEX credential_app ON credential (provider, provider_app) WHERE state IN ('active', 'degraded');
-- Every row is written twice an hour. The schedule is read from the index alone only where vacuum has been.
ALTER TABLE credential SET (
  fillfactor = 80,
  autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 500,
  autovacuum_vacuum_insert_scale_factor = 0.02, autovacuum_vacuum_insert_threshold = 500,
  autovacuum_analyze_scale_factor = 0.05
);

-- Apps with something due. Jumps from app to app in the index.
CREATE FUNCTION due_apps() RETURNS TABLE (provider text, provider_app text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH RECURSIVE app (provider, provider_app) AS (
    (SELECT c.provider, c.provider_app FROM public.credential c
      WHERE c.refresh_at IS NOT NULL AND c.state IN ('active', 'degraded') ORDER BY c.provider, c.provider_app LIMIT 1)
    UNION ALL
    SELECT n.provider, n.provider_app FROM app CROSS JOIN LATERAL (
      SELECT c.provider, c.provider_app FROM public.credential c
       WHERE c.refresh_at IS NOT NULL AND c.state IN ('active', 'degraded')
         AND (c.provider, c.provider_app) > (app.provider, app.provider_app)
       ORDER BY c.provider, c.provider_app LIMIT 1) n
  )
  SELECT app.provider, app.provider_app FROM app CROSS JOIN LATERAL (
    SELECT 1 FROM public.credential c
     WHERE c.provider = app.provider AND c.provider_app = app.provider_app AND c.refresh_at <= now() AND c.state IN ('active', 'degraded')
     ORDER BY c.refresh_at LIMIT 1) due
$$;

-- What is longest due for one app.
CREATE FUNCTION due_window(p_provider text, p_app text, p_window integer)
  RETURNS TABLE (tenant_id text, connection_id text, refresh_at timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id, c.refresh_at FROM public.credential c
   WHERE c.provider = p_provider AND c.provider_app = p_app AND c.refresh_at <= now() AND c.state IN ('active', 'degraded')
   ORDER BY c.refresh_at, c.connection_id LIMIT p_window
$$;

-- Takes due refreshes of one app for p_hold_ms: of what is longest due each tenant gets its turn, however much another one
-- has. Two workers take one after the other and never the same. A credential unused for p_idle_days is named idle.
CREATE FUNCTION claim_due(p_provider text, p_app text, p_limit integer, p_window integer, p_hold_ms integer, p_idle_days integer)
  RETURNS TABLE (tenant_id text, connection_id text, is_idle boolean)
  LANGUAGE plpgsql VOLATILE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended(p_provider || ' ' || p_app, 7305));
  DELETE FROM public.refresh_claim k WHERE k.until < clock_timestamp();
  RETURN QUERY
  WITH fair AS (
    SELECT d.tenant_id, d.connection_id, d.refresh_at,
           row_number() OVER (PARTITION BY d.tenant_id ORDER BY d.refresh_at, d.connection_id) AS turn
      FROM public.due_window(p_provider, p_app, p_window) d
     WHERE NOT EXISTS (SELECT 1 FROM public.refresh_claim k WHERE k.connection_id = d.connection_id)
  ), chosen AS (
    SELECT f.tenant_id, f.connection_id, f.turn, f.refresh_at FROM fair f ORDER BY f.turn, f.refresh_at, f.connection_id LIMIT p_limit
  ), claimed AS (
    INSERT INTO public.refresh_claim (connection_id, until)
    SELECT ch.connection_id, clock_timestamp() + p_hold_ms * interval '1 millisecond' FROM chosen ch
    ON CONFLICT DO NOTHING RETURNING connection_id
  )
  SELECT ch.tenant_id, ch.connection_id,
         GREATEST(c.last_used_at, c.created_at) < clock_timestamp() - p_idle_days * interval '1 day'
    FROM chosen ch JOIN claimed USING (connection_id)
    JOIN public.credential c ON c.connection_id = ch.connection_id
   ORDER BY ch.turn, ch.refresh_at, ch.connection_id;
END $$;

-- The oldest due of all apps together.
SET LOCAL ROLE portcullis_resolver;
DROP FUNCTION due_refreshes(integer);
SET LOCAL ROLE portcullis_owner;
CREATE FUNCTION due_refreshes(p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.tenant_id, d.connection_id FROM public.due_apps() a CROSS JOIN LATERAL public.due_window(a.provider, a.provider_app, p_limit) d
   ORDER BY d.refresh_at LIMIT p_limit
$$;

-- How many distinct connections of an app were oddly refused of late, and how many are alive, counted no further than matters.
CREATE FUNCTION app_rejections(p_provider text, p_app text, p_minutes integer, p_share integer)
  RETURNS TABLE (rejected integer, active integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  WITH odd AS (
    SELECT count(*)::integer AS n FROM public.provider_app_rejection r
     WHERE r.provider = p_provider AND r.app_key = p_app AND r.at > clock_timestamp() - p_minutes * interval '1 minute'
  )
  SELECT odd.n, (SELECT count(*)::integer FROM (
      SELECT 1 FROM public.credential c
       WHERE c.provider = p_provider AND c.provider_app = p_app AND c.state IN ('active', 'degraded')
       LIMIT (SELECT o.n * p_share + 1 FROM odd o)) counted) FROM odd
$$;

-- Idle credentials whose grant itself ends within p_days.
CREATE FUNCTION idle_ending(p_days integer, p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c
   WHERE c.idle_since IS NOT NULL AND c.refresh_expires_at IS NOT NULL
     AND c.refresh_expires_at < now() + p_days * interval '1 day' AND c.state IN ('active', 'degraded')
   ORDER BY c.refresh_expires_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION due_apps() OWNER TO portcullis_resolver;
ALTER FUNCTION due_window(text, text, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_refreshes(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION claim_due(text, text, integer, integer, integer, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION app_rejections(text, text, integer, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION idle_ending(integer, integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION due_apps(), due_refreshes(integer), due_window(text, text, integer), claim_due(text, text, integer, integer, integer, integer),
  app_rejections(text, text, integer, integer), idle_ending(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_apps(), due_refreshes(integer), claim_due(text, text, integer, integer, integer, integer),
  app_rejections(text, text, integer, integer), idle_ending(integer, integer) TO portcullis_vault;
SET LOCAL ROLE portcullis_owner;
