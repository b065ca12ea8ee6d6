-- Keys that follow one another: several key-encryption keys in use, tenant keys that are given up, and rotations that go on
-- where a lost process left them. Runs as portcullis_owner.

-- One canary for each key-encryption key in use; what an older installation had stays.
ALTER TABLE key_canary DROP CONSTRAINT key_canary_pkey;
ALTER TABLE key_canary DROP COLUMN id;
ALTER TABLE key_canary ADD PRIMARY KEY (kek_id);

-- The first canary of an installation: of several processes that start together one writes it.
CREATE FUNCTION put_first_canary(p_kek_id text, p_sealed bytea) RETURNS void
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(hashtextextended('portcullis key canary', 0));
  IF NOT EXISTS (SELECT 1 FROM public.key_canary) THEN
    INSERT INTO public.key_canary (kek_id, sealed) VALUES (p_kek_id, p_sealed);
  END IF;
END $$;

-- A rotation, by what it rotates: 'kek', 'tenant/<tenant>/<purpose>' or 'dek/<tenant>/<connection or *>'. Without finished_at
-- it is under way, or its process died; whoever takes it up goes on behind `position`.
CREATE TABLE key_rotation (
  scope       text PRIMARY KEY,
  target      text NOT NULL,
  position    text NOT NULL DEFAULT '',
  done        integer NOT NULL DEFAULT 0,
  started_at  timestamptz NOT NULL DEFAULT now(),
  finished_at timestamptz
);
GRANT SELECT, INSERT, UPDATE, DELETE ON key_rotation TO portcullis_vault;

-- The least version of a tenant's vault key that may still be written. A writer that prepared its row under an older one and
-- then slept is refused, so that nothing is ever sealed under a key that has been destroyed.
CREATE TABLE key_fence (
  tenant_id   text PRIMARY KEY,
  min_version integer NOT NULL CHECK (min_version > 0)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON key_fence TO portcullis_vault;
GRANT SELECT ON key_fence TO portcullis_resolver;
ALTER TABLE key_fence ENABLE ROW LEVEL SECURITY;
ALTER TABLE key_fence FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_isolation ON key_fence TO portcullis_vault
  USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant());
CREATE POLICY resolver_read ON key_fence FOR SELECT TO portcullis_resolver USING (true);

-- Writers share the lock until they commit; whoever raises the fence takes it alone, and so waits for all that passed
-- before it and is seen by all that come after.
CREATE FUNCTION refuse_retired_key() RETURNS trigger
  LANGUAGE plpgsql VOLATILE SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM pg_advisory_xact_lock_shared(hashtextextended('portcullis key fence ' || NEW.tenant_id, 0));
  IF EXISTS (SELECT 1 FROM public.key_fence f WHERE f.tenant_id = NEW.tenant_id AND NEW.key_version < f.min_version) THEN
    RAISE EXCEPTION 'sealed under a key version that was given up' USING ERRCODE = 'PCK01';
  END IF;
  RETURN NEW;
END $$;
CREATE TRIGGER refuse_retired_key BEFORE INSERT OR UPDATE OF key_version, dek_wrapped ON credential
  FOR EACH ROW WHEN (NEW.dek_wrapped IS NOT NULL) EXECUTE FUNCTION refuse_retired_key();
CREATE TRIGGER refuse_retired_key BEFORE INSERT OR UPDATE OF key_version, dek_wrapped ON revocation
  FOR EACH ROW EXECUTE FUNCTION refuse_retired_key();

-- How many rows need which version of whose vault key.
CREATE FUNCTION key_references() RETURNS TABLE (tenant_id text, key_version integer, credentials bigint, revocations bigint)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT r.tenant_id, r.key_version, sum(r.credentials)::bigint, sum(r.revocations)::bigint FROM (
    SELECT c.tenant_id, c.key_version, count(*) AS credentials, 0::bigint AS revocations
      FROM public.credential c WHERE c.dek_wrapped IS NOT NULL GROUP BY 1, 2
    UNION ALL
    SELECT v.tenant_id, v.key_version, 0::bigint, count(*) FROM public.revocation v GROUP BY 1, 2) r
  GROUP BY 1, 2
$$;
GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION key_references() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

REVOKE ALL ON FUNCTION put_first_canary(text, bytea), refuse_retired_key() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION put_first_canary(text, bytea) TO portcullis_vault;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION key_references() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION key_references() TO portcullis_vault;
SET LOCAL ROLE portcullis_owner;
