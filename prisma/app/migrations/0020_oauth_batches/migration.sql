-- What the authorization server does for every token, for all that ask at the same moment: one round trip and one commit.
-- The callers' order does not matter: each item is judged as if it came alone, after those before it.

-- Keeps tokens: {model, id, payload, grant, parent, client, seconds, sessionSeconds, isExact}, hashes in hex.
-- The session of a token is its grant's, or its client's. A grant that is gone leaves a token without a session, which no
-- look-up finds. With sessionSeconds the session then lasts so long from now: longer than before unless isExact, never
-- beyond its absolute limit. Sessions of several workspaces are among them, so each is entered by itself and this is
-- refused inside of one.
CREATE FUNCTION keep_oauth_tokens(p_tokens jsonb, p_absolute_seconds float8) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  token record;
  kept record;
BEGIN
  IF COALESCE(public.current_tenant(), '') <> '' THEN
    RAISE EXCEPTION 'tokens are kept outside of any tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  FOR token IN
    SELECT t.model, decode(t.id, 'hex') AS id_hash, t.payload, decode(t."grant", 'hex') AS grant_hash, decode(t.parent, 'hex') AS parent_hash,
           t.client, t.seconds, t."sessionSeconds" AS session_seconds, t."isExact" AS is_exact
      FROM jsonb_to_recordset(p_tokens) AS t (model text, id text, payload jsonb, "grant" text, parent text, client text,
        seconds float8, "sessionSeconds" float8, "isExact" boolean)
     ORDER BY t."grant", t.id
  LOOP
    INSERT INTO public.oauth_artifact (model, id_hash, payload, grant_hash, tenant_id, agent_session_id, parent_hash, expires_at)
    SELECT token.model, token.id_hash, token.payload, token.grant_hash, COALESCE(g.tenant_id, c.tenant_id),
           COALESCE(g.agent_session_id, c.agent_session_id), token.parent_hash, now() + make_interval(secs => token.seconds)
      FROM (SELECT 1) AS one
      LEFT JOIN public.oauth_artifact g ON g.model = 'Grant' AND g.id_hash = token.grant_hash
      LEFT JOIN public.oauth_client c ON c.id = token.client
    ON CONFLICT (model, id_hash) DO UPDATE SET payload = EXCLUDED.payload, expires_at = EXCLUDED.expires_at
    RETURNING tenant_id, agent_session_id INTO kept;
    CONTINUE WHEN token.session_seconds IS NULL OR kept.tenant_id IS NULL OR kept.agent_session_id IS NULL;
    PERFORM set_config('app.tenant_id', kept.tenant_id, true);
    UPDATE public.agent_session s
       SET expires_at = GREATEST(CASE WHEN token.is_exact THEN NULL ELSE s.expires_at END,
             LEAST(now() + make_interval(secs => token.session_seconds), s.created_at + make_interval(secs => p_absolute_seconds)))
     WHERE s.tenant_id = kept.tenant_id AND s.id = kept.agent_session_id AND s.ended_at IS NULL;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

-- Spends refresh tokens, given by their hashes in hex, and says of each whether it could be. The grant remembers the token
-- spent last; a child of that one becomes the last, and the last itself may be spent again so often for so long.
CREATE FUNCTION spend_refresh_tokens(p_hashes text[], p_grace_seconds float8, p_grace_uses integer)
  RETURNS TABLE (hash text, is_spent boolean)
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  presented text;
BEGIN
  FOREACH presented IN ARRAY p_hashes LOOP
    UPDATE public.oauth_artifact g
       SET head_hash = r.id_hash,
           head_at = CASE WHEN g.head_hash = r.id_hash THEN g.head_at ELSE now() END,
           head_uses = CASE WHEN g.head_hash = r.id_hash THEN g.head_uses + 1 ELSE 0 END
      FROM public.oauth_artifact r
     WHERE r.model = 'RefreshToken' AND r.id_hash = decode(presented, 'hex') AND r.expires_at > now()
       AND g.model = 'Grant' AND g.id_hash = r.grant_hash
       AND (g.head_hash IS NOT DISTINCT FROM r.parent_hash
            OR (g.head_hash = r.id_hash AND g.head_at > now() - make_interval(secs => p_grace_seconds) AND g.head_uses < p_grace_uses));
    is_spent := FOUND;
    IF FOUND THEN
      UPDATE public.oauth_artifact SET consumed_at = COALESCE(consumed_at, now())
       WHERE model = 'RefreshToken' AND id_hash = decode(presented, 'hex');
    END IF;
    hash := presented;
    RETURN NEXT;
  END LOOP;
END
$$;

REVOKE ALL ON FUNCTION keep_oauth_tokens(jsonb, float8), spend_refresh_tokens(text[], float8, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_oauth_tokens(jsonb, float8), spend_refresh_tokens(text[], float8, integer) TO portcullis_app;
