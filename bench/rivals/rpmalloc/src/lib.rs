//! Nothing of its own: with the feature `preload`, the archive that the crate's build script leaves behind has
//! the names of the C library, and the runner links it into the library that is preloaded.
