-- Counters that replicas share: a list of operations, all of them at once.
--
-- KEYS[1]  what every key begins with; its hash tag keeps all of them on one node of a cluster
-- ARGV[1]  the worker that asks
-- ARGV[2]  the time in seconds, or '' for this server's own clock, by which leases go in any case
-- ARGV[3]  msgpack: a list of operations, each {name, …}
--
-- Returns msgpack: a list with the answer to each operation, or nil if the worker is not a member (any more): then
-- nothing was done, because whatever it believes to hold here may be gone.
--
-- One hash per scope holds all there is to know about it, so that nothing can be lost in part:
--   g            generation: a name given when the hash was made; whoever holds something holds it in a generation
--   o            second in which it was made: a window that began later is known from its first nano-dollar
--   s<start>     nano-dollars settled in the window that began at <start>; absent: not known, to be seeded
--   n<start>     calls settled in that window
--   e            settlements that came while the window was not known: whoever seeds has to look again
--   r  p         nano-dollars reserved and calls in flight, of all workers
--   p:<worker>   calls in flight of one worker, so that they end when it does
--   r:<worker>   nano-dollars reserved for them: what an operator is told of a worker that is gone
--   l:<worker>   calls that were in flight when its lease ended
--   b:<worker>   that worker has said what it holds
--   q  qa q<s>   requests of the last minute: sum, second up to which it is trimmed, by second
--   t  ta t<s>   tokens of the last minute
--   d  dn        fingerprint of the request that was admitted last, and how often in a row
-- Beside them: `workers` (hash: worker to end of its lease), `gone` (hash: the same, of those whose lease ended while
-- they had calls in flight), `held:<worker>` (set of scopes it has calls in) and `mail:<worker>` (list of messages).

local LIVE = 61            -- a bucket collects one second, so it counts a second longer than the window: late, never early
local LIFETIME = 6 * 3600  -- of a scope's hash after its last use; then it is seeded anew

local prefix, worker = KEYS[1] .. ':', ARGV[1]
local clock = redis.call('TIME')
local steady = clock[1] + clock[2] / 1e6
local now = ARGV[2] == '' and steady or tonumber(ARGV[2])
local second = math.floor(now)
local workers, gone = prefix .. 'workers', prefix .. 'gone'

local function number(value) return tonumber(value or 0) or 0 end

local function scope_key(name) return prefix .. 's:' .. name end

local function held_key(of) return prefix .. 'held:' .. of end

