-- Where an agent session was used last, so that people recognise it, or do not. Copies for display; nothing is decided by them.
ALTER TABLE agent_session ADD COLUMN last_network text CHECK (length(last_network) <= 64);
ALTER TABLE agent_session ADD COLUMN last_client  text CHECK (length(last_client) <= 60);
GRANT SELECT (last_network, last_client) ON agent_session TO portcullis_web;
