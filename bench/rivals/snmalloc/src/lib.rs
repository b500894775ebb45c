//! Nothing of its own: the library that is preloaded is built by the recipe of the crate's own CMakeLists.txt.
