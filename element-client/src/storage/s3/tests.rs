//! The door as programs see it, over storage in memory.

mod client;
mod encryption_test;
mod object_test;
mod form_test;
mod scene;
mod signature_test;
