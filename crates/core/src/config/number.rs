//! Texts that mean numbers: glibc's and ours.

/// A number as glibc's `_dl_strtoul` takes it: blanks, a sign (a negative number wraps round, so -1 is the largest), then
/// decimal, `0x` hexadecimal, or octal after a leading 0. The whole text must be the number and fit, which is the rule of
/// newer glibc (`tunable_parse_num`); 2.36 drops what follows the digits, so that a misspelt threshold means 0.
pub(super) fn glibc(text: &[u8]) -> Option<usize> {
    let blanks = text.iter().take_while(|byte| matches!(byte, b' ' | b'\t')).count();
    let text = &text[blanks..];
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    let value = match digits {
        [b'0', b'x' | b'X', rest @ ..] => in_base(rest, 16),
        [b'0', _, ..] => in_base(&digits[1..], 8),
        _ => in_base(digits, 10),
    }?;
    Some(if negative { value.wrapping_neg() } else { value })
}

/// All of the text as digits of a base.
fn in_base(text: &[u8], base: u32) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0usize, |value, byte| {
        let digit = (*byte as char).to_digit(base)?;
        value.checked_mul(base as usize)?.checked_add(digit as usize)
    })
}

/// A number of ours: decimal, or hexadecimal after `0x`. A leading 0 means nothing.
pub(super) fn decimal(text: &[u8]) -> Option<usize> {
    match text {
        [b'0', b'x' | b'X', rest @ ..] => in_base(rest, 16),
        _ => in_base(text, 10),
    }
}

/// Bytes: a number, or a decimal fraction with a unit (`1.5G`); k, M, G, T are powers of 1024, with or without `iB` or
/// `B`. -1 is the largest size, as in mallopt(3).
pub(super) fn size(text: &[u8]) -> Option<usize> {
    if text == b"-1" {
        return Some(usize::MAX);
    }
    if text.starts_with(b"0x") || text.starts_with(b"0X") {
        return decimal(text);
    }
    let end = text.iter().position(|byte| !byte.is_ascii_digit() && *byte != b'.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let shift = unit_shift(unit)?;
    let Some(point) = number.iter().position(|byte| *byte == b'.') else {
        return in_base(number, 10)?.checked_mul(1 << shift);
    };
    // A fraction of a byte is none.
    if shift == 0 {
        return None;
    }
    let whole = in_base(&number[..point], 10)?.checked_mul(1 << shift)?;
    whole.checked_add(fraction(&number[point + 1..], shift)?)
}

/// log2 of a unit.
fn unit_shift(unit: &[u8]) -> Option<u32> {
    let (letter, rest) = match unit {
        [] | [b'B' | b'b'] => return Some(0),
        [letter, rest @ ..] => (letter, rest),
    };
    let shift = match letter.to_ascii_lowercase() {
        b'k' => 10,
        b'm' => 20,
        b'g' => 30,
        b't' => 40,
        _ => return None,
    };
    matches!(rest, [] | [b'i' | b'I'] | [b'i' | b'I', b'b' | b'B'] | [b'b' | b'B']).then_some(shift)
}

/// The digits behind a point, times a power of two, rounded down. Digits beyond the sixth are dropped.
fn fraction(digits: &[u8], shift: u32) -> Option<usize> {
    let used = &digits[..digits.len().min(6)];
    digits.iter().all(u8::is_ascii_digit).then_some(())?;
    Some((in_base(used, 10)? << shift) / 10usize.pow(used.len() as u32))
}

/// On (1) or off (0).
pub(super) fn switch(text: &[u8]) -> Option<usize> {
    let means = |words: [&str; 4]| words.iter().any(|word| word.as_bytes().eq_ignore_ascii_case(text));
    if means(["on", "true", "yes", "1"]) {
        return Some(1);
    }
    means(["off", "false", "no", "0"]).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn glibc_numbers() {
        let rows: [(&str, Option<usize>); 22] = [
            ("0", Some(0)),
            ("131072", Some(131072)),
            ("  7", Some(7)),
            ("\t+7", Some(7)),
            ("0x10", Some(16)),
            ("0XfF", Some(255)),
            ("010", Some(8)),
            ("00", Some(0)),
            ("-1", Some(usize::MAX)),
            ("-2", Some(usize::MAX - 1)),
            ("18446744073709551615", Some(usize::MAX)),
            ("18446744073709551616", None),
            ("99999999999999999999999", None),
            ("", None),
            ("x", None),
            ("-", None),
            ("0x", None),
            ("08", None),
            ("1x", None),
            ("1 ", None),
            ("64k", None),
            ("\u{ff}", None),
        ];
        for (text, value) in rows {
            assert_eq!(glibc(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn sizes() {
        let rows: [(&str, Option<usize>); 27] = [
            ("0", Some(0)),
            ("010", Some(10)),
            ("64k", Some(64 << 10)),
            ("64K", Some(64 << 10)),
            ("64kB", Some(64 << 10)),
            ("10MiB", Some(10 << 20)),
            ("10mib", Some(10 << 20)),
            ("2Gi", Some(2 << 30)),
            ("1T", Some(1 << 40)),
            ("5B", Some(5)),
            ("0x10000", Some(65536)),
            ("1.5G", Some(3 << 29)),
            ("0.25k", Some(256)),
            ("1.0000001k", Some(1024)),
            ("-1", Some(usize::MAX)),
            ("-2", None),
            ("1.5", None),
            ("1.G", None),
            (".5G", None),
            ("1.2.3k", None),
            ("k", None),
            ("", None),
            ("64q", None),
            ("64kk", None),
            ("64k ", None),
            ("99999999999999999999", None),
            ("18014398509481984k", None),
        ];
        for (text, value) in rows {
            assert_eq!(size(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn switches() {
        assert_eq!(switch(b"on"), Some(1));
        assert_eq!(switch(b"TRUE"), Some(1));
        assert_eq!(switch(b"0"), Some(0));
        assert_eq!(switch(b"2"), None);
        assert_eq!(switch(b""), None);
    }
}
