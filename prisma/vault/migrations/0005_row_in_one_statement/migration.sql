-- A row of one tenant in one round trip: each sets the tenant for row-level security and is a transaction by itself, where a
-- statement of its own for the tenant would make it four. They run with the rights of the caller, so the policies of the
-- table decide as before, and inside a transaction of the same tenant they change nothing about it.

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

CREATE FUNCTION credential_of(p_tenant_id text, p_connection_id text) RETURNS SETOF credential
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  RETURN QUERY SELECT c.* FROM public.credential c WHERE c.tenant_id = p_tenant_id AND c.connection_id = p_connection_id;
END
$$;

-- Read again once the lock is held: what was waited for is in it.
CREATE FUNCTION locked_credential(p_tenant_id text, p_connection_id text) RETURNS SETOF credential
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  PERFORM FROM public.credential c WHERE c.tenant_id = p_tenant_id AND c.connection_id = p_connection_id FOR UPDATE;
  RETURN QUERY SELECT c.* FROM public.credential c WHERE c.tenant_id = p_tenant_id AND c.connection_id = p_connection_id;
END
$$;

-- The lease, by compare-and-set in database time: no row for whoever comes second. A lease that ran out has an attempt
-- whose outcome nobody knows.
CREATE FUNCTION claim_credential(
  p_tenant_id text, p_connection_id text, p_generation integer, p_attempt_id text, p_owner text, p_lease_ms integer
) RETURNS SETOF credential
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  RETURN QUERY UPDATE public.credential c
     SET lease_owner = p_owner, lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond',
         attempt_id = p_attempt_id, attempt_started_at = clock_timestamp(), updated_at = clock_timestamp(),
         unknown_outcomes = c.unknown_outcomes + CASE WHEN c.lease_owner IS NULL THEN 0 ELSE 1 END
   WHERE c.tenant_id = p_tenant_id AND c.connection_id = p_connection_id AND c.generation = p_generation
     AND c.state IN ('active', 'degraded') AND (c.lease_owner IS NULL OR c.lease_until < clock_timestamp())
  RETURNING c.*;
END
$$;

-- New tokens over the old ones, and the end of whatever attempt was under way. Instants by the database's clock; those that
-- are null stay unknown. With an attempt it holds only while this attempt has the row, as it was claimed: no row for whoever
-- comes late, and the event is not written either.
CREATE FUNCTION store_tokens(
  p_tenant_id text, p_connection_id text, p_provider text, p_provider_app text, p_subject text, p_generation integer,
  p_key_version integer, p_dek_wrapped bytea, p_access_sealed bytea, p_refresh_sealed bytea,
  p_access_ms float8, p_refresh_ms float8, p_due_ms float8, p_scopes text[],
  p_attempt_id text, p_event_id text, p_event jsonb
) RETURNS SETOF credential
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  RETURN QUERY UPDATE public.credential c
     SET generation = p_generation, key_version = p_key_version, dek_wrapped = p_dek_wrapped,
         provider = p_provider, provider_app = p_provider_app, subject = p_subject,
         access_sealed = p_access_sealed, refresh_sealed = p_refresh_sealed,
         issued_at = clock_timestamp(),
         access_expires_at = clock_timestamp() + p_access_ms * interval '1 millisecond',
         refresh_expires_at = clock_timestamp() + p_refresh_ms * interval '1 millisecond',
         refresh_at = clock_timestamp() + p_due_ms * interval '1 millisecond',
         granted_scopes = COALESCE(p_scopes, c.granted_scopes),
         lease_owner = NULL, lease_until = NULL, attempt_id = NULL, attempt_started_at = NULL, idle_since = NULL,
         unknown_outcomes = 0, maybe_spent = false, failures = 0, rejections = 0, first_rejection_at = NULL, rejected_at = NULL,
         updated_at = clock_timestamp()
   WHERE c.tenant_id = p_tenant_id AND c.connection_id = p_connection_id
     AND (p_attempt_id IS NULL OR (c.attempt_id = p_attempt_id AND c.generation = p_generation - 1 AND c.state = 'active'
       AND c.provider = p_provider AND c.provider_app = p_provider_app AND c.subject = p_subject))
  RETURNING c.*;
  IF FOUND AND p_event IS NOT NULL THEN
    INSERT INTO public.audit_outbox (tenant_id, id, record) VALUES (p_tenant_id, p_event_id, p_event);
  END IF;
END
$$;

REVOKE ALL ON FUNCTION enter_tenant(text), credential_of(text, text), locked_credential(text, text),
  claim_credential(text, text, integer, text, text, integer), store_tokens(text, text, text, text, text, integer, integer,
  bytea, bytea, bytea, float8, float8, float8, text[], text, text, jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION enter_tenant(text), credential_of(text, text), locked_credential(text, text),
  claim_credential(text, text, integer, text, text, integer), store_tokens(text, text, text, text, text, integer, integer,
  bytea, bytea, bytea, float8, float8, float8, text[], text, text, jsonb) TO portcullis_vault;
