-- Returns {rate factor, rest of the cooldown (µs), slots in use}. KEYS: state, slots. ARGV:
-- adaptive window (µs).
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'cooldown_until', 'rate_factor', 'rate_factor_since')
local factor = tonumber(state[2] or 1) + (now - tonumber(state[3] or 0)) / tonumber(ARGV[1])
local in_use = redis.call('ZCOUNT', KEYS[2], string.format('%.0f', now), '+inf')
return {tostring(math.min(1, factor)), math.max(0, tonumber(state[1] or 0) - now), in_use}
