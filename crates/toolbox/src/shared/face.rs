//! What all four have: the memory they are in, and the root from which all else is found.

/// Implements it for a type with a field `memory`.
macro_rules! face {
    ($name:ident<$($parameter:ident: $bound:path),*>) => {
        impl<$($parameter: $bound),*> $name<$($parameter),*> {
            /// The memory.
            pub fn memory(&self) -> &M {
                &self.memory
            }

            /// The memory, with all that it holds.
            pub fn into_memory(self) -> M {
                self.memory
            }

            fn words(&self) -> $crate::shared::words::Words<'_> {
                $crate::shared::words::Words::of(&self.memory)
            }

            /// Remembers a number, usually a handle's, from which all else is found after a restart.
            ///
            /// # Errors
            ///
            /// The memory was overwritten.
            pub fn set_root(&self, root: u64) -> Result<(), $crate::Error> {
                let place = self.words().at($crate::shared::header::AT_ROOT)?;
                place.store(root, core::sync::atomic::Ordering::Release);
                Ok(())
            }

            /// The number that was remembered; 0 at first.
            pub fn root(&self) -> u64 {
                let place = self.words().at($crate::shared::header::AT_ROOT);
                place.map_or(0, |word| word.load(core::sync::atomic::Ordering::Acquire))
            }
        }
    };
}
pub(super) use face;
