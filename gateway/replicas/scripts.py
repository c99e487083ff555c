"""The scripts that Redis runs: atomic, bounded, and by the server's own clock, so that no clock of ours counts.

One hash for each claim, all under one hash tag, so that a cluster keeps them in one slot. Its fields:

    r, t   micro-calls and micro-tokens left of the minute; `at`: when they were counted, in microseconds
    u, d   tokens used today, and which day (UTC) that is
    f:ID   what the replica ID has in flight: calls, streams, the number of the telling, and until when it counts (ms)
    a:ID   what it took ahead last: the number of that call, calls and tokens

A replica tells what it has in flight as a whole (calls that wait for `TAKE` count in, so it is never too few), so
telling it twice is telling it once, and what a dead replica held comes free when its lease ends.

Of each call that it counted, `TAKE` leaves a mark: a bit, and beside it one that says that nobody waits any more
(`SETTLE`). So a call whose reply was lost, and that its replica then counted by itself, is charged once.

The reply of `TAKE` is: 1, then for each claim what is left of calls, tokens and the day (-1: not bounded), then for
each the calls, tokens and places that were granted ahead; or 0, the claim's index from 1, the bound's number in
`KINDS` from 1, the wait in ms, and the levels.
"""

from __future__ import annotations

from typing import Final

KEPT_SECONDS: Final = 172_800
"""No key outlives two days without a call: the day's count needs one."""

MARKED_SECONDS: Final = 3600
"""How long it is known which calls were counted: two bits each. Of one that is settled later, the estimate stays."""

MARKS: Final = 1 << 15
"""Calls to a key of marks (8 KiB)."""

KINDS: Final = ("per_minute", "tokens_per_minute", "in_flight", "streams", "tokens_per_day")
"""The bounds, by the numbers that `TAKE` gives them (from 1)."""

_COMMON = """
local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local day = math.floor(clock[1] / 86400)
local function number(value, otherwise) if value then return tonumber(value) end return otherwise end
local function level(held, at, most)
  if most < 0 then return 0 end
  local full = most * 1000000
  if not held then return full end
  return math.min(full, tonumber(held) + math.max(0, now - at) * most / 60)
end
local function whole(value) return string.format('%.0f', value) end
local function told(key, replica, calls, streams, turn, lease)
  local field = 'f:' .. replica
  local before = redis.call('HGET', key, field)
  if before and tonumber(string.match(before, '^%S+ %S+ (%S+)')) >= turn then return end
  redis.call('HSET', key, field,
    whole(calls) .. ' ' .. whole(streams) .. ' ' .. whole(turn) .. ' ' .. whole(now / 1000 + lease))
end
local function counted(key, calls, tokens)
  local held = redis.call('HMGET', key, 'r', 't', 'u', 'd')
  if calls ~= 0 and held[1] then redis.call('HSET', key, 'r', whole(held[1] - calls * 1000000)) end
  if tokens == 0 then return end
  if held[2] then redis.call('HSET', key, 't', whole(held[2] - tokens * 1000000)) end
  local today = math.max(day, number(held[4], day))
  local used = (number(held[4], -1) == today) and number(held[3], 0) or 0
  redis.call('HSET', key, 'u', whole(math.max(0, used + tokens)), 'd', whole(today))
end
"""

