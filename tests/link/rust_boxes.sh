#!/usr/bin/env bash
# behaviour: Box::new of a type and its drop are the fast path alone: inlined, the class a constant, nothing called but what
#   is rare
# source: the crate's documentation: the size class of a type is a constant of the program
disassembly() { objdump -d --no-show-raw-insn --disassemble="$1" "$RUST/libboxes.so" | grep -E '^ +[0-9a-f]+:'; }
rare='_slow|handle_alloc_error|page_event|die_corrupted|panic_cannot_unwind'
for function in box_new box_drop; do
    disassembly $function > code
    test "$(wc -l < code)" -gt 10
    grep -Eq "$rare" code
    # A call or a jump out of the function is to something rare.
    grep -E '\<(call|jmp|j[a-z]+) ' code | grep -v "<$function+" | grep -Ev "$rare" && exit 1
    # 48 bytes at alignment 8: no table is asked for the class, nothing is divided.
    grep -E '\<(i?div[a-z]*|cmp +\$0x2001)' code && exit 1
done
exit 0
