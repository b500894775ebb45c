#!/usr/bin/env bash
# behaviour: a lua program needs no more instructions than with glibc's malloc, but for the bound
# source: real program
# timeout: 300
set -eu
cat > work.lua <<'LUA'
local parts = {}
for i = 1, 40000 do parts[#parts + 1] = string.format("%d:%x", i, i * 2654435761 & 0xffff) end
local text = table.concat(parts, ",")
for i = 1, 20000 do local node = { key = i, name = "n" .. i, list = { i, i + 1 } } parts[i] = node end
local made = coroutine.wrap(function() for i = 1, 5000 do coroutine.yield({ i, tostring(i) }) end end)
for _ = 1, 5000 do made() end
LUA
$COUNT lua5.4 work.lua
