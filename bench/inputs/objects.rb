# Hashes, arrays and strings too long to be embedded in their objects.
words = Hash.new { |hash, key| hash[key] = [] }
300_000.times { |i| words["word #{(i * 7919) % 20_011} of a text that is long"] << "x" * (i % 60) }
lines = words.map { |word, list| word + list.join(",") }.sort_by(&:length)
puts lines.length, lines.sum(&:length), lines.join("\n").scan(/x{50,}/).length
