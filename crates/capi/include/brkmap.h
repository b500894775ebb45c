/* brkmap.h - brkmap's own functions, beside those of malloc.h.
 *
 * A program that is linked with brkmap (pkg-config brkmap, or brkmap::brkmap in CMake) may call them directly. One that
 * only meets the preloaded library looks them up with dlsym(RTLD_DEFAULT, "brkmap_stats_get").
 *
 * All of them may be called from any thread at any time but in a signal handler. They allocate nothing, leave errno alone
 * and are no cancellation points, but for the caller's own function in brkmap_stats_print. Those that take figures look at
 * every block of the heap, under a lock for which threads that need a new page or a large block may have to wait.
 *
 * Sizes are in bytes. What the figures are to each other, and to glibc's, is in docs/STATISTICS.md.
 */
#ifndef BRKMAP_H
#define BRKMAP_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(__GNUC__) && !defined(BRKMAP_API)
#define BRKMAP_API __attribute__((visibility("default")))
#elif !defined(BRKMAP_API)
#define BRKMAP_API
#endif

/* Version of struct brkmap_stats: grows with each field that is appended. */
#define BRKMAP_STATS_VERSION 1

/* In `flags`: the kernel does not say what is in memory (mincore(2) is refused); `resident` and its parts are bounds
 * from the books of the allocator. */
#define BRKMAP_STATS_ESTIMATED 1u

/* The figures. The equations hold exactly in every structure that is filled:
 *
 *   mapped   == active + retained + metadata
 *   mapped   == break_bytes + region_bytes + direct_bytes + metadata
 *   resident == resident_allocated + resident_thread_cache + pinned + returnable + resident_metadata
 *
 * Taken while other threads allocate, single figures may be off by what changed meanwhile. */
struct brkmap_stats {
    /* Set by the caller: the bytes it has, sizeof(struct brkmap_stats). Set by the call: the bytes that were filled. */
    size_t size;
    /* Version of the structure that the library knows. */
    uint32_t version;
    /* BRKMAP_STATS_ESTIMATED, or 0. */
    uint32_t flags;

    /* Live blocks, with what they are larger than their requests: the sum of their malloc_usable_size. */
    uint64_t allocated;
    /* OS pages with at least one byte of a live block, in memory or not. */
    uint64_t active;
    /* The allocator's own records: heaps, page metas, state bytes, its static part. Address space; most is never touched. */
    uint64_t metadata;
    /* What is in memory of `mapped`, as the kernel says. */
    uint64_t resident;
    /* Address space that the allocator has: its part of the break, regions, direct mappings, records. */
    uint64_t mapped;
    /* OS pages of the break and of regions without a live byte: kept for later blocks, in memory or not. */
    uint64_t retained;
    /* What is in memory of `retained`, less what threads keep: could go back to the kernel. */
    uint64_t returnable;
    /* In memory: free bytes on OS pages that live blocks keep there, less what threads keep. */
    uint64_t pinned;
    /* Free blocks in threads' lists and on their way to them, in memory or not. */
    uint64_t thread_cache;

    /* What is in memory of allocated, thread_cache, metadata. */
    uint64_t resident_allocated;
    uint64_t resident_thread_cache;
    uint64_t resident_metadata;

    /* Live blocks, a number. */
    uint64_t live_blocks;
    /* The allocator's part of the program break; mappings that many blocks share. */
    uint64_t break_bytes;
    uint64_t region_bytes;
    /* Live blocks with a mapping of their own: how many, their bytes, the highest of each so far. */
    uint64_t direct;
    uint64_t direct_bytes;
    uint64_t direct_peak;
    uint64_t direct_peak_bytes;
    /* Heaps of threads, a number; those of them that a thread has. */
    uint64_t heaps;
    uint64_t heaps_active;
    /* Present thresholds: M_MMAP_THRESHOLD and M_TRIM_THRESHOLD, as they moved. */
    uint64_t mmap_threshold;
    uint64_t trim_threshold;

    /* System calls made by the library so far, numbers; those with an error among them. A child of fork goes on from its
     * parent's numbers. */
    uint64_t brk_calls;
    uint64_t mmap_calls;
    uint64_t munmap_calls;
    uint64_t mremap_calls;
    uint64_t madvise_calls;
    uint64_t futex_calls;
    uint64_t all_calls;
    /* Calls answered with an error; some are no failure, as a wait that ended by its time limit. */
    uint64_t refused_calls;
};

/* A structure that is ready for brkmap_stats_get, with all else 0: fields that an older library does not know stay 0. */
#define BRKMAP_STATS_INIT { sizeof(struct brkmap_stats), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, \
                            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0 }

