//! What people may be now, as the controller says.
//!
//! An access key serves for years without its person being at the controller, so
//! what it may do must not be what the person was when it was made. The
//! controller tells each Element that knows keys the roles of all who may sign in, with
//! all else that should be ([`ElementDesired`]): it is kept on the Element's
//! disk, holds while the controller is away, and a person who is removed, locked
//! or made a viewer is so at the Element with the next word of the controller.

use std::collections::HashMap;

use gridmart_schemas::{
    id::PersonName,
    role::Role,
    wire::desired::{ElementDesired, PersonRole},
};
use parking_lot::RwLock;

/// The persons who may use their keys here, and their roles of now.
#[derive(Debug, Default)]
pub(crate) struct People(RwLock<HashMap<PersonName, PersonRole>>);

impl People {
    /// These and no others from now on.
    pub(crate) fn on_desired(&self, desired: &ElementDesired) {
        let people = desired.people.iter();
        *self.0.write() = people.map(|one| (one.name.clone(), one.clone())).collect();
    }

    /// Notes one who comes ahead of the next list.
    pub(crate) fn note(&self, person: PersonRole) {
        self.0.write().insert(person.name.clone(), person);
    }

    /// The person as they are now; none: nobody who may do anything here.
    pub(crate) fn get(&self, person: &PersonName) -> Option<PersonRole> {
        self.0.read().get(person).cloned()
    }

    /// What a person may be; none: nobody who may do anything here.
    pub(crate) fn role(&self, person: &PersonName) -> Option<Role> {
        self.0.read().get(person).map(|known| known.role)
    }
}
