-- How a credential ends and what is remembered on the way: odd rejections, uncertain answers, the week before a revoked
-- value is destroyed, and states that people were not shown yet. Runs as portcullis_owner.

ALTER TABLE credential
  -- The last rejection nobody documented. Many connections of one app with a recent one are an incident of the app.
  ADD COLUMN rejected_at timestamptz,
  -- A request with this refresh token may have been carried out although its answer was an error (a 502 of a proxy).
  ADD COLUMN maybe_spent boolean NOT NULL DEFAULT false,
  -- Revoked: sealed and unusable until then, destroyed after. An operator may restore it before.
  ADD COLUMN shred_at timestamptz,
  -- False from the commit of a state until the application database has its copy.
  ADD COLUMN state_shown boolean NOT NULL DEFAULT true;
CREATE INDEX credential_rejected ON credential (provider_app, rejected_at) WHERE rejected_at IS NOT NULL;
CREATE INDEX credential_shred ON credential (shred_at) WHERE shred_at IS NOT NULL;
CREATE INDEX credential_unshown ON credential (state_at) WHERE NOT state_shown;

-- The same table as lib/vault/state.ts; a test compares the two pair by pair. What the code would not do, nothing does.
CREATE FUNCTION guard_credential_state() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog AS $$
DECLARE is_legal boolean;
BEGIN
  is_legal := CASE OLD.state
    WHEN 'connecting' THEN NEW.state IN ('active', 'revoked', 'disconnected')
    WHEN 'active' THEN NEW.state IN ('degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended')
    WHEN 'refreshing' THEN NEW.state IN ('active', 'degraded', 'reauthorization_required', 'revoked', 'disconnected', 'suspended')
    WHEN 'degraded' THEN NEW.state IN ('active', 'reauthorization_required', 'revoked', 'disconnected', 'suspended')
    WHEN 'reauthorization_required' THEN NEW.state IN ('active', 'revoked', 'disconnected')
    WHEN 'revoked' THEN NEW.state IN ('active', 'disconnected')
    WHEN 'suspended' THEN NEW.state IN ('active', 'reauthorization_required', 'revoked', 'disconnected')
    ELSE false
  END;
  IF NOT is_legal THEN
    RAISE EXCEPTION 'a credential does not go from % to %', OLD.state, NEW.state USING ERRCODE = 'check_violation';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER credential_state BEFORE UPDATE OF state ON credential
  FOR EACH ROW WHEN (OLD.state IS DISTINCT FROM NEW.state) EXECUTE FUNCTION guard_credential_state();

-- Revoked credentials whose week is over.
CREATE FUNCTION due_shreds(p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c WHERE c.shred_at <= now() ORDER BY c.shred_at LIMIT p_limit
$$;

-- States that the application database does not show yet: its copy failed, or the process died between the two commits.
CREATE FUNCTION unshown_states(p_limit integer) RETURNS TABLE (tenant_id text, connection_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT c.tenant_id, c.connection_id FROM public.credential c
   WHERE NOT c.state_shown AND c.state_at < now() - interval '5 seconds' ORDER BY c.state_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION due_shreds(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION unshown_states(integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION due_shreds(integer), unshown_states(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION due_shreds(integer), unshown_states(integer) TO portcullis_vault;
SET LOCAL ROLE portcullis_owner;
