-- Whether a slot of that generation may be used now. KEYS: state. ARGV:
-- generation.
local time = redis.call('TIME')
local state = redis.call('HMGET', KEYS[1], 'generation', 'closed')
local open = tonumber(state[2] or 0) <= time[1] * 1000000 + time[2]
return (state[1] == ARGV[1] and open) and 1 or 0
