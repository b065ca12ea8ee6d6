-- Second factors and passkeys, and the one place that says whether a web session is fully authenticated.
-- The pages' role reads nothing of these tables: what a person has is asked of the gateway.

-- When the second factor was given in this session. Null: not yet, or there is none.
ALTER TABLE web_session ADD COLUMN second_factor_at timestamptz;

-- A secret shared with an app that makes codes, sealed by the gateway. It counts once a code of it was given.
CREATE TABLE person_totp (
  person_id    text PRIMARY KEY REFERENCES person (id) ON DELETE CASCADE,
  sealed       bytea NOT NULL CHECK (length(sealed) <= 1000),
  key_version  integer NOT NULL,
  -- Bound into the seal: the secret before, put back, does not open.
  generation   integer NOT NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  confirmed_at timestamptz,
  -- The time step of the last code that was taken. Codes of it and of steps before it are spent.
  last_step    bigint NOT NULL DEFAULT 0
);

CREATE TABLE person_passkey (
  id            text PRIMARY KEY,
  person_id     text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  credential_id bytea NOT NULL UNIQUE CHECK (length(credential_id) BETWEEN 1 AND 1023),
  public_key    bytea NOT NULL CHECK (length(public_key) <= 4096),
  counter       bigint NOT NULL CHECK (counter >= 0),
  transports    text[] NOT NULL DEFAULT '{}' CHECK (cardinality(transports) <= 10),
  name          text NOT NULL CHECK (length(name) BETWEEN 1 AND 80),
  -- Synced among devices by whoever keeps it.
  is_synced     boolean NOT NULL,
  created_at    timestamptz NOT NULL DEFAULT now(),
  last_used_at  timestamptz
);
CREATE INDEX person_passkey_person ON person_passkey (person_id);

CREATE TABLE person_recovery_code (
  person_id  text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  code_hash  bytea NOT NULL,
  created_at timestamptz NOT NULL DEFAULT now(),
  used_at    timestamptz,
  PRIMARY KEY (person_id, code_hash)
);

-- What an authenticator is asked to sign: once, for one purpose, in the browser or session that asked.
CREATE TABLE passkey_challenge (
  challenge_hash bytea PRIMARY KEY,
  purpose        text NOT NULL CHECK (purpose IN ('register', 'sign_in', 'second_factor', 'step_up')),
  -- Hash of the browser's cookie when nobody is signed in, else the session's id.
  bound_to       bytea NOT NULL,
  created_at     timestamptz NOT NULL DEFAULT now(),
  expires_at     timestamptz NOT NULL
);
CREATE INDEX passkey_challenge_expires ON passkey_challenge (expires_at);

GRANT SELECT, INSERT, UPDATE, DELETE ON person_totp, person_passkey, person_recovery_code, passkey_challenge TO portcullis_app;
GRANT SELECT ON person_totp, person_passkey TO portcullis_resolver;

ALTER TABLE person_totp ENABLE ROW LEVEL SECURITY;
ALTER TABLE person_totp FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person_totp TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY resolver_read ON person_totp FOR SELECT TO portcullis_resolver USING (true);

ALTER TABLE person_passkey ENABLE ROW LEVEL SECURITY;
ALTER TABLE person_passkey FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person_passkey TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY resolver_read ON person_passkey FOR SELECT TO portcullis_resolver USING (true);

ALTER TABLE person_recovery_code ENABLE ROW LEVEL SECURITY;
ALTER TABLE person_recovery_code FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person_recovery_code TO portcullis_app USING (true) WITH CHECK (true);

-- An app whose first code was given, or a passkey.
CREATE FUNCTION has_second_factor(p_person_id text) RETURNS boolean
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT EXISTS (SELECT 1 FROM public.person_totp t WHERE t.person_id = p_person_id AND t.confirmed_at IS NOT NULL)
      OR EXISTS (SELECT 1 FROM public.person_passkey k WHERE k.person_id = p_person_id)
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION has_second_factor(text) OWNER TO portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION has_second_factor(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION has_second_factor(text) TO portcullis_app;

-- The gate. Pages, REST API, connect flows and authorization server all learn of a session here and nowhere else, so one
-- whose person has a second factor and has not given it is no session to any of them.
CREATE OR REPLACE FUNCTION session_by_hash(p_secret_hash bytea)
  RETURNS TABLE (session_id text, person_id text, tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT s.id, s.person_id, s.tenant_id FROM public.web_session s JOIN public.person p ON p.id = s.person_id
   WHERE s.secret_hash = p_secret_hash AND s.status = 'active' AND s.idle_expires_at > now() AND s.expires_at > now() AND p.disabled_at IS NULL
     AND (s.second_factor_at IS NOT NULL OR NOT public.has_second_factor(s.person_id))
$$;
SET LOCAL ROLE portcullis_owner;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
