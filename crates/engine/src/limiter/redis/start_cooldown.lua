-- Starts or extends a cooldown. KEYS: state. ARGV: wait (µs), 1 if the upstream has just
-- refused a request, adaptive window (µs), minimum rate factor.
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call(
  'HMGET', KEYS[1], 'cooldown_until', 'rate_factor', 'rate_factor_since', 'last_refusal')
local cooldown_until = math.max(tonumber(state[1] or 0), now + tonumber(ARGV[1]))
redis.call('HSET', KEYS[1], 'cooldown_until', whole(cooldown_until))
if ARGV[2] == '1' then
  local window = tonumber(ARGV[3])
  if now - tonumber(state[4] or -window) < window then
    local factor = tonumber(state[2] or 1) + (now - tonumber(state[3] or 0)) / window
    factor = math.max(math.min(1, factor) / 2, tonumber(ARGV[4]))
    redis.call(
      'HSET', KEYS[1], 'rate_factor', tostring(factor), 'rate_factor_since', whole(now))
  end
  redis.call('HSET', KEYS[1], 'last_refusal', whole(now))
end
redis.call('EXPIRE', KEYS[1], 7200)
return redis.status_reply('OK')
