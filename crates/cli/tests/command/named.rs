//! Memory that a program named: the table that the toolbox writes, here written by hand.

use super::{compile, report};

#[test]
fn named_memory_is_in_the_report() {
    let folder = tempfile::tempdir().unwrap();
    let source = "
        #include <stdio.h>
        #include <stdlib.h>
        #include <string.h>
        struct entry { unsigned long start, bytes; char name[48]; };
        static struct { char magic[16]; unsigned long abi, self, entries, unused[3]; struct entry ranges[64]; } table
            __attribute__((aligned(64), used)) = { \"\\x7f\" \"brkmap\\0name\\x1a\\r\\n\", 1, 0, 64 };
        int main(void) {
            char *first = malloc(1 << 20), *second = malloc(1 << 20);
            memset(first, 1, 1 << 19);
            memset(second, 1, 1 << 20);
            table.self = (unsigned long)&table;
            table.ranges[0] = (struct entry){ (unsigned long)first, 1 << 20, \"parser\" };
            table.ranges[5] = (struct entry){ (unsigned long)second, 1 << 20, \"parser\" };
            table.ranges[63] = (struct entry){ 12345, 99, \"not mapped\" };
            puts(\"\");
            fflush(stdout);
            return first[0] - second[0];
        }";
    let program = compile(folder.path(), source, &[]);
    let (_, document) = report("brkmap", &[&program]);
    let named = document["processes"][0]["named"].as_array().unwrap();
    assert_eq!(named.len(), 1, "{named:?}");
    assert_eq!(
        (&named[0]["name"], &named[0]["ranges"], &named[0]["bytes"]),
        (&"parser".into(), &2.into(), &(2 << 20).into())
    );
    let resident = named[0]["resident_bytes"].as_u64().unwrap();
    assert!((3 << 19..(3 << 19) + 16384).contains(&resident), "{resident}");
}
