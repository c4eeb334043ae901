CREATE TABLE meta (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE users (
  id {uuid} PRIMARY KEY, email TEXT NOT NULL UNIQUE, role TEXT NOT NULL,
  password_hash TEXT, disabled BIGINT NOT NULL DEFAULT 0,
  seq BIGINT NOT NULL DEFAULT 0, created_at BIGINT NOT NULL, seen_at BIGINT
);
CREATE TABLE sessions (
  token_hash TEXT PRIMARY KEY, user_id {uuid} NOT NULL REFERENCES users (id),
  created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, seen_at BIGINT NOT NULL
);
CREATE INDEX sessions_by_user ON sessions (user_id);
CREATE TABLE one_time_links (
  id {uuid} PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE,
  user_id {uuid} REFERENCES users (id), email TEXT NOT NULL, role TEXT NOT NULL,
  created_at BIGINT NOT NULL, expires_at BIGINT NOT NULL, used_at BIGINT
);
CREATE TABLE api_tokens (
  id {uuid} PRIMARY KEY, user_id {uuid} NOT NULL REFERENCES users (id), name TEXT NOT NULL,
  token_hash TEXT NOT NULL UNIQUE, created_at BIGINT NOT NULL, last_used_at BIGINT,
  revoked_at BIGINT
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, id) WHERE revoked_at IS NULL;
CREATE TABLE jobs (
  id {uuid} PRIMARY KEY, user_id {uuid} NOT NULL REFERENCES users (id),
  kind TEXT NOT NULL, title TEXT NOT NULL, channels TEXT NOT NULL, state TEXT NOT NULL,
  paused BIGINT NOT NULL DEFAULT 0, cancel_requested BIGINT NOT NULL DEFAULT 0,
  total BIGINT NOT NULL, open BIGINT NOT NULL, succeeded BIGINT NOT NULL DEFAULT 0,
  failed BIGINT NOT NULL DEFAULT 0, cancelled BIGINT NOT NULL DEFAULT 0,
  needs_person BIGINT NOT NULL DEFAULT 0,
  created_at BIGINT NOT NULL, finished_at BIGINT
);
CREATE INDEX jobs_by_user ON jobs (user_id, id);
CREATE INDEX jobs_running ON jobs (user_id, id) WHERE state = 'running';
CREATE TABLE idempotency_keys (
  user_id {uuid} NOT NULL, name TEXT NOT NULL, body_hash TEXT NOT NULL,
  job_id {uuid} NOT NULL, created_at BIGINT NOT NULL, PRIMARY KEY (user_id, name)
);
CREATE TABLE tasks (
  id {uuid} PRIMARY KEY, job_id {uuid} NOT NULL REFERENCES jobs (id),
  user_id {uuid} NOT NULL, cause_id {uuid},
  kind TEXT NOT NULL, version BIGINT NOT NULL, queue TEXT NOT NULL, key TEXT NOT NULL,
  channel TEXT, sku TEXT NOT NULL, title TEXT NOT NULL, row_no BIGINT NOT NULL,
  body TEXT NOT NULL, memo TEXT,
  state TEXT NOT NULL, attempt BIGINT NOT NULL DEFAULT 0, lost BIGINT NOT NULL DEFAULT 0,
  unsure BIGINT NOT NULL DEFAULT 0, waiting_for TEXT,
  run_after BIGINT NOT NULL, published_at BIGINT, started_at BIGINT,
  lease_owner TEXT, lease_until BIGINT, fence BIGINT NOT NULL DEFAULT 0,
  outcome TEXT, traceparent TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL
);
CREATE INDEX tasks_by_job ON tasks (job_id, row_no, id);
CREATE INDEX tasks_by_job_state ON tasks (job_id, state, row_no);
CREATE INDEX tasks_caused ON tasks (job_id) WHERE cause_id IS NOT NULL;
CREATE INDEX tasks_to_publish ON tasks (queue, job_id, run_after)
  WHERE state = 'queued' AND published_at IS NULL;
CREATE INDEX tasks_unclaimed ON tasks (queue, published_at)
  WHERE state = 'queued' AND published_at IS NOT NULL;
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE state = 'running';
CREATE INDEX tasks_by_sku ON tasks (user_id, LOWER(sku){bytewise}, id DESC);
CREATE UNIQUE INDEX tasks_one_running ON tasks (kind, key) WHERE state = 'running';
CREATE INDEX tasks_succeeded_by_key ON tasks (kind, key, created_at) WHERE state = 'succeeded';
CREATE TABLE attempts (
  task_id {uuid} NOT NULL REFERENCES tasks (id), fence BIGINT NOT NULL,
  number BIGINT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT NOT NULL,
  worker TEXT NOT NULL, outcome TEXT NOT NULL, PRIMARY KEY (task_id, fence)
);
CREATE TABLE journal (
  user_id {uuid} NOT NULL, seq BIGINT NOT NULL, id {uuid} NOT NULL, kind TEXT NOT NULL,
  job_id {uuid}, task_id {uuid}, at BIGINT NOT NULL, data TEXT NOT NULL,
  PRIMARY KEY (user_id, seq)
);
CREATE INDEX journal_by_job ON journal (job_id, seq);
CREATE TABLE notifications (
  user_id {uuid} NOT NULL, seq BIGINT NOT NULL, job_id {uuid} NOT NULL, kind TEXT NOT NULL,
  title TEXT NOT NULL, text TEXT NOT NULL, at BIGINT NOT NULL, read_at BIGINT,
  PRIMARY KEY (user_id, seq)
);
CREATE TABLE rejected_messages (
  id {uuid} PRIMARY KEY, queue TEXT NOT NULL, bytes TEXT NOT NULL, why TEXT NOT NULL,
  at BIGINT NOT NULL
);
CREATE TABLE closed_accounts (account TEXT PRIMARY KEY, closed_until BIGINT NOT NULL);
CREATE TABLE seats (name TEXT PRIMARY KEY, holder TEXT NOT NULL, until BIGINT NOT NULL);
