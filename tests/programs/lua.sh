#!/usr/bin/env bash
# behaviour: lua runs the same: tables, closures, strings, coroutines; its own allocator is realloc
# source: real program
# programs: lua5.4
# timeout: 60
set -eu
cat > work.lua <<'LUA'
local function hash(text)
  local h = 0
  for i = 1, #text do h = (h * 31 + text:byte(i)) & 0xffffffff end
  return h
end
local parts = {}
for i = 1, 150000 do parts[#parts + 1] = string.format("%d:%x", i, i * 2654435761 & 0xffff) end
print(#parts, hash(table.concat(parts, ",")))
local tree
for i = 1, 20000 do
  local node = { key = (i * 7919) % 60013, name = "n" .. i }
  local at = tree
  if not at then tree = node goto continue end
  for _ = 1, 200 do
    local side = node.key < at.key and "left" or "right"
    if not at[side] then at[side] = node break end
    at = at[side]
  end
  ::continue::
end
local count = 0
local function walk(n) if n then count = count + 1 walk(n.left) walk(n.right) end end
walk(tree)
print(count)
local made = coroutine.wrap(function() for i = 1, 20000 do coroutine.yield({ i, tostring(i) }) end end)
local sum = 0
for i = 1, 20000 do sum = sum + #made()[2] end
print(sum)
local text = string.rep("abc ", 200000)
print(select(2, text:gsub("b", "%0%0")))
tree, parts = nil, nil
collectgarbage() collectgarbage()
LUA
lua5.4 work.lua
