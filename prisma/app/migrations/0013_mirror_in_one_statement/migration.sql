-- What a refresh reads and writes here, one round trip each: the functions set the tenant for row-level security and are
-- transactions by themselves. They run with the rights of the caller, so the policies of the tables decide.

-- For the rest of the transaction. Whoever is in one tenant does not leave it for another.
CREATE FUNCTION enter_tenant(p_tenant_id text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  IF COALESCE(public.current_tenant(), '') NOT IN ('', p_tenant_id) THEN
    RAISE EXCEPTION 'this transaction belongs to another tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  PERFORM set_config('app.tenant_id', p_tenant_id, true);
END
$$;

-- What guards a credential against an old vault row.
CREATE FUNCTION connection_floor(p_tenant_id text, p_connection_id text) RETURNS TABLE (generation integer, access text)
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  RETURN QUERY SELECT c.credential_generation, c.access FROM public.connection c
    WHERE c.tenant_id = p_tenant_id AND c.id = p_connection_id;
END
$$;

-- One line of the history, once, and only of a connection that people can see: the history is a part of it.
CREATE FUNCTION add_refresh_event(
  p_tenant_id text, p_connection_id text, p_id text, p_at timestamptz, p_cause text, p_outcome text, p_code text,
  p_latency_ms integer, p_generation integer
) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  INSERT INTO public.refresh_event (tenant_id, id, connection_id, at, cause, outcome, code, latency_ms, generation)
  SELECT c.tenant_id, p_id, c.id, p_at, p_cause, p_outcome, p_code, p_latency_ms, p_generation
    FROM public.connection c WHERE c.tenant_id = p_tenant_id AND c.id = p_connection_id
  ON CONFLICT DO NOTHING;
END
$$;

-- What became of a credential, and the attempt that made it so unless p_event_id is null. Of two reports that cross, the
-- newer counts, each part by its own date.
CREATE FUNCTION show_credential(
  p_tenant_id text, p_connection_id text, p_at timestamptz, p_access_expires_at timestamptz, p_refresh_expires_at timestamptz,
  p_next_refresh_at timestamptz, p_refresh_token_present boolean, p_failures integer,
  p_floor integer, p_scopes text[],
  p_event_id text, p_event_at timestamptz, p_cause text, p_outcome text, p_code text, p_latency_ms integer, p_generation integer
) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  issued_at timestamptz := CASE WHEN p_outcome = 'issued' THEN p_event_at END;
  failed_at timestamptz := CASE WHEN p_outcome <> 'issued' THEN p_event_at END;
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  UPDATE public.connection c
     SET credential_generation = GREATEST(c.credential_generation, p_floor),
         granted_scopes = CASE WHEN c.credential_generation < p_floor THEN COALESCE(p_scopes, c.granted_scopes) ELSE c.granted_scopes END,
         last_refresh_at = GREATEST(c.last_refresh_at, issued_at),
         last_error_code = CASE WHEN failed_at > COALESCE(c.last_error_at, '-infinity') THEN COALESCE(p_code, p_outcome) ELSE c.last_error_code END,
         last_error_at = GREATEST(c.last_error_at, failed_at)
   WHERE c.tenant_id = p_tenant_id AND c.id = p_connection_id;
  UPDATE public.connection c
     SET access_expires_at = p_access_expires_at, refresh_expires_at = p_refresh_expires_at, next_refresh_at = p_next_refresh_at,
         refresh_token_present = p_refresh_token_present, failures = p_failures, shown_at = p_at
   WHERE c.tenant_id = p_tenant_id AND c.id = p_connection_id AND (c.shown_at IS NULL OR c.shown_at <= p_at);
  IF p_event_id IS NOT NULL THEN
    PERFORM public.add_refresh_event(p_tenant_id, p_connection_id, p_event_id, p_event_at, p_cause, p_outcome, p_code, p_latency_ms, p_generation);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION enter_tenant(text), connection_floor(text, text),
  add_refresh_event(text, text, text, timestamptz, text, text, text, integer, integer),
  show_credential(text, text, timestamptz, timestamptz, timestamptz, timestamptz, boolean, integer, integer, text[],
    text, timestamptz, text, text, text, integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enter_tenant(text), connection_floor(text, text),
  add_refresh_event(text, text, text, timestamptz, text, text, text, integer, integer),
  show_credential(text, text, timestamptz, timestamptz, timestamptz, timestamptz, boolean, integer, integer, text[],
    text, timestamptz, text, text, text, integer, integer) TO portcullis_app;
