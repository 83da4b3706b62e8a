-- One schema for D1, SQLite and Postgres: times are milliseconds since 1970, JSON is text, and each statement ends at a line's end.
CREATE TABLE api_keys (
  id TEXT PRIMARY KEY,
  -- SHA-256 of the secret, hexadecimal; that of the key before a rotation holds until its time.
  hash TEXT NOT NULL,
  old_hash TEXT,
  old_hash_until BIGINT,
  name TEXT NOT NULL,
  owner TEXT NOT NULL,
  -- JSON: a list of scopes; {"rpm", "tpm", "tpd", "concurrency"}; a list of models, or null for all.
  scopes TEXT NOT NULL,
  limits TEXT NOT NULL,
  models TEXT,
  -- off, meta or full
  history TEXT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX api_keys_by_owner ON api_keys (owner, created_at);

CREATE TABLE usage (
  hour BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  route TEXT NOT NULL,
  model TEXT NOT NULL,
  status INTEGER NOT NULL,
  requests BIGINT NOT NULL,
  items BIGINT NOT NULL,
  tokens BIGINT NOT NULL,
  cached BIGINT NOT NULL,
  ms BIGINT NOT NULL,
  PRIMARY KEY (hour, key_id, route, model, status)
);

CREATE TABLE predictions (
  id TEXT PRIMARY KEY,
  at BIGINT NOT NULL,
  key_id TEXT NOT NULL,
  route TEXT NOT NULL,
  model TEXT NOT NULL,
  -- SHA-256 of the input, and the input itself where the key asks for it.
  digest TEXT NOT NULL,
  input TEXT,
  output TEXT NOT NULL,
  ms BIGINT NOT NULL,
  expires_at BIGINT NOT NULL
);
CREATE INDEX predictions_by_key ON predictions (key_id, at, id);
CREATE INDEX predictions_by_expiry ON predictions (expires_at);

CREATE TABLE files (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  filename TEXT NOT NULL,
  purpose TEXT NOT NULL,
  bytes BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  expires_at BIGINT
);
CREATE INDEX files_by_owner ON files (owner, created_at, id);

CREATE TABLE batches (
  id TEXT PRIMARY KEY,
  owner TEXT NOT NULL,
  key_id TEXT NOT NULL,
  -- JSON: the key as it was, for tokens of an identity provider, which are in no table.
  caller TEXT NOT NULL,
  idempotency_key TEXT,
  endpoint TEXT NOT NULL,
  input_file TEXT NOT NULL,
  output_file TEXT,
  error_file TEXT,
  state TEXT NOT NULL,
  metadata TEXT,
  errors TEXT,
  parts INTEGER NOT NULL,
  total BIGINT NOT NULL,
  completed BIGINT NOT NULL,
  failed BIGINT NOT NULL,
  created_at BIGINT NOT NULL,
  started_at BIGINT,
  finalizing_at BIGINT,
  ended_at BIGINT,
  cancelling_at BIGINT,
  expires_at BIGINT NOT NULL
);
CREATE UNIQUE INDEX batches_once ON batches (owner, idempotency_key);
CREATE INDEX batches_by_owner ON batches (owner, created_at, id);

CREATE TABLE batch_parts (
  batch_id TEXT NOT NULL,
  part INTEGER NOT NULL,
  -- Bytes and lines of the input file.
  start_at BIGINT NOT NULL,
  length BIGINT NOT NULL,
  first_line BIGINT NOT NULL,
  lines INTEGER NOT NULL,
  state TEXT NOT NULL,
  -- The run whose answers count, and the bytes of its answers and of its errors, which are one object.
  run TEXT,
  out_bytes BIGINT NOT NULL,
  err_bytes BIGINT NOT NULL,
  completed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (batch_id, part)
);
CREATE INDEX batch_parts_by_state ON batch_parts (state, changed_at);

CREATE TABLE indexes (
  owner TEXT NOT NULL,
  name TEXT NOT NULL,
  model TEXT NOT NULL,
  dimensions INTEGER NOT NULL,
  state TEXT NOT NULL,
  -- JSON: the build and its options; and the object that the index is kept in.
  source TEXT NOT NULL,
  object TEXT,
  etag TEXT,
  items BIGINT NOT NULL,
  error TEXT,
  created_at BIGINT NOT NULL,
  changed_at BIGINT NOT NULL,
  PRIMARY KEY (owner, name)
);

CREATE TABLE heads (
  name TEXT PRIMARY KEY,
  -- classify, route or detect
  task TEXT NOT NULL,
  model TEXT NOT NULL,
  -- For the alias /analyze: the layer and the kind of classifier that the origin's requests name.
  layer INTEGER,
  classifier TEXT,
  digest TEXT NOT NULL,
  created_at BIGINT NOT NULL
);

-- The queue of hosts that have no queue of their own.
CREATE TABLE queue (
  id TEXT PRIMARY KEY,
  topic TEXT NOT NULL,
  body TEXT NOT NULL,
  ready_at BIGINT NOT NULL,
  attempts INTEGER NOT NULL,
  dead INTEGER NOT NULL
);
CREATE INDEX queue_by_time ON queue (dead, ready_at);

-- The meter of hosts that count in SQL.
CREATE TABLE meters (
  id TEXT PRIMARY KEY,
  used BIGINT NOT NULL,
  resets_at BIGINT NOT NULL
);
