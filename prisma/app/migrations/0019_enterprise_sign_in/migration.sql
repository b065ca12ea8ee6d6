-- Signing in at somebody else's: a workspace's own OpenID Connect issuer, and a person's Google or GitHub account.

-- One issuer per workspace. The client secret is sealed with the workspace's key; the pages' role reads nothing of it.
CREATE TABLE sign_in_config (
  tenant_id    text PRIMARY KEY REFERENCES tenant (id),
  -- Part of the redirect URI, so that no two issuers ever answer at one address.
  id           text NOT NULL UNIQUE,
  issuer       text NOT NULL CHECK (length(issuer) <= 500),
  client_id    text NOT NULL CHECK (length(client_id) <= 300),
  sealed_secret bytea NOT NULL CHECK (length(sealed_secret) <= 4000),
  key_version  integer NOT NULL,
  -- What somebody becomes who signs in and is no member yet; null: they are refused. Never owner.
  join_role    text CHECK (join_role IN ('admin', 'member', 'auditor')),
  enforced     boolean NOT NULL DEFAULT false,
  -- When somebody last came through it, as it is now. Nothing can be enforced that nobody ever came through.
  signed_in_at timestamptz,
  created_by   text REFERENCES person (id) ON DELETE SET NULL,
  created_at   timestamptz NOT NULL DEFAULT now(),
  updated_at   timestamptz NOT NULL DEFAULT now(),
  CHECK (NOT enforced OR signed_in_at IS NOT NULL)
);

-- A domain that the workspace says is its own. Proven by a TXT record, and again every day.
CREATE TABLE sign_in_domain (
  tenant_id     text NOT NULL REFERENCES tenant (id),
  domain        text NOT NULL CHECK (domain ~ '^([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9][a-z0-9-]{0,61}[a-z0-9]$' AND length(domain) <= 253),
  challenge     text NOT NULL,
  verified_at   timestamptz,
  checked_at    timestamptz,
  missing_since timestamptz,
  created_at    timestamptz NOT NULL DEFAULT now(),
  PRIMARY KEY (tenant_id, domain)
);
-- Of two workspaces one has it.
CREATE UNIQUE INDEX sign_in_domain_verified ON sign_in_domain (domain) WHERE verified_at IS NOT NULL;
CREATE INDEX sign_in_domain_checked ON sign_in_domain (checked_at);

-- Who somebody is elsewhere: issuer and subject, and nothing that can be given to another, as an address can.
-- With a workspace it was made through that workspace's issuer and opens that workspace alone.
CREATE TABLE person_identity (
  id           text PRIMARY KEY,
  person_id    text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  tenant_id    text REFERENCES tenant (id),
  provider     text NOT NULL CHECK (provider IN ('oidc', 'google', 'github')),
  issuer       text NOT NULL,
  subject      text NOT NULL CHECK (length(subject) BETWEEN 1 AND 255),
  label        text NOT NULL DEFAULT '' CHECK (length(label) <= 320),
  created_at   timestamptz NOT NULL DEFAULT now(),
  last_used_at timestamptz NOT NULL DEFAULT now(),
  CHECK ((provider = 'oidc') = (tenant_id IS NOT NULL))
);
CREATE UNIQUE INDEX person_identity_subject ON person_identity (COALESCE(tenant_id, ''), issuer, subject);
CREATE UNIQUE INDEX person_identity_one_of_workspace ON person_identity (tenant_id, person_id) WHERE tenant_id IS NOT NULL;
CREATE UNIQUE INDEX person_identity_one_of_provider ON person_identity (person_id, provider) WHERE tenant_id IS NULL;

-- One sign-in under way elsewhere. The state parameter is stored as a hash and spent by one conditional UPDATE.
CREATE TABLE sign_in_attempt (
  id             text PRIMARY KEY,
  state_hash     bytea NOT NULL UNIQUE,
  browser_hash   bytea NOT NULL,
  provider       text NOT NULL CHECK (provider IN ('oidc', 'google', 'github')),
  tenant_id      text REFERENCES tenant (id),
  config_id      text,
  issuer         text NOT NULL,
  client_id      text NOT NULL,
  -- With a person: they are signed in and link what comes back to themself.
  person_id      text REFERENCES person (id) ON DELETE CASCADE,
  web_session_id text,
  code_verifier  text NOT NULL,
  nonce          text NOT NULL,
  -- Asked to prove themself anew at the issuer.
  is_renewal     boolean NOT NULL DEFAULT false,
  next_path      text,
  created_at     timestamptz NOT NULL DEFAULT now(),
  expires_at     timestamptz NOT NULL,
  used_at        timestamptz
);
CREATE INDEX sign_in_attempt_expires ON sign_in_attempt (expires_at);

-- A session that a workspace's issuer vouched for acts in that workspace alone: whoever runs the issuer could sign in as
-- any of its people, and must not reach what else those people belong to.
ALTER TABLE web_session ADD COLUMN only_tenant_id text;
ALTER TABLE web_session ADD COLUMN identity_id text;
CREATE INDEX web_session_only_tenant ON web_session (only_tenant_id, browser_hash) WHERE only_tenant_id IS NOT NULL;

------------------------------------------------------------------------------------------------- grants and row security

