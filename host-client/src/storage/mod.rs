//! What a storage Host keeps on its disk: blocks of objects (`volume`), and a
//! copy of its Element's metadata log (`ledger`).
//!
//! Invariants: what was acknowledged outlives a power cut; what is damaged is
//! found and never served; after a write or a sync that failed nothing is added
//! to that file. No network here: doors and streams stand on top of it. All
//! calls block for the disk, and may come from many threads.

mod group_sync;
pub mod ledger;
pub mod volume;

/// An error's words as a sentence, for people.
fn sentence(words: &str) -> String {
    let mut letters = words.chars();
    let first = letters.next().map(|letter| letter.to_ascii_uppercase());
    first.into_iter().chain(letters).chain(['.']).collect()
}
