-- Keeps places. KEYS: places. ARGV: their life (µs), places …
local time = redis.call('TIME')
local ends = string.format('%.0f', time[1] * 1000000 + time[2] + tonumber(ARGV[1]))
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], ends, ARGV[n]) end
return redis.status_reply('OK')
