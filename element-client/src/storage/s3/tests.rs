//! The door as programs see it, over storage in memory.

mod access_test;
mod client;
mod encryption_test;
mod form_test;
mod object_test;
mod scene;
mod signature_test;
