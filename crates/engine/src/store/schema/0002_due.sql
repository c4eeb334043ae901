DROP INDEX tasks_to_publish;
CREATE INDEX tasks_to_publish ON tasks (queue, job_id, run_after, row_no)
  WHERE state = 'queued' AND published_at IS NULL;
