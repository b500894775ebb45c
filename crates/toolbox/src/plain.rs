//! Types whose values are nothing but their bytes.

/// A type that may lie in memory that other processes write, or in a file.
///
/// Implemented for integers, floats, arrays of such types and [`Handle`](crate::shared::Handle). For a structure, the
/// macro [`plain!`](crate::plain!) implements it and checks the conditions.
///
/// # Safety
///
/// * Every bit pattern of the right length is a value.
/// * There is no padding: all bytes of a value are initialised.
/// * It holds no pointer, no reference, nothing that means something in this process alone.
pub unsafe trait Plain: Copy + Send + Sync + 'static {
    /// What the layout is called: a file remembers it and refuses to be opened as something else. The macro
    /// [`plain!`](crate::plain!) makes one of the names and types of the fields.
    const TAG: u64 = 0;
}

macro_rules! numbers {
    ($($type:ty)*) => {$(
        // SAFETY: [plain-type] a number: every pattern is one, and there is no padding.
        unsafe impl Plain for $type {
            const TAG: u64 = tag(stringify!($type));
        }
    )*};
}

numbers!(u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64);

// SAFETY: [plain-type] elements lie without gaps.
unsafe impl<T: Plain, const N: usize> Plain for [T; N] {
    const TAG: u64 = T::TAG.rotate_left(7) ^ N as u64;
}

/// A number for a text (FNV-1a): layouts with different texts have different tags, but for rare accidents.
#[doc(hidden)]
pub const fn tag(text: &str) -> u64 {
    let (bytes, mut hash, mut at) = (text.as_bytes(), 0xcbf2_9ce4_8422_2325u64, 0);
    while at < bytes.len() {
        hash = (hash ^ bytes[at] as u64).wrapping_mul(0x0000_0100_0000_01b3);
        at += 1;
    }
    hash
}

/// Defines structures whose values are nothing but their bytes, and implements [`Plain`] for them.
///
/// The structure gets `repr(C)`, `Clone` and `Copy`. Fields must be [`Plain`]; padding between them is a compile error.
///
/// ```
/// brkmap_toolbox::plain! {
///     /// A line of a ledger.
///     #[derive(Debug, PartialEq)]
///     pub struct Entry {
///         pub account: u64,
///         pub cents: i64,
///     }
/// }
/// assert_eq!(size_of::<Entry>(), 16);
/// ```
///
/// A gap, or a pointer, does not compile:
///
/// ```compile_fail,E0080
/// brkmap_toolbox::plain! { struct Gap { small: u8, large: u64 } }
/// # let _ = <Gap as brkmap_toolbox::Plain>::TAG;
/// ```
///
/// ```compile_fail,E0277
/// brkmap_toolbox::plain! { struct Pointer { text: &'static str } }
/// ```
///
/// nor does a field that is not always there, behind which a gap could hide:
///
/// ```compile_fail
/// brkmap_toolbox::plain! { struct Sometimes { small: u8, #[cfg(any())] absent: u8, large: u16 } }
/// ```
#[macro_export]
macro_rules! plain {
    ($($(#[$attribute:meta])* $visible:vis struct $name:ident { $($(#[$of_field:meta])* $seen:vis $field:ident: $type:ty),* $(,)? })*) => {$(
        $(#[$attribute])*
        #[repr(C)]
        #[derive(Clone, Copy)]
        $visible struct $name { $($(#[$of_field])* $seen $field: $type),* }

        const _: () = {
            const fn is_plain<T: $crate::Plain>() -> usize {
                size_of::<T>()
            }
            const FIELDS: usize = 0 $(+ is_plain::<$type>())*;
            assert!(FIELDS == size_of::<$name>(), "the fields leave padding between them: reorder them or fill it");
            // Attributes may take fields away, or add some: what was counted must be what there is.
            fn _has_these_fields_alone(value: $name) {
                let $name { $($field),* } = value;
                $(let _: $type = $field;)*
            }
        };

        // SAFETY: [plain-type] all fields are plain and, as was just asserted, leave no gap.
        unsafe impl $crate::Plain for $name {
            const TAG: u64 = $crate::__tag(concat!(stringify!($name), $(stringify!($field), ":", stringify!($type), ";"),*));
        }
    )*};
}
