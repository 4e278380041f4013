//! Joining: the token that an operator hands over, and the enrolment with it.

mod enrolment;
mod token;

pub use self::{
    enrolment::{ENROL_PATH, enrol},
    token::{JoinToken, JoinTokenError},
};
