-- Renews concurrency slots, and takes lost ones again: their calls are still in flight.
-- KEYS: slots. ARGV: time to live (µs), slots …
local time = redis.call('TIME')
local expires_at = string.format('%.0f', time[1] * 1000000 + time[2] + tonumber(ARGV[1]))
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], expires_at, ARGV[n]) end
redis.call('EXPIRE', KEYS[1], 7200)
return redis.status_reply('OK')