TAKE: Final = (
    _COMMON
    + """
local replica, turn, lease = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local tokens, stream, kept = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local marks, mark, part, least = table.remove(KEYS), ARGV[7], tonumber(ARGV[9]), tonumber(ARGV[10])
if redis.call('GETBIT', marks, mark + 1) == 1 then return {0, 1, 1, 1000} end -- given up, and nobody listens
local found, levels = {}, {}
for i, key in ipairs(KEYS) do
  local base = 10 + (i - 1) * 10
  local one = {}
  for j = 1, 10 do one[j] = tonumber(ARGV[base + j]) end
  local held = redis.call('HMGET', key, 'r', 't', 'at', 'u', 'd')
  local at = number(held[3], now)
  one.r, one.t = level(held[1], at, one[1]), level(held[2], at, one[2])
  one.day = math.max(day, number(held[5], day))
  one.u = (number(held[5], -1) == one.day) and number(held[4], 0) or 0
  found[i] = one
  levels[#levels + 1] = one[1] < 0 and -1 or math.floor(one.r / 1000000)
  levels[#levels + 1] = one[2] < 0 and -1 or math.floor(one.t / 1000000)
  levels[#levels + 1] = one[5] < 0 and -1 or math.max(0, one[5] - one.u)
end
local function no(i, kind, wait)
  local reply = {0, i, kind, math.ceil(wait)}
  for _, value in ipairs(levels) do reply[#reply + 1] = value end
  return reply
end
for i, one in ipairs(found) do
  if one[1] >= 0 and one.r < 1000000 then return no(i, 1, (1000000 - one.r) * 60 / one[1] / 1000) end
  if one[2] >= 0 and one.t <= 0 then return no(i, 2, (1000000 - one.t) * 60 / one[2] / 1000) end
  if one[3] >= 0 or one[4] >= 0 then
    local calls, streams, ours = 0, 0, false
    local fields = redis.call('HGETALL', KEYS[i])
    for j = 1, #fields, 2 do
      local name = fields[j]
      if string.sub(name, 1, 2) == 'f:' then
        local c, s, _, ends = string.match(fields[j + 1], '^(%S+) (%S+) (%S+) (%S+)$')
        if tonumber(ends) * 1000 < now then redis.call('HDEL', KEYS[i], name, 'a:' .. string.sub(name, 3))
        else
          calls, streams = calls + c, streams + s
          if name == 'f:' .. replica then ours, one.calls, one.streams = true, c + 1, s + stream end
        end
      end
    end
    if not ours then -- wiped, or our lease ended: what we hold is as we say
      calls, streams, one.calls, one.streams = calls + one[6] - 1, streams + one[7] - stream, one[6], one[7]
    end
    if one[3] >= 0 and calls >= one[3] then return no(i, 3, 1000) end
    if stream == 1 and one[4] >= 0 and streams >= one[4] then return no(i, 4, 1000) end
    one.free = one[3] - calls - 1
  end
  if one[5] >= 0 and one.u >= one[5] then return no(i, 5, (86400 - clock[1] % 86400) * 1000) end
end
local granted = {}
local function ahead(one)
  local calls, spare, places = one[8], one[9], one[10]
  if one[1] >= 0 then calls = math.min(calls, math.floor((one.r / 1000000 - 1) / part)) end
  if one[2] >= 0 then spare = math.min(spare, math.floor((one.t / 1000000 - tokens) / part)) end
  if one[5] >= 0 then spare = math.min(spare, math.floor((one[5] - one.u - tokens) / part)) end
  if calls < least or spare < 1 or places < 1 or (one[3] >= 0 and one.free / part < places) then return 0, 0, 0 end
  return one[1] >= 0 and calls or 0, (one[2] >= 0 or one[5] >= 0) and spare or 0, one[3] >= 0 and places or 0
end
for i, key in ipairs(KEYS) do
  local one = found[i]
  local calls, spare, places = ahead(one)
  for _, value in ipairs({calls, spare, places}) do granted[#granted + 1] = value end
  local charged = tokens + spare
  redis.call('HSET', key, 'at', whole(now), 'u', whole(one.u + charged), 'd', whole(one.day))
  if one[1] >= 0 then redis.call('HSET', key, 'r', whole(one.r - (1 + calls) * 1000000)) end
  if one[2] >= 0 then redis.call('HSET', key, 't', whole(one.t - charged * 1000000)) end
  if calls + spare > 0 then
    redis.call('HSET', key, 'a:' .. replica, whole(turn) .. ' ' .. whole(calls) .. ' ' .. whole(spare))
  end
  if one.calls then told(key, replica, one.calls + places, one.streams, turn, lease) end
  redis.call('EXPIRE', key, kept)
end
redis.call('SETBIT', marks, mark, 1)
redis.call('EXPIRE', marks, ARGV[8])
local reply = {1}
for _, value in ipairs(levels) do reply[#reply + 1] = value end
for _, value in ipairs(granted) do reply[#reply + 1] = value end
return reply
"""
)
"""KEYS: a hash for each claim, then the replica's marks. ARGV: replica, turn, lease (ms), tokens, 1 for a stream,
seconds to keep, the call's place among the marks, seconds to keep those, which part of what is left may be granted
ahead, and the fewest calls; then for each claim the five bounds in the order of `KINDS` (-1: none), the calls and
streams of this replica with this one, and the calls, tokens and places that it would have ahead."""

