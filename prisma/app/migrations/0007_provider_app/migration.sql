-- What people see of the apps at the providers, and of connections nobody uses. Copies for display; the vault decides.
-- Runs as portcullis_owner.

-- One row for each app that had trouble. Everybody of this installation shares its apps; there is nothing of a tenant in it.
CREATE TABLE provider_app_status (
  provider   text NOT NULL,
  app_key    text NOT NULL,
  state      text NOT NULL CHECK (state IN ('closed', 'open')),
  cause      text CHECK (cause IN ('weather', 'rate_limited', 'app_fault', 'incident')),
  code       text CHECK (length(code) <= 64),
  since      timestamptz,
  open_until timestamptz,
  -- The vault's version of what is copied here. An older copy never overwrites a newer one.
  version    bigint NOT NULL,
  PRIMARY KEY (provider, app_key)
);
GRANT SELECT, INSERT, UPDATE, DELETE ON provider_app_status TO portcullis_app;
GRANT SELECT ON provider_app_status TO portcullis_web;

ALTER TABLE connection
  -- Its tokens are left to expire since then, because nobody used it.
  ADD COLUMN idle_since  timestamptz,
  -- `unused`, or `grant_ending`: what the provider granted ends soon and the account will have to be connected again.
  ADD COLUMN idle_reason text CHECK (idle_reason IN ('unused', 'grant_ending'));
