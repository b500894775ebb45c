#![no_std]
//! Purpose-built allocators (bump, pool, free list, arena) over any memory source. Empty for now.
