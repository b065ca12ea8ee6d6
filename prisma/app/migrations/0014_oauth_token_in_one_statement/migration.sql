-- What the authorization server does for every token, one round trip each.

-- Keeps a token of a grant; its session is the grant's. A grant that is gone leaves a token without a session, which no
-- look-up finds. With p_session_seconds the session then lasts so long from now: longer than before unless p_is_exact,
-- never beyond its absolute limit.
CREATE FUNCTION keep_oauth_token(
  p_model text, p_id_hash bytea, p_payload jsonb, p_grant_hash bytea, p_parent_hash bytea, p_seconds float8,
  p_session_seconds float8, p_is_exact boolean, p_absolute_seconds float8
) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  kept record;
BEGIN
  INSERT INTO public.oauth_artifact (model, id_hash, payload, grant_hash, tenant_id, agent_session_id, parent_hash, expires_at)
  SELECT p_model, p_id_hash, p_payload, p_grant_hash, g.tenant_id, g.agent_session_id, p_parent_hash, now() + make_interval(secs => p_seconds)
    FROM (SELECT 1) AS one LEFT JOIN public.oauth_artifact g ON g.model = 'Grant' AND g.id_hash = p_grant_hash
  ON CONFLICT (model, id_hash) DO UPDATE SET payload = EXCLUDED.payload, expires_at = EXCLUDED.expires_at
  RETURNING tenant_id, agent_session_id INTO kept;
  IF p_session_seconds IS NULL OR kept.tenant_id IS NULL OR kept.agent_session_id IS NULL THEN
    RETURN;
  END IF;
  PERFORM public.enter_tenant(kept.tenant_id);
  UPDATE public.agent_session s
     SET expires_at = GREATEST(CASE WHEN p_is_exact THEN NULL ELSE s.expires_at END,
           LEAST(now() + make_interval(secs => p_session_seconds), s.created_at + make_interval(secs => p_absolute_seconds)))
   WHERE s.tenant_id = kept.tenant_id AND s.id = kept.agent_session_id AND s.ended_at IS NULL;
END
$$;

REVOKE ALL ON FUNCTION keep_oauth_token(text, bytea, jsonb, bytea, bytea, float8, float8, boolean, float8) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_oauth_token(text, bytea, jsonb, bytea, bytea, float8, float8, boolean, float8) TO portcullis_app;
