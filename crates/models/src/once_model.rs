//! First initialisation: exactly one thread runs it, and whoever returns sees all that it wrote.

/// The model over one implementation of `Once`.
macro_rules! once_model {
    ($implementation:ident) => {
        use std::sync::atomic::{AtomicUsize as Plain, Ordering::SeqCst};

        use crate::Watched;
        use loom::sync::Arc;

        use crate::parking::Futex;
        use $implementation::Once;

        struct Engine {
            once: Once,
            futex: Futex,
            /// What the initialisation writes; the checker watches every access.
            value: Watched<u32>,
            runs: Plain,
        }

        fn enter(engine: &Engine) {
            if !engine.once.is_done() {
                engine.once.call(&engine.futex, || {
                    engine.runs.fetch_add(1, SeqCst);
                    engine.value.set(7);
                });
            }
            assert_eq!(engine.value.get(), 7, "the initialisation is not complete");
            engine.futex.leave();
        }

        fn model() {
            let engine = Arc::new(Engine {
                once: Once::new(),
                futex: Futex::new(3),
                value: Watched::new(0),
                runs: Plain::new(0),
            });
            crate::together(&engine, [(); 3].map(|()| Box::new(enter) as _));
            assert_eq!(engine.runs.load(SeqCst), 1, "it ran not exactly once");
        }
    };
}
use once_model;

mod engine {
    use crate::once;
    super::once_model!(once);

    #[test]
    fn one_thread_initialises_and_all_see_it() {
        crate::explore(crate::PREEMPTIONS, model);
    }
}

crate::mutants! {
    once_model::model finds once_claims_by_load_and_store;
    once_model::model finds once_opens_before_it_is_complete;
    once_model::model finds once_completes_relaxed;
    once_model::model finds once_announces_by_store;
    once_model::model finds once_completes_by_load_and_store;
    once_model::model finds once_wakes_one;
}
