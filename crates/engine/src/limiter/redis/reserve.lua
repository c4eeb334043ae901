-- Reserves the next rate permit and, unless the caller holds it already, a concurrency slot.
-- KEYS: state, slots. ARGV: interval, maximum time ahead, concurrency, slot, the slot's time
-- to live, adaptive window (µs each but the third and fourth), 1 if the state is suspect.
-- Returns {status, µs to wait, detail}.
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, max_ahead = tonumber(ARGV[1]), tonumber(ARGV[2])
-- If the server's clock was set back, all times move back with it, so that waits stay as long.
local last_seen = tonumber(redis.call('HGET', KEYS[1], 'last_seen_time') or 0)
if last_seen - now > 1000000 then
  local fields = {'next_permit_at', 'cooldown_until', 'rate_factor_since', 'last_refusal'}
  for n, time_of in ipairs(redis.call('HMGET', KEYS[1], unpack(fields))) do
    if time_of then
      redis.call('HSET', KEYS[1], fields[n], whole(tonumber(time_of) - (last_seen - now)))
    end
  end
  for _, slot in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    redis.call('ZINCRBY', KEYS[2], whole(now - last_seen), slot)
  end
end
redis.call('HSET', KEYS[1], 'last_seen_time', whole(now))
local state = redis.call(
  'HMGET', KEYS[1],
  'generation', 'next_permit_at', 'cooldown_until', 'rate_factor', 'rate_factor_since')
if not state[1] or ARGV[7] == '1' then
  -- The calls of the last interval are unknown, so there is no burst credit. The new
  -- generation invalidates earlier permits.
  local first = math.max(now, tonumber(state[2] or 0)) + interval
  redis.call(
    'HSET', KEYS[1], 'generation', time[1] .. '.' .. time[2], 'next_permit_at', whole(first))
  redis.call('EXPIRE', KEYS[1], 7200)
  return {'state_lost', 0, ''}
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
local has_slot = redis.call('ZSCORE', KEYS[2], ARGV[4])
if not has_slot and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return {'no_slot', 0, ''}
end
local cooldown_until = tonumber(state[3] or 0)
local permit_at = math.max(now, tonumber(state[2] or 0), cooldown_until)
if permit_at - now > max_ahead then
  return {'retry_after', permit_at - now, cooldown_until > now and 'cooldown' or ''}
end
local factor = tonumber(state[4] or 1) + (now - tonumber(state[5] or 0)) / tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'next_permit_at', whole(permit_at + interval / math.min(1, factor)))
redis.call('EXPIRE', KEYS[1], 7200)
redis.call('ZADD', KEYS[2], whole(now + tonumber(ARGV[5])), ARGV[4])
redis.call('EXPIRE', KEYS[2], 7200)
return {'granted', permit_at - now, state[1]}