/* Fills *stats as far as stats->size bytes reach and the library knows, and says in stats->size how far.
 * 0, or EINVAL: null, or a size below 16 (size, version and flags). */
BRKMAP_API int brkmap_stats_get(struct brkmap_stats *stats);

/* For `flags` of brkmap_stats_print: parts to leave out. */
#define BRKMAP_PRINT_NO_CLASSES 1
#define BRKMAP_PRINT_NO_HEAPS 2
#define BRKMAP_PRINT_NO_CALLS 4

/* Writes all statistics as text for people, in parts of up to 2 KiB, by write(arg, part). Null: to standard error. */
BRKMAP_API void brkmap_stats_print(void (*write)(void *arg, const char *part), void *arg, int flags);

/* Reads the value behind a name into *old_value and then sets it to *new_value; either is left out by null. The way of
 * jemalloc's mallctl: *old_len is the room and becomes the size of the value; numbers are uint64_t, switches bool, words
 * const char *.
 *
 *   0        done; with neither value: the name exists (`trim` alone acts)
 *   ENOENT   there is no such name, or no class or heap of that number
 *   EINVAL   *old_len or new_len is not the size of the value (*old_len is set to it, nothing is done), or a value that the
 *            name cannot have
 *   EPERM    the name cannot be set
 *
 * Names. `names` lists them all.
 *
 *   version                       word: the version of the library
 *   names                         text: all names, one on each line, ended by a zero byte. With old_value null, *old_len
 *                                 becomes the room that it takes
 *   epoch                         number, may be set: figures are always taken afresh, so it only counts
 *   trim                          malloc_trim: new_value is the pad (0 if left out), old_value becomes 1 if something went
 *                                 back, else 0
 *
 *   opt.mmap_threshold            number, may be set: M_MMAP_THRESHOLD; setting one of these four ends the dynamic threshold
 *   opt.trim_threshold            number, may be set: M_TRIM_THRESHOLD
 *   opt.top_pad                   number, may be set: M_TOP_PAD
 *   opt.mmap_max                  number, may be set: M_MMAP_MAX
 *   opt.arena_max                 number, may be set from 1 on: M_ARENA_MAX; UINT64_MAX: no bound
 *   opt.limit                     number, may be set: bytes that blocks may take; UINT64_MAX: no bound
 *   opt.perturb                   number, may be set from 0 to 255: M_PERTURB
 *   opt.purge_delay_ms            number, may be set up to 3600000: how long free memory stays; UINT64_MAX: as planned
 *   opt.background                word, may be set: auto, on, off: whether a helper thread gives memory back
 *   opt.use                       word: brk+mmap, brk, mmap
 *
 *   stats.FIELD                   number: a field of struct brkmap_stats, from allocated to trim_threshold. Each takes all
 *                                 figures; who wants several at one moment takes brkmap_stats_get
 *   stats.is_estimated            switch: BRKMAP_STATS_ESTIMATED
 *   stats.classes                 number: size classes
 *   stats.class.<i>.size          number: bytes of a block of the class <i>, counted from 0
 *   stats.class.<i>.pages         number: bytes of the pages of the class
 *   stats.class.<i>.blocks        number: live blocks, how many
 *   stats.class.<i>.live          number: bytes of live blocks; their sum over the classes, with the blocks that have slices
 *                                 or a mapping of their own, is `allocated`
 *   stats.class.<i>.free          number: bytes of all other blocks of these pages, those never used among them
 *   stats.class.<i>.thread_cache  number: bytes of `free` that threads keep
 *   stats.heap.<i>.thread         number: the thread that has the heap <i>, counted from 0 in the order in which they were
 *                                 made; 0: none
 *   stats.heap.<i>.pages          number: bytes of its pages
 *   stats.heap.<i>.blocks         number: live blocks in them, how many
 *   stats.heap.<i>.live           number: bytes of live blocks in them
 *   stats.heap.<i>.thread_cache   number: bytes of free blocks of them that threads keep
 *   stats.calls.CALL              number: system calls made: brk, mmap, munmap, mremap, madvise, process_madvise, mincore,
 *                                 futex, sched_yield, prctl, clone, clock_gettime, getpid, gettid, write, openat, read,
 *                                 close, other
 *   stats.refused.CALL            number: those of them that were answered with an error
 *   stats.counters.NAME           number: what the calls were for, in numbers and bytes; the names are in `names`
 */
BRKMAP_API int brkmap_ctl(const char *name, void *old_value, size_t *old_len, const void *new_value, size_t new_len);

#ifdef __cplusplus
}
#endif

#endif
