//! What the engine wrote down of its policy: bytes by rule, moves of the mmap threshold.

use super::Damage;
use super::reader::{Reader, word_at};
use brkmap_wire::{MOVE_WORDS, Move, RULE_BYTES, Root};

/// More rules or records than this are no rules.
const MOST: u64 = 256;

/// Calls and bytes by rule, in the order of the engine. Empty where the library is older than the table.
pub(super) fn rules(reader: &Reader<'_, '_>, root: &Root) -> Result<Vec<(u64, u64)>, Damage> {
    if root.rule_count > MOST {
        return Err(Damage::new(format!("the root claims {} rules", root.rule_count)));
    }
    if root.rule_count == 0 {
        return Ok(Vec::new());
    }
    let table = reader.bytes("the table of rules", root.rules, root.rule_count * RULE_BYTES as u64)?;
    Ok(table.chunks_exact(RULE_BYTES).map(|entry| (word_at(entry, 0), word_at(entry, 8))).collect())
}

/// The moves that are remembered, in their order.
pub(super) fn moves(reader: &Reader<'_, '_>, root: &Root) -> Result<Vec<Move>, Damage> {
    if root.move_slots == 0 {
        return Ok(Vec::new());
    }
    if root.move_slots > MOST || !(8..=4096).contains(&root.move_stride) || !root.move_stride.is_multiple_of(8) {
        let (slots, stride) = (root.move_slots, root.move_stride);
        return Err(Damage::new(format!("the root claims {slots} threshold moves of {stride} bytes")));
    }
    let records = reader.bytes("the threshold moves", root.moves, root.move_slots * root.move_stride)?;
    let record = |bytes: &[u8]| {
        let words = bytes.len() / 8;
        Move::from_words((0..words.min(MOVE_WORDS)).map(|word| word_at(bytes, word * 8)))
    };
    let mut moves: Vec<Move> = records.chunks_exact(root.move_stride as usize).filter_map(record).collect();
    // A record that is written over while it is read is no move.
    moves.retain(|made| made.from < made.to);
    // The threshold only grows; of moves at the same moment the numbers may be in another order.
    moves.sort_unstable_by_key(|made| made.to);
    Ok(moves)
}
