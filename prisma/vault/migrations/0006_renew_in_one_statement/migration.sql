-- A sign of life of an attempt, in one statement: a process that is stopped right after it leaves no row locked behind.
CREATE FUNCTION renew_lease(p_tenant_id text, p_connection_id text, p_generation integer, p_attempt_id text, p_lease_ms integer)
  RETURNS boolean
  LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
  PERFORM public.enter_tenant(p_tenant_id);
  UPDATE public.credential SET lease_until = clock_timestamp() + p_lease_ms * interval '1 millisecond'
   WHERE tenant_id = p_tenant_id AND connection_id = p_connection_id AND generation = p_generation AND attempt_id = p_attempt_id;
  RETURN FOUND;
END
$$;

REVOKE ALL ON FUNCTION renew_lease(text, text, integer, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION renew_lease(text, text, integer, text, integer) TO portcullis_vault;
