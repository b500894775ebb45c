//! Symbols that may be nowhere: `extern { #[linkage = "extern_weak"] }` is not stable, an entry of the offset table is.

/// The address of a symbol (a string literal), or 0 where no library of the process defines it.
#[macro_export]
macro_rules! weak_address {
    ($symbol:literal) => {{
        let address: usize;
        // SAFETY: [weak-symbol] loads the address, or 0, which the loader or the linker has put into the offset table.
        unsafe {
            ::core::arch::asm!(
                concat!(".weak ", $symbol),
                concat!("mov {}, qword ptr [rip + ", $symbol, "@GOTPCREL]"),
                out(reg) address,
                options(pure, nomem, nostack, preserves_flags),
            );
        }
        address
    }};
}
