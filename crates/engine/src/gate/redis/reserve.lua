-- Reserves the next slot and, unless it is held already, a place.
-- KEYS: state, places. ARGV: interval, ahead, concurrency, place, the place's
-- life, storm (µs each but the third and fourth), 1 where memory is suspect.
-- Answers {word, µs to wait, rest}.
local function whole(number) return string.format('%.0f', number) end
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local interval, ahead = tonumber(ARGV[1]), tonumber(ARGV[2])
-- The server's clock was set back: what lies ahead stays as far ahead.
local seen = tonumber(redis.call('HGET', KEYS[1], 'seen') or 0)
if seen - now > 1000000 then
  local fields = {'next', 'closed', 'since', 'refusal'}
  for n, time_of in ipairs(redis.call('HMGET', KEYS[1], unpack(fields))) do
    if time_of then
      redis.call('HSET', KEYS[1], fields[n], whole(tonumber(time_of) - (seen - now)))
    end
  end
  for _, slot in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
    redis.call('ZINCRBY', KEYS[2], whole(now - seen), slot)
  end
end
redis.call('HSET', KEYS[1], 'seen', whole(now))
local state = redis.call('HMGET', KEYS[1], 'generation', 'next', 'closed', 'factor', 'since')
if not state[1] or ARGV[7] == '1' then
  -- Nothing is known of the last interval's calls: no credit. Those that hold
  -- slots of before find another generation.
  local first = math.max(now, tonumber(state[2] or 0)) + interval
  redis.call('HSET', KEYS[1], 'generation', time[1] .. '.' .. time[2], 'next', whole(first))
  redis.call('EXPIRE', KEYS[1], 7200)
  return {'anew', 0, ''}
end
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', whole(now))
local held = redis.call('ZSCORE', KEYS[2], ARGV[4])
if not held and redis.call('ZCARD', KEYS[2]) >= tonumber(ARGV[3]) then
  return {'full', 0, ''}
end
local closed = tonumber(state[3] or 0)
local slot = math.max(now, tonumber(state[2] or 0), closed)
if slot - now > ahead then
  return {'later', slot - now, closed > now and 'closed' or ''}
end
local factor = tonumber(state[4] or 1) + (now - tonumber(state[5] or 0)) / tonumber(ARGV[6])
redis.call('HSET', KEYS[1], 'next', whole(slot + interval / math.min(1, factor)))
redis.call('EXPIRE', KEYS[1], 7200)
redis.call('ZADD', KEYS[2], whole(now + tonumber(ARGV[5])), ARGV[4])
redis.call('EXPIRE', KEYS[2], 7200)
return {'slot', slot - now, state[1]}
