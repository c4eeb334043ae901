CREATE TABLE job_queues (
  job_id {uuid} NOT NULL REFERENCES jobs (id), queue TEXT NOT NULL, user_id {uuid} NOT NULL,
  channel TEXT, open BIGINT NOT NULL, ready BIGINT NOT NULL DEFAULT 0, ready_at BIGINT,
  version BIGINT NOT NULL DEFAULT 0, PRIMARY KEY (job_id, queue)
);
CREATE INDEX job_queues_ready ON job_queues (queue, user_id, job_id) WHERE ready = 1;
CREATE INDEX job_queues_waiting ON job_queues (queue, ready_at)
  WHERE ready = 0 AND ready_at IS NOT NULL;
CREATE TABLE user_queues (
  user_id {uuid} NOT NULL REFERENCES users (id), queue TEXT NOT NULL, channel TEXT,
  open BIGINT NOT NULL, active_jobs BIGINT NOT NULL, active_open BIGINT NOT NULL,
  PRIMARY KEY (user_id, queue)
);
INSERT INTO job_queues (job_id, queue, user_id, channel, open, ready_at)
  SELECT t.job_id, t.queue, j.user_id, MAX(t.channel), COUNT(*),
    MIN(CASE WHEN j.paused = 0 THEN t.run_after END)
  FROM tasks t JOIN jobs j ON j.id = t.job_id
  WHERE t.state IN ('queued', 'running') GROUP BY t.job_id, t.queue, j.user_id;
INSERT INTO user_queues (user_id, queue, channel, open, active_jobs, active_open)
  SELECT q.user_id, q.queue, MAX(q.channel), CAST(SUM(q.open) AS BIGINT),
    CAST(SUM(1 - j.paused) AS BIGINT),
    CAST(SUM(CASE WHEN j.paused = 0 THEN q.open ELSE 0 END) AS BIGINT)
  FROM job_queues q JOIN jobs j ON j.id = q.job_id GROUP BY q.user_id, q.queue;
