-- Returns 1 if a permit of this generation may be used now, else 0. KEYS: state. ARGV:
-- generation.
local time = redis.call('TIME')
local state = redis.call('HMGET', KEYS[1], 'generation', 'cooldown_until')
local open = tonumber(state[2] or 0) <= time[1] * 1000000 + time[2]
return (state[1] == ARGV[1] and open) and 1 or 0
