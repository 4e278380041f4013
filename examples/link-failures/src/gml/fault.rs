//! What can be wrong with a GML file, and on which line.

use super::{MAX_DEPTH, MAX_FILE_SIZE};
use crate::network::{MAX_LINKS, MAX_NODES, NetworkError};

/// A file that cannot be read as a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {fault}")]
pub struct GmlError {
    /// Line of the fault, from 1.
    pub line: usize,
    /// What is wrong there.
    pub fault: Fault,
}

/// What is wrong, and where it is not plain, what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say it")]
pub enum Fault {
    #[error("the file is larger than {} MiB, the most that is read", MAX_FILE_SIZE >> 20)]
    FileTooLarge,
    #[error("lists are nested deeper than {MAX_DEPTH} levels")]
    TooDeep,
    #[error("a ']' where nothing is open")]
    StrayClose,
    #[error("the file ends inside the list opened on line {opened}; a ']' is missing")]
    UnclosedList { opened: usize },
    #[error("the string that begins here is never closed; a '\"' is missing")]
    UnclosedString,
    #[error("expected a key (a letter, then letters, digits or '_'), found {found}")]
    ExpectedKey { found: String },
    #[error("expected a number, a quoted string or a list after the key \"{key}\", found {found}")]
    ExpectedValue { key: String, found: String },
    #[error("\"{text}\" is not a number")]
    BadNumber { text: String },
    #[error("\"{text}\" does not fit a whole number of 64 bits")]
    NumberTooLarge { text: String },
    #[error("unexpected character {shown}; strings stand in double quotes")]
    UnexpectedCharacter { shown: String },

    #[error("the file has no \"graph [ ... ]\"")]
    NoGraph,
    #[error("a second graph; a file may hold only one")]
    SecondGraph,
    #[error("\"{key}\" must be {expected}")]
    WrongKind { key: String, expected: &'static str },
    #[error("this {list} has no \"{key}\"")]
    Missing {
        list: &'static str,
        key: &'static str,
    },
    #[error("\"{key}\" is given twice in one {list}, first on line {first}")]
    GivenTwice {
        list: &'static str,
        key: &'static str,
        first: usize,
    },
    #[error("node id {id} is used twice, first on line {first}")]
    NodeTwice { id: i64, first: usize },
    #[error("this edge's {end} {id} is not the id of any node")]
    NoSuchNode { end: &'static str, id: i64 },
    #[error("{key} must lie between -{limit} and {limit} degrees")]
    OutOfRange { key: &'static str, limit: u16 },
    #[error("more than {MAX_NODES} nodes")]
    TooManyNodes,
    #[error("more than {MAX_LINKS} edges")]
    TooManyLinks,
    #[error(transparent)]
    Network(#[from] NetworkError),
}

impl Fault {
    /// Puts the fault on a line.
    pub(crate) fn at(self, line: usize) -> GmlError {
        GmlError { line, fault: self }
    }
}
