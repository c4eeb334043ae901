-- Times are UTC in milliseconds; flags are 0 or 1. {uuid} is the database's type
-- for UUIDs, {bytewise_collation} compares texts byte by byte.
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
  token_hash TEXT NOT NULL UNIQUE, scope TEXT NOT NULL, created_at BIGINT NOT NULL,
  last_used_at BIGINT, expires_at BIGINT, revoked_at BIGINT
);
CREATE INDEX api_tokens_by_user ON api_tokens (user_id, id) WHERE revoked_at IS NULL;
CREATE TABLE jobs (
  id {uuid} PRIMARY KEY, user_id {uuid} NOT NULL REFERENCES users (id),
  kind TEXT NOT NULL, title TEXT NOT NULL, channels TEXT NOT NULL, state TEXT NOT NULL,
  paused BIGINT NOT NULL DEFAULT 0, cancel_requested BIGINT NOT NULL DEFAULT 0,
  total BIGINT NOT NULL, open BIGINT NOT NULL, succeeded BIGINT NOT NULL DEFAULT 0,
  failed BIGINT NOT NULL DEFAULT 0, cancelled BIGINT NOT NULL DEFAULT 0,
  needs_review BIGINT NOT NULL DEFAULT 0, rejected BIGINT NOT NULL DEFAULT 0,
  created BIGINT NOT NULL DEFAULT 0, updated BIGINT NOT NULL DEFAULT 0,
  unchanged BIGINT NOT NULL DEFAULT 0,
  file_rows BIGINT NOT NULL DEFAULT 0, left_out BIGINT NOT NULL DEFAULT 0, file_header TEXT,
  created_at BIGINT NOT NULL, finished_at BIGINT
);
-- Rows of the uploaded file that no task was made of.
CREATE TABLE left_out_rows (
  job_id {uuid} NOT NULL, line BIGINT NOT NULL, column_name TEXT, reason TEXT NOT NULL,
  cells TEXT NOT NULL, PRIMARY KEY (job_id, line)
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
  body TEXT NOT NULL, checkpoint TEXT,
  -- Whether a handler has ever saved a checkpoint: a replay clears that, but not what was done.
  has_begun BIGINT NOT NULL DEFAULT 0,
  state TEXT NOT NULL, attempt BIGINT NOT NULL DEFAULT 0, lease_losses BIGINT NOT NULL DEFAULT 0,
  -- Time since which nobody knows whether a call had its effect.
  unknown_since BIGINT, waiting_for TEXT,
  run_after BIGINT NOT NULL, published_at BIGINT, started_at BIGINT,
  lease_owner TEXT, lease_until BIGINT, fence BIGINT NOT NULL DEFAULT 0,
  outcome TEXT, effect TEXT, traceparent TEXT, created_at BIGINT NOT NULL, updated_at BIGINT NOT NULL,
  -- Number of times that an admin edited the body, who did it last, and when.
  revision BIGINT NOT NULL DEFAULT 0, edited_by TEXT, edited_at BIGINT
);
-- The grid of a job, in the order of the file. With the state, a filter by state and
-- the tasks to cancel or to retry are found without reading the other tasks.
CREATE INDEX tasks_by_job ON tasks (job_id, row_no, id, state);
-- The flow of a job that has follow-ups; most jobs have none.
CREATE INDEX tasks_with_cause ON tasks (job_id) WHERE cause_id IS NOT NULL;
-- The relay reads the next due tasks of each job, without sorting.
CREATE INDEX tasks_to_publish ON tasks (queue, job_id, run_after, row_no)
  WHERE state = 'queued' AND published_at IS NULL;
-- The relay counts published tasks that nobody has claimed; the reaper finds old ones.
CREATE INDEX tasks_unclaimed ON tasks (queue, published_at)
  WHERE state = 'queued' AND published_at IS NOT NULL;
