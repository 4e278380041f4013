//! Doors and streams between real endpoints on loopback.

#![expect(clippy::unwrap_used, reason = "a step that fails is a test that fails")]

mod blocks;
mod common;
mod door;
mod frames;
mod stream;
mod stream_end;
mod tunnel;
