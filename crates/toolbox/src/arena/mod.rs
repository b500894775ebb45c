//! Arena: objects of one type that all die together. Beside it, two relatives.
//!
//! **What.** [`Arena<T>`] puts objects one behind the other into chunks that grow and never move, and hands out
//! references. When it goes, every destructor runs and all chunks go back at once.
//!
//! **When.** Graphs and trees whose nodes refer to each other (the references live as long as the arena); syntax trees,
//! symbol tables, the cells of one simulation step.
//!
//! **When not.** Single objects should be freed earlier ([`Pool`](crate::Pool), [`HandleArena`]); no destructors and
//! many types ([`Bump`](crate::Bump)).
//!
//! | type | hands out | frees one | destructors |
//! |---|---|---|---|
//! | [`Arena<T>`] | `&mut T`, as long as the arena | no | all, at `reset` and `drop` |
//! | [`DropBump`] | `&mut T` for any types | no | all, the last first |
//! | [`HandleArena<T>`] | a [`Key`], 8 bytes, that notices when its object is gone | yes | each at `remove`, the rest at `drop` |
//!
//! | operation | cost |
//! |---|---|
//! | alloc | one compare, one store of the pointer, the object itself |
//! | iterate | the chunks in order: as fast as a slice |
//! | reset | the destructors; keeps the largest chunk |
//!
//! ```text
//!   |header|T|T|T|T|   |header|T|T|T|T|T|T|T|T|   |header|T|T|T|· · · · · · · · · · · · ·|
//!                                                                ^ next                   ^ end
//! ```
//!
//! **Limits.** One thread at a time. An arena with objects that refer to each other cannot be moved while they do: that is
//! what the borrow checker says, and it is right.

mod drop_bump;
mod handles;
mod typed;

pub use drop_bump::DropBump;
pub use handles::{HandleArena, Key};
pub use typed::Arena;
