-- How long what a client is given lasts, at most, in one workspace: its access tokens, a session that is not used, and
-- any session. A workspace may ask for less than the server's own limits, never for more.
ALTER TABLE tenant ADD COLUMN access_minutes integer NOT NULL DEFAULT 15 CHECK (access_minutes BETWEEN 1 AND 15);
ALTER TABLE tenant ADD COLUMN session_idle_days integer NOT NULL DEFAULT 30 CHECK (session_idle_days BETWEEN 1 AND 30);
ALTER TABLE tenant ADD COLUMN session_absolute_days integer NOT NULL DEFAULT 90 CHECK (session_absolute_days BETWEEN 1 AND 90);

-- Asked with every token, before anybody's row is read by tenant.
CREATE FUNCTION oauth_lifetimes(p_tenant_id text)
  RETURNS TABLE (access_minutes integer, session_idle_days integer, session_absolute_days integer)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.access_minutes, t.session_idle_days, t.session_absolute_days FROM public.tenant t WHERE t.id = p_tenant_id
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION oauth_lifetimes(text) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION oauth_lifetimes(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION oauth_lifetimes(text) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
