//! What to do about a diagnosis, each with what it saves and how that is known.

use super::diagnosis::{Case, Class, SMALL};
use super::xray::Row;
use crate::heap::runtime::kind::Runtime;

/// Where a figure comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Computed from malloc's own structures and the page table.
    Predicted,
    /// A bound, or what such a change brings as a rule.
    Estimate,
    /// Read from the kernel.
    Measured,
}

impl Mark {
    /// Name in reports and JSON.
    pub(crate) fn key(self) -> &'static str {
        match self {
            Mark::Predicted => "predicted",
            Mark::Estimate => "estimate",
            Mark::Measured => "measured",
        }
    }
}

/// One thing to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Advice {
    pub(crate) text: String,
    /// Bytes that it saves; `None` where there is nothing to save.
    pub(crate) gain: Option<(u64, Mark)>,
}

impl Case<'_> {
    /// Remedies for a class.
    pub(super) fn advice(&self, class: Class) -> Vec<Advice> {
        let say = |text: &str, gain: Option<(u64, Mark)>| Advice { text: text.to_owned(), gain };
        let total = self.total();
        let returnable = self.xray.get(Row::Returnable);
        let is_glibc = self.glibc.is_some_and(|glibc| !glibc.arenas.is_empty());
        let trim = || say("call malloc_trim(0) after the big phase", Some((returnable, Mark::Predicted)));
        let ours = |gain| say("or run it on brkmap: brkmap use -- COMMAND", Some((gain, Mark::Estimate)));
        let compact = total.floor.saturating_sub(total.live + total.headers);
        let mut all = match class {
            Class::Growing => vec![
                say("brkmap inspect --watch 5 PID: a plateau is no leak", None),
                say("then ask a heap profiler who allocates it", None),
            ],
            Class::Cached if is_glibc => vec![trim(), ours(self.whole_pages())],
            Class::Cached => vec![trim()],
            Class::ThreadCaches => vec![
                say("a smaller glibc.malloc.tcache_count", Some((self.xray.get(Row::Caches), Mark::Estimate))),
                trim(),
            ],
            Class::TopPinned => vec![
                trim(),
                say("allocate what stays before the big phase", Some((total.under_top, Mark::Estimate))),
                ours(self.whole_pages()),
            ],
            Class::ArenaSpread => {
                let (arenas, free) = self.thread_arenas();
                let saved = free - free / arenas.max(1);
                vec![
                    trim(),
                    say("start it with MALLOC_ARENA_MAX=2", Some((saved, Mark::Estimate))),
                    ours(self.whole_pages()),
                ]
            }
            Class::Fragmented => vec![
                say("keep long-lived blocks apart (own arena)", Some((compact, Mark::Estimate))),
                trim(),
                ours(returnable),
            ],
            Class::HugePages => {
                vec![say("huge pages by madvise only, not always", Some((self.zeros_on_huge, Mark::Predicted)))]
            }
            Class::LazyFree => {
                vec![say("nothing: it goes under memory pressure", Some((self.lazy_free, Mark::Measured)))]
            }
            Class::NotMalloc => self.runtime_advice(),
            Class::Fine if returnable >= SMALL => vec![trim()],
            Class::Fine => vec![say("nothing", None)],
            Class::Unclear => vec![say("look again, with the rights to read all of it", None)],
        };
        all.retain(|advice| advice.gain.is_none_or(|(bytes, _)| bytes >= 64 << 10));
        if all.is_empty() {
            all.push(say("nothing", None));
        }
        all
    }

    fn runtime_advice(&self) -> Vec<Advice> {
        let (row, bytes) = self.largest_other();
        let estimate = |text: &str, gain: u64| Advice { text: text.to_owned(), gain: Some((gain, Mark::Estimate)) };
        let plain = |text: &str| Advice { text: text.to_owned(), gain: None };
        match (row, self.xray.rest.or(self.xray.runtime)) {
            (Row::RuntimeFree, _) => vec![estimate("copy what stays, so that whole arenas go", bytes)],
            (Row::RuntimeLive, _) => vec![plain("these are objects in use: ask tracemalloc who made them")],
            (Row::Runtime, Some(Runtime::V8)) => vec![plain("take a heap snapshot, or bound it: --max-old-space-size")],
            (Row::Runtime, Some(Runtime::Jvm)) => {
                vec![plain("bound it with -Xmx; jcmd PID VM.native_memory says more")]
            }
            (Row::Runtime, Some(Runtime::Go)) => vec![plain("bound it with GOMEMLIMIT; ask pprof who allocates")],
            (Row::Runtime, Some(Runtime::Jemalloc)) => {
                vec![plain("MALLOC_CONF=background_thread:true,dirty_decay_ms:1000")]
            }
            (Row::Runtime, Some(Runtime::Mimalloc)) => vec![plain("MIMALLOC_PURGE_DELAY=0")],
            (Row::Files, _) => vec![plain("files and shared memory: the kernel takes clean pages back by itself")],
            (Row::Stacks, _) => vec![plain("fewer threads, or smaller stacks")],
            _ => vec![plain("brkmap maps PID shows which mappings these are")],
        }
    }
}
