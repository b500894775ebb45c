#!/usr/bin/env bash
# behaviour: Box::new of a type is the fast path alone: inlined, its class a constant, nothing called but what is rare
# source: the crate's documentation: the size class of a type is a constant of the program
disassembly() { objdump -d --no-show-raw-insn --disassemble="$1" "$RUST/libboxes.so" | grep -E '^ +[0-9a-f]+:'; }
rare='_slow|handle_alloc_error|page_event|panic_cannot_unwind'
disassembly box_new > new
test "$(wc -l < new)" -gt 10
grep -Eq '\<call' new
# A call or a jump out of the function is to something rare.
grep -E '\<(call|jmp|j[a-z]+) ' new | grep -v '<box_new+' | grep -Ev "$rare" && exit 1
# 48 bytes at alignment 8: no table is asked for the class, nothing is divided.
grep -E '\<(i?div|cmp +\$0x2001)' new && exit 1
exit 0
