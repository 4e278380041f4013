//! What Elements have in common that let in people's own programs, which know nothing of
//! gridmart: keys of persons instead of tickets, and doors that are no nodes' doors.

pub(crate) mod door;
pub(crate) mod key;
pub(crate) mod people;
