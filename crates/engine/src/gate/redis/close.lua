-- Closes an account. KEYS: state. ARGV: wait (µs), 1 where the service
-- refused just now, storm (µs), the least factor.
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'closed', 'factor', 'since', 'refusal')
local closed = math.max(tonumber(state[1] or 0), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'closed', whole(closed))
if ARGV[2] == '1' then
  local storm = tonumber(ARGV[3])
  if now - tonumber(state[4] or -storm) < storm then
    local factor = tonumber(state[2] or 1) + (now - tonumber(state[3] or 0)) / storm
    factor = math.max(math.min(1, factor) / 2, tonumber(ARGV[4]))
    redis.call('HSET', KEYS[1], 'factor', tostring(factor), 'since', whole(now))
  end
  redis.call('HSET', KEYS[1], 'refusal', whole(now))
end
redis.call('EXPIRE', KEYS[1], 7200)
return redis.status_reply('OK')
