ALTER TABLE closed_accounts ADD COLUMN closed_at BIGINT;
