-- What the authorization server does for every token, for all that ask at the same moment: one round trip and one commit.
-- Plans are kept, and one that was made while the tables were small must do when they are large: so every row is reached
-- by its key, in a look-up of its own that no plan can turn into a scan (OFFSET 0).

-- Grants and refresh tokens are changed when they are used; a free place on their page spares the indexes.
ALTER TABLE oauth_artifact SET (fillfactor = 75);

-- Keeps tokens: {model, id, payload, grant, parent, client, seconds, sessionSeconds, isExact}, hashes in hex.
-- The session of a token is its grant's, or its client's. A grant that is gone leaves a token without a session, which no
-- look-up finds. With sessionSeconds the session then lasts so long from now: longer than before unless isExact, never
-- beyond its absolute limit. Sessions of several workspaces are among them, so each is entered by itself and this is
-- refused inside of one.
CREATE FUNCTION keep_oauth_tokens(p_tokens jsonb, p_absolute_seconds float8) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  prolonged record;
BEGIN
  IF COALESCE(public.current_tenant(), '') <> '' THEN
    RAISE EXCEPTION 'tokens are kept outside of any tenant' USING ERRCODE = 'insufficient_privilege';
  END IF;
  FOR prolonged IN
    WITH given AS MATERIALIZED (
      SELECT t.model, decode(t.id, 'hex') AS id_hash, t.payload, decode(t."grant", 'hex') AS grant_hash, decode(t.parent, 'hex') AS parent_hash,
             t.client, t.seconds, t."sessionSeconds" AS session_seconds, t."isExact" AS is_exact,
             COALESCE(g.tenant_id, c.tenant_id) AS tenant_id, COALESCE(g.agent_session_id, c.agent_session_id) AS agent_session_id
        FROM jsonb_to_recordset(p_tokens) AS t (model text, id text, payload jsonb, "grant" text, parent text, client text,
          seconds float8, "sessionSeconds" float8, "isExact" boolean)
        LEFT JOIN LATERAL (
          SELECT a.tenant_id, a.agent_session_id FROM public.oauth_artifact a
           WHERE a.model = 'Grant' AND a.id_hash = decode(t."grant", 'hex') OFFSET 0) g ON true
        LEFT JOIN LATERAL (
          SELECT o.tenant_id, o.agent_session_id FROM public.oauth_client o WHERE o.id = t.client OFFSET 0) c ON true
    ), kept AS (
      INSERT INTO public.oauth_artifact (model, id_hash, payload, grant_hash, tenant_id, agent_session_id, parent_hash, expires_at)
      SELECT t.model, t.id_hash, t.payload, t.grant_hash, t.tenant_id, t.agent_session_id, t.parent_hash,
             now() + make_interval(secs => t.seconds)
        FROM given t
      ON CONFLICT (model, id_hash) DO UPDATE SET payload = EXCLUDED.payload, expires_at = EXCLUDED.expires_at
    )
    -- In one order for all gateways, so that two batches do not wait for each other.
    SELECT t.tenant_id, t.agent_session_id, max(t.session_seconds) AS seconds, bool_or(t.is_exact) AS is_exact
      FROM given t
     WHERE t.session_seconds IS NOT NULL AND t.tenant_id IS NOT NULL AND t.agent_session_id IS NOT NULL
     GROUP BY t.tenant_id, t.agent_session_id ORDER BY t.tenant_id, t.agent_session_id
  LOOP
    PERFORM set_config('app.tenant_id', prolonged.tenant_id, true);
    UPDATE public.agent_session s
       SET expires_at = GREATEST(CASE WHEN prolonged.is_exact THEN NULL ELSE s.expires_at END,
             LEAST(now() + make_interval(secs => prolonged.seconds), s.created_at + make_interval(secs => p_absolute_seconds)))
     WHERE s.tenant_id = prolonged.tenant_id AND s.id = prolonged.agent_session_id AND s.ended_at IS NULL;
  END LOOP;
  PERFORM set_config('app.tenant_id', '', true);
END
$$;

-- Refreshing: {spends, grant, tokens} each, hashes in hex. The presented token is spent and its successors are kept, as
-- keep_oauth_tokens does, or neither is; returns the places in the list, from 1, of those that were, each judged after
-- those of its grant before it. The grant remembers the token spent last; a child of that one becomes the last, and the
-- last itself may be spent again so often for so long.
CREATE FUNCTION rotate_oauth_tokens(p_rotations jsonb, p_absolute_seconds float8, p_grace_seconds float8, p_grace_uses integer)
  RETURNS integer[]
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
  rotation record;
  presented record;
  spent integer[] := '{}';
  kept jsonb := '[]';
