//! Bad days of storage: Hosts whose disks are full, read-only, slow or as they
//! were yesterday, Hosts that go while people write; programs that go in
//! mid-upload and come with wrong clocks; what is very large and very many.
//!
//! What is large or many is as large as a debug build does in some seconds, and
//! whole with `make soak-storage`.

mod clients;
mod hosts;
mod kept;
mod many;
mod sizes;
