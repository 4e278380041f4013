-- A session of a browser is an API token whose secret changes: when it last
-- did, what it was before, and the API token that the person signed in with.
ALTER TABLE api_token ADD COLUMN rotated INTEGER;
ALTER TABLE api_token ADD COLUMN secret_hash_before TEXT;
ALTER TABLE api_token ADD COLUMN parent TEXT;
