-- Tables and strings that live for different times.
local kept, total = {}, 0
for turn = 1, 4 do
  local rows = {}
  for i = 1, 60000 do
    local row = { id = i, name = "row " .. i .. ":" .. turn, pair = { i, i + 1 } }
    rows[i] = row
    if i % 50 == 0 then kept[#kept + 1] = row end
  end
  for _, row in ipairs(rows) do total = total + #row.name + row.pair[2] end
end
local parts = {}
for i = 1, 200000 do parts[#parts + 1] = tostring(i) .. "," end
total = total + #table.concat(parts)
print(total, #kept)
