-- Keeps places; takes back those that were lost, for their calls go on.
-- KEYS: places. ARGV: their life (µs), places …
local time = redis.call('TIME')
local ends = string.format('%.0f', time[1] * 1000000 + time[2] + tonumber(ARGV[1]))
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[n]) end
redis.call('EXPIRE', KEYS[1], 7200)
return redis.status_reply('OK')
