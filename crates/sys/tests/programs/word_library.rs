// A library with a thread word.
mod word;