BEGIN
  FOR rotation IN
    SELECT r.n::integer AS place, decode(r.value ->> 'spends', 'hex') AS id_hash, r.value -> 'tokens' AS tokens
      FROM jsonb_array_elements(p_rotations) WITH ORDINALITY AS r (value, n)
     ORDER BY r.value ->> 'grant', r.n
  LOOP
    SELECT r.grant_hash, r.parent_hash INTO presented FROM public.oauth_artifact r
     WHERE r.model = 'RefreshToken' AND r.id_hash = rotation.id_hash AND r.expires_at > now();
    UPDATE public.oauth_artifact g
       SET head_hash = rotation.id_hash,
           head_at = CASE WHEN g.head_hash = rotation.id_hash THEN g.head_at ELSE now() END,
           head_uses = CASE WHEN g.head_hash = rotation.id_hash THEN g.head_uses + 1 ELSE 0 END
     WHERE g.model = 'Grant' AND g.id_hash = presented.grant_hash
       AND (g.head_hash IS NOT DISTINCT FROM presented.parent_hash
            OR (g.head_hash = rotation.id_hash AND g.head_at > now() - make_interval(secs => p_grace_seconds) AND g.head_uses < p_grace_uses));
    CONTINUE WHEN NOT FOUND;
    UPDATE public.oauth_artifact r SET consumed_at = COALESCE(r.consumed_at, now())
     WHERE r.model = 'RefreshToken' AND r.id_hash = rotation.id_hash;
    spent := spent || rotation.place;
    kept := kept || rotation.tokens;
  END LOOP;
  PERFORM public.keep_oauth_tokens(kept, p_absolute_seconds);
  RETURN spent;
END
$$;

-- What is presented, by model and hash, each with its place in the list from 1, unless it has expired. With the
-- session it acts for, if that may act now: not ended, its agent, its workspace and its person still there; the digest is
-- the client's as it was approved. A refresh token comes with its grant and how long its workspace lets things last.
CREATE FUNCTION find_oauth_artifacts(p_models text[], p_hashes bytea[])
  RETURNS TABLE (place integer, payload jsonb, consumed_at timestamptz, live_session_id text, client_digest bytea,
    grant_hash bytea, grant_payload jsonb, access_minutes integer, session_idle_days integer, session_absolute_days integer)
  LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
#variable_conflict use_column
BEGIN
  RETURN QUERY
  SELECT q.n::integer, a.payload, a.consumed_at, l.id, l.client_digest, g.id_hash, g.payload,
         f.access_minutes, f.session_idle_days, f.session_absolute_days
    FROM unnest(p_models, p_hashes) WITH ORDINALITY AS q (model, hash, n)
    JOIN LATERAL (
      SELECT o.model, o.payload, o.consumed_at, o.tenant_id, o.agent_session_id, o.grant_hash FROM public.oauth_artifact o
       WHERE o.model = q.model AND o.id_hash = q.hash AND o.expires_at > now()
      OFFSET 0) a ON true
    LEFT JOIN LATERAL (
      SELECT s.id, s.client_digest FROM public.agent_session s
        JOIN public.agent b ON b.tenant_id = s.tenant_id AND b.id = s.agent_id AND b.disabled_at IS NULL
        JOIN public.tenant t ON t.id = s.tenant_id AND t.disabled_at IS NULL
        LEFT JOIN public.membership m ON m.tenant_id = s.tenant_id AND m.person_id = s.person_id
        LEFT JOIN public.person p ON p.id = m.person_id AND p.disabled_at IS NULL
       WHERE s.tenant_id = a.tenant_id AND s.id = a.agent_session_id AND s.ended_at IS NULL AND s.expires_at > now()
         AND (s.acts_for = 'workspace' OR p.id IS NOT NULL)
      OFFSET 0) l ON true
    LEFT JOIN LATERAL (
      SELECT o.id_hash, o.payload, o.tenant_id FROM public.oauth_artifact o
       WHERE a.model = 'RefreshToken' AND o.model = 'Grant' AND o.id_hash = a.grant_hash AND o.expires_at > now()
      OFFSET 0) g ON true
    LEFT JOIN LATERAL (SELECT * FROM public.tenant t WHERE t.id = g.tenant_id OFFSET 0) f ON true;
END
$$;
DROP FUNCTION live_agent_session(text, text);
GRANT SELECT (consumed_at, grant_hash) ON oauth_artifact TO portcullis_resolver;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION find_oauth_artifacts(text[], bytea[]) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION find_oauth_artifacts(text[], bytea[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION find_oauth_artifacts(text[], bytea[]) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
REVOKE ALL ON FUNCTION keep_oauth_tokens(jsonb, float8), rotate_oauth_tokens(jsonb, float8, float8, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION keep_oauth_tokens(jsonb, float8), rotate_oauth_tokens(jsonb, float8, float8, integer) TO portcullis_app;
