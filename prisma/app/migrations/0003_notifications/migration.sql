-- What people are told about their connections: in the product, by mail, by a signed call to an address of theirs.
-- Runs as portcullis_owner.

-- Whether an agent that is stuck may be told the name of the person who can help. Never their address.
ALTER TABLE tenant ADD COLUMN agents_see_owner_names boolean NOT NULL DEFAULT true;

-- One stretch of trouble of one connection: from leaving `active` until it is back, or gone. `level` is how bad the worst
-- is that people were told of: 0 nothing yet, 1 degraded, 2 unusable. It only rises, so each step is told once.
CREATE TABLE connection_episode (
  tenant_id     text NOT NULL REFERENCES tenant (id),
  id            text NOT NULL,
  connection_id text NOT NULL,
  began_at      timestamptz NOT NULL,
  generation    integer NOT NULL,
  state_at      timestamptz NOT NULL,
  level         smallint NOT NULL DEFAULT 0 CHECK (level BETWEEN 0 AND 2),
  created_at    timestamptz NOT NULL DEFAULT now(),
  ended_at      timestamptz,
  PRIMARY KEY (tenant_id, id)
);
CREATE UNIQUE INDEX connection_episode_open ON connection_episode (tenant_id, connection_id) WHERE ended_at IS NULL;
CREATE INDEX connection_episode_ended ON connection_episode (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX connection_trouble ON connection (tenant_id, id)
  WHERE access <> 'deleted' AND state IN ('degraded', 'reauthorization_required', 'revoked', 'suspended');

-- One row for one person. Labels are kept as they were, so that a row can be read when the connection is gone.
CREATE TABLE notification (
  tenant_id     text NOT NULL REFERENCES tenant (id),
  id            text NOT NULL,
  person_id     text NOT NULL REFERENCES person (id) ON DELETE CASCADE,
  kind          text NOT NULL CHECK (kind IN ('degraded', 'reauthorization_required', 'revoked', 'suspended', 'recovered', 'webhook_disabled')),
  -- Which step of an episode: 1 and 2 as its level, 0 for its good end.
  step          smallint,
  episode_id    text,
  connection_id text,
  provider      text,
  label         text NOT NULL CHECK (length(label) <= 400),
  reason        text CHECK (length(reason) <= 64),
  is_owner      boolean NOT NULL DEFAULT false,
  created_at    timestamptz NOT NULL DEFAULT now(),
  read_at       timestamptz,
  -- When the mail that tells of it may leave; NULL when none waits.
  mail_due_at   timestamptz,
  mail_id       text,
  PRIMARY KEY (tenant_id, id),
  CHECK ((episode_id IS NULL) = (step IS NULL))
);
-- However often and from wherever an episode is looked at, nobody is told the same twice.
CREATE UNIQUE INDEX notification_once ON notification (tenant_id, episode_id, person_id, step) WHERE episode_id IS NOT NULL;
CREATE INDEX notification_person ON notification (tenant_id, person_id, id DESC);
CREATE INDEX notification_unread ON notification (tenant_id, person_id) WHERE read_at IS NULL;
CREATE INDEX notification_mail_due ON notification (mail_due_at) WHERE mail_due_at IS NOT NULL;
CREATE INDEX notification_mail ON notification (tenant_id, mail_id) WHERE mail_id IS NOT NULL;
CREATE INDEX notification_time ON notification (created_at);
-- How many mails somebody had within the hour.
CREATE INDEX mail_person ON mail (person_id, created_at);

-- Where a workspace wants to be told. The signing secret is sealed under a key of the tenant and never shown again.
CREATE TABLE webhook (
  tenant_id         text NOT NULL REFERENCES tenant (id),
  id                text NOT NULL,
  url               text NOT NULL CHECK (length(url) <= 2048),
  sealed_secret     bytea NOT NULL,
  key_version       integer NOT NULL,
  created_by        text REFERENCES person (id) ON DELETE SET NULL,
  created_at        timestamptz NOT NULL DEFAULT now(),
  last_delivered_at timestamptz,
  failing_since     timestamptz,
  disabled_at       timestamptz,
  disabled_reason   text CHECK (length(disabled_reason) <= 64),
  PRIMARY KEY (tenant_id, id)
);

-- One call to an address, however many tries it takes. The body is kept as sent, so that every try sends the same bytes.
CREATE TABLE webhook_delivery (
  tenant_id       text NOT NULL,
  id              text NOT NULL,
  webhook_id      text NOT NULL,
  type            text NOT NULL CHECK (type IN ('connections.need_attention', 'webhook.test')),
  body            text NOT NULL CHECK (length(body) <= 262144),
  item_count      integer NOT NULL,
  status          text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'delivered', 'failed')),
  attempts        integer NOT NULL DEFAULT 0,
  next_at         timestamptz NOT NULL DEFAULT now(),
  created_at      timestamptz NOT NULL DEFAULT now(),
  last_attempt_at timestamptz,
  last_status     integer,
  last_error      text CHECK (length(last_error) <= 64),
  ended_at        timestamptz,
  PRIMARY KEY (tenant_id, id),
  FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhook (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_delivery_due ON webhook_delivery (next_at) WHERE status = 'queued';
CREATE INDEX webhook_delivery_webhook ON webhook_delivery (tenant_id, webhook_id, id DESC);
CREATE INDEX webhook_delivery_ended ON webhook_delivery (ended_at) WHERE ended_at IS NOT NULL;

-- What waits to be told to an address. Gathered for a while, then sent as one.
CREATE TABLE webhook_event (
  tenant_id   text NOT NULL,
  webhook_id  text NOT NULL,
  episode_id  text NOT NULL,
  step        smallint NOT NULL,
  item        jsonb NOT NULL,
  created_at  timestamptz NOT NULL DEFAULT now(),
  delivery_id text,
  PRIMARY KEY (tenant_id, webhook_id, episode_id, step),
  FOREIGN KEY (tenant_id, webhook_id) REFERENCES webhook (tenant_id, id) ON DELETE CASCADE
);
CREATE INDEX webhook_event_waiting ON webhook_event (tenant_id, webhook_id, created_at) WHERE delivery_id IS NULL;
CREATE INDEX webhook_event_sent ON webhook_event (created_at) WHERE delivery_id IS NOT NULL;

------------------------------------------------------------------------------------------------- grants and row security

GRANT SELECT, INSERT, UPDATE, DELETE ON connection_episode, notification, webhook, webhook_delivery, webhook_event TO portcullis_app;
GRANT SELECT ON notification TO portcullis_web;
GRANT SELECT ON connection_episode, notification, webhook_event TO portcullis_resolver;
GRANT SELECT (tenant_id, id, status, next_at, ended_at) ON webhook_delivery TO portcullis_resolver;

DO $$
DECLARE t text;
BEGIN
  FOREACH t IN ARRAY ARRAY['connection_episode', 'notification', 'webhook', 'webhook_delivery', 'webhook_event'] LOOP
    EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
    EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
    EXECUTE format('CREATE POLICY tenant_isolation ON %I TO portcullis_app, portcullis_web USING (tenant_id = current_tenant()) WITH CHECK (tenant_id = current_tenant())', t);
  END LOOP;
  FOREACH t IN ARRAY ARRAY['connection_episode', 'notification', 'webhook_delivery', 'webhook_event'] LOOP
    EXECUTE format('CREATE POLICY resolver_read ON %I FOR SELECT TO portcullis_resolver USING (true)', t);
  END LOOP;
END $$;
-- The pages show everybody their own and nobody another's.
CREATE POLICY own ON notification AS RESTRICTIVE TO portcullis_web USING (person_id = current_person()) WITH CHECK (person_id = current_person());

-------------------------------------------------------------------------------------------------------------- functions

-- Workspaces where something about a connection has not been told yet, or a told trouble has ended.
CREATE FUNCTION tenants_with_connection_news(p_settle_seconds integer, p_limit integer) RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT DISTINCT x.tenant_id FROM (
    SELECT c.tenant_id FROM public.connection c
      LEFT JOIN public.connection_episode e ON e.tenant_id = c.tenant_id AND e.connection_id = c.id AND e.ended_at IS NULL
     WHERE c.access <> 'deleted' AND c.state IN ('degraded', 'reauthorization_required', 'revoked', 'suspended')
       AND (e.id IS NULL OR (e.level < 2 AND c.state <> 'degraded')
            OR (e.level < 1 AND e.began_at <= now() - make_interval(secs => p_settle_seconds))
            OR (e.generation < c.credential_generation AND e.state_at < c.state_at))
    UNION ALL
    SELECT e.tenant_id FROM public.connection_episode e
      LEFT JOIN public.connection c ON c.tenant_id = e.tenant_id AND c.id = e.connection_id
     WHERE e.ended_at IS NULL AND (c.id IS NULL OR c.access = 'deleted' OR c.state IN ('active', 'disconnected'))
  ) x JOIN public.tenant t ON t.id = x.tenant_id AND t.disabled_at IS NULL
  LIMIT p_limit
$$;

-- Whose mail has waited long enough.
CREATE FUNCTION due_notification_mails(p_limit integer) RETURNS TABLE (tenant_id text, person_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT n.tenant_id, n.person_id FROM public.notification n WHERE n.mail_due_at <= now()
   GROUP BY n.tenant_id, n.person_id ORDER BY min(n.mail_due_at) LIMIT p_limit
$$;

-- Addresses for which something has waited long enough.
CREATE FUNCTION due_webhook_batches(p_window_seconds integer, p_limit integer) RETURNS TABLE (tenant_id text, webhook_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT e.tenant_id, e.webhook_id FROM public.webhook_event e WHERE e.delivery_id IS NULL
   GROUP BY e.tenant_id, e.webhook_id HAVING min(e.created_at) <= now() - make_interval(secs => p_window_seconds)
   ORDER BY min(e.created_at) LIMIT p_limit
$$;

CREATE FUNCTION due_webhook_deliveries(p_limit integer) RETURNS TABLE (tenant_id text, delivery_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT d.tenant_id, d.id FROM public.webhook_delivery d WHERE d.status = 'queued' AND d.next_at <= now() ORDER BY d.next_at LIMIT p_limit
$$;

-- Where something told long ago may be forgotten.
CREATE FUNCTION expired_notification_tenants() RETURNS TABLE (tenant_id text)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
  SELECT n.tenant_id FROM public.notification n WHERE n.created_at < now() - interval '90 days'
  UNION SELECT d.tenant_id FROM public.webhook_delivery d WHERE d.ended_at < now() - interval '30 days'
  UNION SELECT e.tenant_id FROM public.webhook_event e WHERE e.delivery_id IS NOT NULL AND e.created_at < now() - interval '30 days'
  UNION SELECT e.tenant_id FROM public.connection_episode e WHERE e.ended_at < now() - interval '180 days'
$$;

GRANT CREATE ON SCHEMA public TO portcullis_resolver;
ALTER FUNCTION tenants_with_connection_news(integer, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_notification_mails(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_webhook_batches(integer, integer) OWNER TO portcullis_resolver;
ALTER FUNCTION due_webhook_deliveries(integer) OWNER TO portcullis_resolver;
ALTER FUNCTION expired_notification_tenants() OWNER TO portcullis_resolver;
REVOKE CREATE ON SCHEMA public FROM portcullis_resolver;

SET LOCAL ROLE portcullis_resolver;
REVOKE ALL ON FUNCTION tenants_with_connection_news(integer, integer), due_notification_mails(integer), due_webhook_batches(integer, integer),
  due_webhook_deliveries(integer), expired_notification_tenants() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION tenants_with_connection_news(integer, integer), due_notification_mails(integer), due_webhook_batches(integer, integer),
  due_webhook_deliveries(integer), expired_notification_tenants() TO portcullis_app;
SET LOCAL ROLE portcullis_owner;
