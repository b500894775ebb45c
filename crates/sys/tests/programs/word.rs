// What the programs of this folder share: a thread word whose symbol is their own, and two C functions on it.

#[allow(dead_code)]
#[macro_use]
#[path = "../../src/linux/thread_word.rs"]
mod thread_word;

static EMPTY: u64 = 0;

thread_word! {
    mod current: u64, "brkmap_word_of_a_test_program", EMPTY
}

/// 0 if this thread's word is still the initial one, else what was set.
#[unsafe(no_mangle)]
pub extern "C" fn word_get() -> u64 {
    let word = current::get();
    if word == (&raw const EMPTY).cast_mut() { 0 } else { word as u64 }
}

/// Sets this thread's word.
#[unsafe(no_mangle)]
pub extern "C" fn word_set(value: u64) {
    current::set(value as *mut u64);
}