-- Forgets what has left the last minute and returns the sum of what is left.
local function slide(key, kind, total, trimmed)
  total, trimmed = number(total), number(trimmed)
  if trimmed == 0 or trimmed == second then return total end
  if trimmed > second then
    if trimmed - second <= LIVE then return total end
    for s = trimmed - LIVE, trimmed do redis.call('HDEL', key, kind .. s) end
    total = 0
  else
    local gone = {}
    for s = trimmed - LIVE + 1, math.min(second - LIVE, trimmed) do gone[#gone + 1] = kind .. s end
    if #gone > 0 then
      for _, amount in ipairs(redis.call('HMGET', key, unpack(gone))) do total = total - number(amount) end
      redis.call('HDEL', key, unpack(gone))
    end
  end
  redis.call('HSET', key, kind, total, kind .. 'a', second)
  return total
end

local function add(key, kind, at, amount)
  if amount == 0 then return end
  redis.call('HINCRBY', key, kind .. at, amount)
  redis.call('HINCRBY', key, kind, amount)
end

-- The second that counts as now for a kind of rate: time stands still while a clock that was set back catches up.
local function current(trimmed)
  trimmed = number(trimmed)
  if trimmed > second and trimmed - second <= LIVE then return trimmed end
  return second
end

local function begin(key, kind, trimmed)
  if not trimmed then redis.call('HSET', key, kind .. 'a', second) end
end

-- Settled money in a window, or nil. One that began after the hash was made is known from its first nano-dollar.
local function settled_in(key, start, settled, opened)
  if settled then return number(settled) end
  if opened and number(opened) < start then
    redis.call('HSET', key, 's' .. start, 0, 'n' .. start, 0)
    return 0
  end
  return nil
end

local function buckets(key, kind)
  local found, all = {}, redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    local s = string.match(all[i], '^' .. kind .. '(%d+)$')
    if s then found[#found + 1] = { tonumber(s), number(all[i + 1]) } end
  end
  return found
end

-- `calls` is 0 for more money of a call that is held already, else 1.
local function hold(key, name, cost, calls)
  if cost ~= 0 then
    redis.call('HINCRBY', key, 'r', cost)
    redis.call('HINCRBY', key, 'r:' .. worker, cost)
  end
  if calls == 0 then return end
  redis.call('HINCRBY', key, 'p', 1)
  if redis.call('HINCRBY', key, 'p:' .. worker, 1) == 1 then redis.call('SADD', held_key(worker), name) end
end

local function release(key, name, cost, calls)
  if cost ~= 0 then
    redis.call('HINCRBY', key, 'r', -cost)
    if redis.call('HINCRBY', key, 'r:' .. worker, -cost) == 0 then redis.call('HDEL', key, 'r:' .. worker) end
  end
  if calls == 0 then return end
  redis.call('HINCRBY', key, 'p', -1)
  if redis.call('HINCRBY', key, 'p:' .. worker, -1) <= 0 then
    redis.call('HDEL', key, 'p:' .. worker)
    redis.call('SREM', held_key(worker), name)
  end
end

local perform = {}

-- {'reserve', tokens, cost, {{name, window start, budget, rpm, tpm, parallel, calls}, …}, calls}; -1: no such limit.
-- Where repetitions are limited the limit and the request's fingerprint follow in the list of a scope. The last is 0 for
-- more money of a call that is held already; of an older worker it is missing, and means 1.
-- Answers {'taken', second, {{generation, settled, in flight, requests, tokens, calls settled, reserved}, …}},
-- {'unseeded', {position, …}} or {'refused', now, {{settled, reserved, in flight, calls, {requests}, {tokens}, repeats}, …}}.
function perform.reserve(tokens, cost, scopes, taken)
  taken = taken or 1
  local states, unseeded, has_room = {}, {}, true
  for i, scope in ipairs(scopes) do
    local name, start, budget, rpm, tpm, parallel, calls, repeats, fingerprint = unpack(scope)
    local key = scope_key(name)
    local f = redis.call('HMGET', key, 'g', 'o', 's' .. start, 'r', 'p', 'n' .. start, 'q', 'qa', 't', 'ta')
    local settled = f[1] and settled_in(key, start, f[3], f[2]) or nil
    if settled == nil then
      unseeded[#unseeded + 1] = i
    else
      local state = { key = key, generation = f[1], settled = settled, reserved = number(f[4]), flying = number(f[5]),
        calls = number(f[6]), requests = 0, tokens = 0, qa = f[8], ta = f[10] }
      if rpm >= 0 then state.requests = slide(key, 'q', f[7], f[8]) end
      if tpm >= 0 then state.tokens = slide(key, 't', f[9], f[10]) end
      if (budget >= 0 and settled + state.reserved >= budget) or (parallel >= 0 and state.flying >= parallel)
        or (calls >= 0 and state.calls + state.flying >= calls)
        or (rpm >= 0 and state.requests >= rpm) or (tpm >= 0 and state.tokens >= tpm) then
        has_room = false
      end
      if repeats then
        local d = redis.call('HMGET', key, 'd', 'dn')
        state.repeats = d[1] == fingerprint and number(d[2]) or 0
        if state.repeats >= repeats then has_room = false end
      end
      states[i] = state
    end
  end
  if #unseeded > 0 then return { 'unseeded', unseeded } end
  local answer = {}
  if not has_room then
    for i, scope in ipairs(scopes) do
      local state, rpm, tpm = states[i], scope[4], scope[5]
      answer[i] = { state.settled, state.reserved, state.flying, state.calls,
        rpm >= 0 and buckets(state.key, 'q') or {}, tpm >= 0 and buckets(state.key, 't') or {},
        state.repeats or 0 }
    end
    return { 'refused', now, answer }
  end
  for i, scope in ipairs(scopes) do
    local name, start, budget, rpm, tpm = unpack(scope)
    local state = states[i]
    if state.repeats then redis.call('HSET', state.key, 'd', scope[9], 'dn', state.repeats + 1) end
    hold(state.key, name, cost, taken)
    if second % 8 == 0 then redis.call('EXPIRE', state.key, LIFETIME) end  -- often enough, and seldom enough to be cheap
    if rpm >= 0 then
      begin(state.key, 'q', state.qa)
      add(state.key, 'q', current(state.qa), 1)
      state.requests = state.requests + 1
    end
    if tpm >= 0 then
      begin(state.key, 't', state.ta)
      add(state.key, 't', current(state.ta), tokens)
      state.tokens = state.tokens + tokens
    end
    answer[i] = { state.generation, state.settled, state.flying + taken, state.requests, state.tokens, state.calls,
      state.reserved + cost }
  end
  return { 'taken', second, answer }
end

-- {'settle', second of the reservation, tokens reserved, used, money reserved, spent,
--   {{name, generation, window start, whether tokens are limited, whether the sum is asked for}, …}, calls held,
--   calls settled}
-- Answers what is settled now in those that ask; -1: not known.
-- What was held in another generation is gone, and its record is in the ledger that the new one was seeded from.
-- The calls are 1 and 1; 0 and 0 for money beside a ticket; 1 and 0 for what a call did not use after all.
function perform.settle(reserved_in, reserved_tokens, tokens, reserved, cost, scopes, held, settled)
  held, settled = held or 1, settled or 1
  local sums = {}
  for _, scope in ipairs(scopes) do
    local name, generation, start, counts_tokens, is_asked = unpack(scope)
    local key, sum = scope_key(name), -1
    local f = redis.call('HMGET', key, 'g', 'o', 's' .. start, 't', 'ta')
    if f[1] == generation then
      release(key, name, reserved, held)
      if settled_in(key, start, f[3], f[2]) == nil then
        redis.call('HINCRBY', key, 'e', 1)
      else
        if settled ~= 0 then redis.call('HINCRBY', key, 'n' .. start, settled) end
        if cost ~= 0 then sum = redis.call('HINCRBY', key, 's' .. start, cost) end
      end
      if counts_tokens then
        slide(key, 't', f[4], f[5])
        begin(key, 't', f[5])
        if redis.call('HEXISTS', key, 't' .. reserved_in) == 1 then
          add(key, 't', reserved_in, tokens - reserved_tokens)
        else
          add(key, 't', current(f[5]), tokens)
        end
      end
    end
    if is_asked then sums[#sums + 1] = sum end
  end
  return sums
end

-- {'open', generation, {name, …}}: makes the hashes that are not there. Answers {{{generation, e}, …}, members}.
function perform.open(generation, names)
  local found = {}
  for i, name in ipairs(names) do
    local key = scope_key(name)
    if redis.call('HSETNX', key, 'g', generation) == 1 then
      redis.call('HSET', key, 'o', second)
      redis.call('EXPIRE', key, LIFETIME)
    end
    local f = redis.call('HMGET', key, 'g', 'e')
    found[i] = { f[1], number(f[2]) }
  end
  return { found, perform.members() }
end

-- {'register', {{name, generation, reserved, in flight, {{second, requests}, …}, {{second, tokens}, …}}, …}}:
-- what this worker holds in a new generation. Said twice, it counts once.
function perform.register(scopes)
  for _, scope in ipairs(scopes) do
    local name, generation, reserved, flying, requests, tokens = unpack(scope)
    local key = scope_key(name)
    if redis.call('HGET', key, 'g') == generation and redis.call('HSETNX', key, 'b:' .. worker, 1) == 1 then
      if flying > 0 then
        redis.call('HINCRBY', key, 'p', flying)
        redis.call('HINCRBY', key, 'p:' .. worker, flying)
        redis.call('HINCRBY', key, 'r', reserved)
        redis.call('HINCRBY', key, 'r:' .. worker, reserved)
        redis.call('SADD', held_key(worker), name)
      end
      if #requests > 0 then begin(key, 'q', redis.call('HGET', key, 'qa')) end
      for _, bucket in ipairs(requests) do add(key, 'q', bucket[1], bucket[2]) end
      if #tokens > 0 then begin(key, 't', redis.call('HGET', key, 'ta')) end
      for _, bucket in ipairs(tokens) do add(key, 't', bucket[1], bucket[2]) end
    end
  end
  return true
end

-- {'seed', name, generation, e as it was when the reading began, window start, spent, calls}: spent and calls as text.
-- Answers whether the window is known now; if not, something happened meanwhile, and it has to be read again.
function perform.seed(name, generation, e, start, spent, calls)
  local key = scope_key(name)
  local f = redis.call('HMGET', key, 'g', 'e', 's' .. start)
  if f[3] then return true end
  if f[1] ~= generation or number(f[2]) ~= e then return false end
  redis.call('HSET', key, 's' .. start, spent, 'n' .. start, calls)
  return true
end

-- {'adjust', name, window start, nano-dollars}
function perform.adjust(name, start, delta)
  local key = scope_key(name)
  local f = redis.call('HMGET', key, 'g', 'o', 's' .. start)
  if f[1] then
    if settled_in(key, start, f[3], f[2]) == nil then
      redis.call('HINCRBY', key, 'e', 1)
    else
      redis.call('HINCRBY', key, 's' .. start, delta)
    end
  end
  return true
end

-- {'forget', {name, …}}: the next who needs them seeds them from the ledger and from what all workers hold.
function perform.forget(names)
  for _, name in ipairs(names) do redis.call('UNLINK', scope_key(name)) end
  return true
end

-- {'join', seconds}: a lease, given or renewed. Calls of workers whose lease has ended are no longer in flight; their
-- money stays reserved until their journal has been replayed. Answers the members: {{worker, seconds left}, …}.
function perform.join(lease)
  if redis.call('HDEL', gone, worker) == 1 then redis.call('UNLINK', held_key(worker)) end  -- it was only away
  redis.call('HSET', workers, worker, string.format('%.6f', steady + lease))
  local all = redis.call('HGETALL', workers)
  for i = 1, #all, 2 do
    local other = all[i]
    if tonumber(all[i + 1]) <= steady then
      for _, name in ipairs(redis.call('SMEMBERS', held_key(other))) do
        local key = scope_key(name)
        local flying = redis.call('HGET', key, 'p:' .. other)
        if flying then
          redis.call('HINCRBY', key, 'p', -number(flying))
          redis.call('HDEL', key, 'p:' .. other)
          redis.call('HSET', key, 'l:' .. other, flying)
          redis.call('HSET', gone, other, all[i + 1])
        end
      end
      redis.call('HDEL', workers, other)
    end
  end
  return perform.members()
end

function perform.members()
  local found, all = {}, redis.call('HGETALL', workers)
  for i = 1, #all, 2 do
    local left = tonumber(all[i + 1]) - steady
    if left > 0 then found[#found + 1] = { all[i], tostring(left) } end
  end
  return found
end

-- {'leave'}: every call of this worker is settled.
function perform.leave()
  redis.call('HDEL', workers, worker)
  redis.call('UNLINK', held_key(worker))
  return true
end

-- {'release', worker}: its journal has been replayed. Answers how many scopes it had calls in.
function perform.release(other)
  local names = redis.call('SMEMBERS', held_key(other))
  perform.forget(names)
  redis.call('UNLINK', held_key(other))
  redis.call('HDEL', gone, other)
  return #names
end

-- {'abandon', {worker, …}}: their journals are lost. Answers for each in how many scopes it had calls; -1: it is at work.
function perform.abandon(others)
  local counts = {}
  for i, other in ipairs(others) do
    local lease = redis.call('HGET', workers, other)
    counts[i] = (lease and tonumber(lease) > steady) and -1 or perform.release(other)
  end
  return counts
end

-- {'tell', {list, …}, message}: into the mailboxes of other workers, where it is worth something for a short time.
function perform.tell(mailboxes, message)
  for _, mailbox in ipairs(mailboxes) do
    redis.call('RPUSH', mailbox, message)
    redis.call('EXPIRE', mailbox, 10)
  end
  return true
end

local operations = cmsgpack.unpack(ARGV[3])
local lease = redis.call('HGET', workers, worker)
if operations[1][1] ~= 'join' and (not lease or tonumber(lease) <= steady) then return nil end
local answers = {}
for i, operation in ipairs(operations) do
  answers[i] = perform[operation[1]](unpack(operation, 2))
end
return cmsgpack.pack(answers)
