-- KEYS: state, places. ARGV: storm (µs). Answers {factor, µs that it is still
-- closed, places that are taken}.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local state = redis.call('HMGET', KEYS[1], 'closed', 'factor', 'since')
local factor = tonumber(state[2] or 1) + (now - tonumber(state[3] or 0)) / tonumber(ARGV[1])
local taken = redis.call('ZCOUNT', KEYS[2], string.format('%.0f', now), '+inf')
return {tostring(math.min(1, factor)), math.max(0, tonumber(state[1] or 0) - now), taken}