-- The reaper finds leases that have expired.
CREATE INDEX tasks_leased ON tasks (lease_until) WHERE state = 'running';
-- The search for a SKU by its beginning, job by job. An index over all jobs of a user
-- would spread each launch of a known catalogue over all of its pages.
CREATE INDEX tasks_by_sku ON tasks (job_id, LOWER(sku){bytewise_collation});
-- The items that failed last, of all users.
CREATE INDEX tasks_failed ON tasks (updated_at) WHERE state IN ('failed', 'rejected');
-- At most one running task per lock key: a rule, not only a path.
CREATE UNIQUE INDEX tasks_one_running ON tasks (kind, key) WHERE state = 'running';
-- A claim finds the newest success of its lock key, which supersedes older tasks.
CREATE INDEX tasks_succeeded_by_key ON tasks (kind, key, created_at) WHERE state = 'succeeded';
CREATE TABLE attempts (
  task_id {uuid} NOT NULL REFERENCES tasks (id), fence BIGINT NOT NULL,
  number BIGINT NOT NULL, started_at BIGINT NOT NULL, ended_at BIGINT NOT NULL,
  worker TEXT NOT NULL, outcome TEXT NOT NULL,
  -- Queue of the task, if the attempt failed.
  failed_queue TEXT, PRIMARY KEY (task_id, fence)
);
-- The last errors of an upstream, by its queues.
CREATE INDEX attempts_failed ON attempts (failed_queue, ended_at) WHERE failed_queue IS NOT NULL;
CREATE TABLE journal (
  user_id {uuid} NOT NULL, seq BIGINT NOT NULL, id {uuid} NOT NULL, kind TEXT NOT NULL,
  job_id {uuid}, task_id {uuid}, at BIGINT NOT NULL, traceparent TEXT,
  data TEXT NOT NULL, PRIMARY KEY (user_id, seq)
);
CREATE INDEX journal_by_job ON journal (job_id, seq);
CREATE TABLE notifications (
  user_id {uuid} NOT NULL, seq BIGINT NOT NULL, job_id {uuid} NOT NULL, kind TEXT NOT NULL,
  title TEXT NOT NULL, text TEXT NOT NULL, at BIGINT NOT NULL, read_at BIGINT,
  PRIMARY KEY (user_id, seq)
);
CREATE TABLE rejected_messages (
  id {uuid} PRIMARY KEY, queue TEXT NOT NULL, bytes TEXT NOT NULL, reason TEXT NOT NULL,
  at BIGINT NOT NULL
);
-- How the team reads files with the same header; engine::engine::column_choices makes the keys.
CREATE TABLE column_choices (
  key TEXT PRIMARY KEY, choice TEXT NOT NULL, user_id {uuid} NOT NULL REFERENCES users (id),
  chosen_at BIGINT NOT NULL
);
-- reason: contract::api::CooldownReason; message: for people who wait, what to do.
CREATE TABLE upstream_cooldowns (
  upstream TEXT PRIMARY KEY, cooldown_until BIGINT NOT NULL, reason TEXT NOT NULL, message TEXT,
  started_at BIGINT
);
-- What admins set for everybody: a pause until a time, and a rate in requests per second that is
-- lower than the configured one.
CREATE TABLE upstream_controls (
  upstream TEXT PRIMARY KEY, paused_until BIGINT, paused_by TEXT, pause_note TEXT,
  rate DOUBLE PRECISION
);
-- action: contract::api::AuditAction. before_value and after_value are JSON.
CREATE TABLE audit_log (
  id {uuid} PRIMARY KEY, at BIGINT NOT NULL, user_id {uuid} NOT NULL, user_email TEXT NOT NULL,
  action TEXT NOT NULL, subject TEXT NOT NULL, before_value TEXT, after_value TEXT,
  note TEXT NOT NULL
);
CREATE INDEX audit_log_by_subject ON audit_log (subject, action, id);
CREATE TABLE leader_leases (name TEXT PRIMARY KEY, holder TEXT NOT NULL, expires_at BIGINT NOT NULL);
-- The workers that run, and the last heartbeat of each.
CREATE TABLE workers (
  id {uuid} PRIMARY KEY, name TEXT NOT NULL, version TEXT NOT NULL, started_at BIGINT NOT NULL,
  seen_at BIGINT NOT NULL, draining BIGINT NOT NULL
);
-- Counters of open tasks, so that nothing counts them.
CREATE TABLE job_queues (
  job_id {uuid} NOT NULL REFERENCES jobs (id), queue TEXT NOT NULL, user_id {uuid} NOT NULL,
  channel TEXT, open BIGINT NOT NULL, ready BIGINT NOT NULL DEFAULT 0, ready_at BIGINT,
  version BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (job_id, queue)
);
CREATE INDEX job_queues_ready ON job_queues (queue, user_id, job_id) WHERE ready = 1;
CREATE INDEX job_queues_waiting ON job_queues (queue, ready_at)
  WHERE ready = 0 AND ready_at IS NOT NULL;
-- The jobs that wait at an upstream.
CREATE INDEX job_queues_by_user ON job_queues (queue, user_id, job_id);
CREATE TABLE user_queues (
  user_id {uuid} NOT NULL REFERENCES users (id), queue TEXT NOT NULL, channel TEXT,
  open BIGINT NOT NULL, active_jobs BIGINT NOT NULL, active_tasks BIGINT NOT NULL,
  PRIMARY KEY (user_id, queue)
);
