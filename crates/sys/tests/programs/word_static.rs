// A program that has the thread word itself.
mod word;
include!("word_check.rs");

fn main() {
    check(word::word_get, word::word_set);
}