GRANT SELECT, INSERT, UPDATE, DELETE ON sign_in_config, sign_in_domain, person_identity, sign_in_attempt TO portcullis_app;
GRANT SELECT (id, person_id, tenant_id, provider, issuer, label, created_at, last_used_at) ON person_identity TO portcullis_web;
GRANT SELECT (only_tenant_id) ON web_session TO portcullis_web;
GRANT SELECT (tenant_id, id, enforced) ON sign_in_config TO portcullis_resolver;
GRANT SELECT (tenant_id, domain, verified_at, checked_at) ON sign_in_domain TO portcullis_resolver;
GRANT SELECT (person_id, tenant_id) ON person_identity TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['sign_in_config', 'sign_in_domain'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
END $$;
ALTER TABLE person_identity ENABLE ROW LEVEL SECURITY;
ALTER TABLE person_identity FORCE ROW LEVEL SECURITY;
CREATE POLICY everyone ON person_identity TO portcullis_app USING (true) WITH CHECK (true);
CREATE POLICY resolver_read ON person_identity FOR SELECT TO portcullis_resolver USING (true);
CREATE POLICY own ON person_identity FOR SELECT TO portcullis_web USING (person_id = current_person());

-------------------------------------------------------------------------------------------------------------- functions

/*
 * The workspaces of this session's person, oldest membership first, and what each says to this very session:
 *   open             it may enter
 *   sso_required     the workspace wants its people to come through its issuer, and this session did not
 *   other_workspace  the session came through another workspace's issuer
 * An owner keeps one way back in: their own password or passkey. A link by mail or another account is none, because
 * mail and accounts often belong to the very issuer that does not work. It is theirs to use, and recorded when they do.
 */
CREATE FUNCTION session_workspaces(p_session_id text) RETURNS TABLE (tenant_id text, entry text, is_way_back boolean)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT m.tenant_id,
    CASE
      WHEN s.only_tenant_id = m.tenant_id THEN 'open'
      WHEN s.only_tenant_id IS NOT NULL THEN 'other_workspace'
      WHEN asked.is_asked AND NOT owns.is_way_back THEN 'sso_required'
      ELSE 'open'
    END,
    s.only_tenant_id IS NULL AND asked.is_asked AND owns.is_way_back
  FROM public.web_session s
  JOIN public.person p ON p.id = s.person_id
  JOIN public.membership m ON m.person_id = s.person_id
  JOIN public.tenant t ON t.id = m.tenant_id AND t.disabled_at IS NULL
  LEFT JOIN public.sign_in_config c ON c.tenant_id = m.tenant_id AND c.enforced
  -- Whoever is linked, and whoever has an address of a proven domain.
  CROSS JOIN LATERAL (SELECT c.tenant_id IS NOT NULL AND (
      EXISTS (SELECT 1 FROM public.person_identity i WHERE i.tenant_id = m.tenant_id AND i.person_id = m.person_id)
      OR EXISTS (SELECT 1 FROM public.sign_in_domain d WHERE d.tenant_id = m.tenant_id AND d.verified_at IS NOT NULL
                    AND d.domain = split_part(p.email_canonical, '@', 2))) AS is_asked) asked
  CROSS JOIN LATERAL (SELECT m.role = 'owner' AND s.method IN ('password', 'passkey', 'setup', 'sign_up') AS is_way_back) owns
  WHERE s.id = p_session_id
  ORDER BY m.created_at, m.tenant_id
$$;

-- Where people of this domain sign in. Says nothing about any person.
CREATE FUNCTION sign_in_tenant_of_domain(p_domain text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.tenant_id FROM public.sign_in_domain d
    JOIN public.sign_in_config c ON c.tenant_id = d.tenant_id
    JOIN public.tenant t ON t.id = d.tenant_id AND t.disabled_at IS NULL
   WHERE d.domain = p_domain AND d.verified_at IS NOT NULL
$$;

CREATE FUNCTION sign_in_tenant_of_slug(p_slug text) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT t.id FROM public.tenant t JOIN public.sign_in_config c ON c.tenant_id = t.id WHERE t.slug = p_slug AND t.disabled_at IS NULL
$$;

-- Domains whose record has not been looked at for a while.
CREATE FUNCTION due_sign_in_domains(p_older_than_seconds integer, p_limit integer) RETURNS TABLE (tenant_id text, domain text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.tenant_id, d.domain FROM public.sign_in_domain d
   WHERE d.verified_at IS NOT NULL AND d.checked_at < now() - make_interval(secs => p_older_than_seconds) ORDER BY d.checked_at LIMIT p_limit
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION session_workspaces(text) OWNER TO portcullis_resolver;
ALTER FUNCTION sign_in_tenant_of_domain(text) OWNER TO portcullis_resolver;
ALTER FUNCTION sign_in_tenant_of_slug(text) OWNER TO portcullis_resolver;
ALTER FUNCTION due_sign_in_domains(integer, integer) OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;
SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION session_workspaces(text), sign_in_tenant_of_domain(text), sign_in_tenant_of_slug(text), due_sign_in_domains(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION session_workspaces(text) TO portcullis_web, portcullis_app;
GRANT EXECUTE ON FUNCTION sign_in_tenant_of_domain(text), sign_in_tenant_of_slug(text), due_sign_in_domains(integer, integer) TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