SETTLE: Final = (
    _COMMON
    + """
local mark, turn, taken = ARGV[2], ARGV[4], 'a:' .. ARGV[5]
if redis.call('SETBIT', KEYS[1], mark + 1, 1) == 1 then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[3])
if redis.call('GETBIT', KEYS[1], mark) == 0 then return 0 end
for i = 2, #KEYS do
  local tokens, held = tonumber(ARGV[1]), redis.call('HMGET', KEYS[i], 't', 'u', 'd', 'r', taken)
  local number_of, calls, spare = string.match(held[5] or '', '^(%S+) (%S+) (%S+)$')
  if number_of == turn then
    tokens = tokens + spare
    if held[4] then redis.call('HSET', KEYS[i], 'r', whole(held[4] + calls * 1000000)) end
  end
  if held[1] then redis.call('HSET', KEYS[i], 't', whole(held[1] + tokens * 1000000)) end
  if number(held[3], -1) == day then redis.call('HSET', KEYS[i], 'u', whole(math.max(0, held[2] - tokens))) end
end
return 1
"""
)
"""Of a call whose `TAKE` got no answer: give its tokens back if it was counted, and what it took ahead, and see that
it never will be. KEYS: the replica's marks, then a hash for each claim. ARGV: the tokens, the call's place, seconds to
keep the marks, the call's turn, and the replica. It may come before `TAKE`, which another connection holds up, and it
may come twice."""

COUNT: Final = (
    _COMMON
    + """
if redis.call('SETBIT', KEYS[1], ARGV[1], 1) == 1 then return 0 end
redis.call('EXPIRE', KEYS[1], ARGV[2])
for i = 2, #KEYS do
  counted(KEYS[i], tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1]))
  redis.call('EXPIRE', KEYS[i], ARGV[3])
end
return 1
"""
)
"""Of a call that another primary counted: count it, if nobody did here. KEYS: the replica's marks, then a hash for each
claim. ARGV: the call's place, seconds to keep the marks, seconds to keep; then for each claim the calls and the tokens
that it took, those ahead with them."""

TELL: Final = (
    _COMMON
    + """
local replica, turn, lease, kept = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local again = number(redis.call('GET', KEYS[1]), -1) >= turn
if not again then redis.call('SET', KEYS[1], whole(turn), 'EX', kept) end
for i = 2, #KEYS do
  local key, base = KEYS[i], 4 + (i - 2) * 4
  if not again then counted(key, -tonumber(ARGV[base + 2]), tonumber(ARGV[base + 1])) end
  told(key, replica, tonumber(ARGV[base + 3]), tonumber(ARGV[base + 4]), turn, lease)
  redis.call('EXPIRE', key, kept)
end
return again and 0 or 1
"""
)
"""KEYS: the replica's last telling, then a hash for each claim. ARGV: replica, turn, lease (ms), seconds to keep; then
for each claim the tokens to count beside those counted already, the calls taken ahead to give back, and the calls and
streams in flight. A telling that comes twice counts its tokens and calls once."""

NEWS: Final = """
for i = 2, #ARGV do redis.call('SADD', KEYS[1], ARGV[i]) end
if #ARGV > 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
return redis.call('SMEMBERS', KEYS[1])
"""
"""KEYS: a set of revoked key ids. ARGV: seconds to keep it, then ids to add. The reply is the whole set."""


SUSPENDED: Final = """
for i = 2, #ARGV, 4 do
  local at, flag = tonumber(ARGV[i + 1]), tonumber(ARGV[i + 2])
  local held = redis.call('HGET', KEYS[1], ARGV[i])
  local was, before = -1, -1
  if held then
    local a, b = string.match(held, '^(%d+) (%d)')
    was, before = tonumber(a) or -1, tonumber(b) or -1
  end
  if at > was or (at == was and flag > before) then
    redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1] .. ' ' .. ARGV[i + 2] .. ' ' .. ARGV[i + 3])
  end
end
if #ARGV > 1 then redis.call('EXPIRE', KEYS[1], ARGV[1]) end
local reply = {}
for _, word in ipairs(redis.call('HGETALL', KEYS[1])) do reply[#reply + 1] = word end
return reply
"""
"""KEYS: a hash of what was last said of each entry. ARGV: seconds to keep it, then for each word of ours the entry,
when it was said, whether it suspends, and a seal. The later word stays; the reply is the whole hash."""

CHANGES: Final = """
local have, kept = tonumber(ARGV[1]), ARGV[2]
for i = 3, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
if #ARGV > 2 then redis.call('EXPIRE', KEYS[1], kept) end
local reply = {redis.call('HLEN', KEYS[1])}
for number = have, have + 15 do
  local line = redis.call('HGET', KEYS[1], number)
  if not line then break end
  reply[#reply + 1] = line
end
return reply
"""
"""KEYS: a hash of the chain of changes by number. ARGV: how many links we have, seconds to keep it, then numbers and
links to write. The reply is how many there are, then those that follow ours."""
