//! Elements and Hosts of any kind, for who treats them alike: the catalogue,
//! the streams between the tiers.
//!
//! In JSON, what belongs to a Computing Element stands as it does alone, without
//! a mark: nodes that know no other kind read it and write it so. What belongs
//! to a Storage Element begins with `"kind"`. A kind that is not known here is
//! refused by its name.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use super::{
    ce::{CeState, ComputingElement},
    common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
    host::{ComputeHost, HostState, StorageHost, StorageHostState},
    se::{SeState, StorageElement},
    validate::Violations,
};
use crate::{
    role::NodeKind,
    scalar::{Seconds, Token, Uri, UtcTime},
    xml::Document,
};

/// The member of the JSON form that names the kind.
const KIND: &str = "kind";

/// What is of another kind than it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is of a {found}, where a {expected} is meant; give one of that kind")]
pub struct OtherKind {
    /// What is meant.
    pub expected: NodeKind,
    /// What was given.
    pub found: NodeKind,
}

/// What stands in JSON with its kind.
#[derive(Serialize)]
struct Marked<'a, T> {
    kind: NodeKind,
    #[serde(flatten)]
    body: &'a T,
}

/// Takes the kind out of the JSON form.
fn unmarked<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<(Option<String>, Value), D::Error> {
    let mut members = Map::deserialize(deserializer)?;
    let kind = match members.remove(KIND) {
        None => None,
        Some(Value::String(kind)) => Some(kind),
        Some(_) => return Err(D::Error::custom("`kind` is not a text")),
    };
    Ok((kind, Value::Object(members)))
}

fn of_kind<T: DeserializeOwned, E: serde::de::Error>(
    kind: NodeKind,
    members: Value,
) -> Result<T, E> {
    serde_json::from_value(members).map_err(|error| E::custom(format_args!("{kind}: {error}")))
}

/// Declares an enum of two variants, the first of which has no mark in JSON.
macro_rules! either {
    ($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident($first_type:ident) of $first_kind:ident,
        $(#[$second_doc:meta])* $second:ident($second_type:ident) of $second_kind:ident $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(
            clippy::large_enum_variant,
            reason = "both are large: a box would save a quarter at most"
        )]
        pub enum $name {
            $(#[$first_doc])*
            $first($first_type),
            $(#[$second_doc])*
            $second($second_type),
        }

        impl $name {
            /// What kind of node it is, or is the State of.
            pub const fn kind(&self) -> NodeKind {
                match self {
                    Self::$first(_) => NodeKind::$first_kind,
                    Self::$second(_) => NodeKind::$second_kind,
                }
            }
        }

        impl From<$first_type> for $name {
            fn from(value: $first_type) -> Self {
                Self::$first(value)
            }
        }

        impl From<$second_type> for $name {
            fn from(value: $second_type) -> Self {
                Self::$second(value)
            }
        }

        impl TryFrom<$name> for $first_type {
            type Error = OtherKind;

            fn try_from(value: $name) -> Result<Self, OtherKind> {
                let found = value.kind();
                match value {
                    $name::$first(value) => Ok(value),
                    $name::$second(_) => Err(OtherKind { expected: NodeKind::$first_kind, found }),
                }
            }
        }

        impl TryFrom<$name> for $second_type {
            type Error = OtherKind;

            fn try_from(value: $name) -> Result<Self, OtherKind> {
                let found = value.kind();
                match value {
                    $name::$second(value) => Ok(value),
                    $name::$first(_) => Err(OtherKind { expected: NodeKind::$second_kind, found }),
                }
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                match self {
                    Self::$first(body) => body.serialize(serializer),
                    Self::$second(body) => {
                        let kind = NodeKind::$second_kind;
                        Marked { kind, body }.serialize(serializer)
                    }
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (kind, members) = unmarked(deserializer)?;
                let (first, second) = (NodeKind::$first_kind, NodeKind::$second_kind);
                match kind.as_deref() {
                    None => of_kind(first, members).map(Self::$first),
                    Some(kind) if kind == first.as_str() => {
                        of_kind(first, members).map(Self::$first)
                    }
                    Some(kind) if kind == second.as_str() => {
                        of_kind(second, members).map(Self::$second)
                    }
                    Some(kind) => Err(D::Error::custom(format_args!(
                        "kind {kind:?} is not known here: {first} or {second} is expected"
                    ))),
                }
            }
        }
    };
}

/// What all descriptions have, whatever their kind.
macro_rules! described {
    ($name:ident, $state:ident { $first:ident, $second:ident }) => {
        impl $name {
            /// Its id: `urn:uuid:…`.
            pub const fn id(&self) -> &Uri {
                match self {
                    Self::$first(one) => &one.id,
                    Self::$second(one) => &one.id,
                }
            }

            /// What every resource says that it is.
            pub const fn common_info(&self) -> &CommonInfo {
                match self {
                    Self::$first(one) => &one.info.common,
                    Self::$second(one) => &one.info.common,
                }
            }

            /// What every resource says that it is, to be changed.
            pub const fn common_info_mut(&mut self) -> &mut CommonInfo {
                match self {
                    Self::$first(one) => &mut one.info.common,
                    Self::$second(one) => &mut one.info.common,
                }
            }

            /// What every resource's owner allows.
            pub const fn common_policy(&self) -> &CommonPolicy {
                match self {
                    Self::$first(one) => &one.policy.common,
                    Self::$second(one) => &one.policy.common,
                }
            }

            /// Who may use it.
            pub const fn access(&self) -> &AccessControlBase {
                match self {
                    Self::$first(one) => &one.access,
                    Self::$second(one) => &one.access,
                }
            }

            /// How it is, as far as every resource says it.
            pub fn common_state(&self) -> Option<&CommonState> {
                match self {
                    Self::$first(one) => one.state.as_ref().map(|state| &state.common),
                    Self::$second(one) => one.state.as_ref().map(|state| &state.common),
                }
            }

            /// When its State was observed.
            pub fn creation_time(&self) -> Option<UtcTime> {
                match self {
                    Self::$first(one) => one.state.as_ref().map(|state| state.creation_time),
                    Self::$second(one) => one.state.as_ref().map(|state| state.creation_time),
                }
            }

            /// For how long its State is a fact.
            pub fn validity(&self) -> Option<Seconds> {
                match self {
                    Self::$first(one) => one.state.as_ref().map(|state| state.validity),
                    Self::$second(one) => one.state.as_ref().map(|state| state.validity),
                }
            }

            /// A copy of its State.
            pub fn state(&self) -> Option<$state> {
                match self {
                    Self::$first(one) => one.state.clone().map($state::$first),
                    Self::$second(one) => one.state.clone().map($state::$second),
                }
            }

            /// Takes its State away.
            pub fn take_state(&mut self) -> Option<$state> {
                match self {
                    Self::$first(one) => one.state.take().map($state::$first),
                    Self::$second(one) => one.state.take().map($state::$second),
                }
            }

            /// Gives it a State; refuses one of another kind.
            pub fn set_state(&mut self, state: $state) -> Result<(), OtherKind> {
                let (expected, found) = (self.kind(), state.kind());
                match (self, state) {
                    (Self::$first(one), $state::$first(state)) => one.state = Some(state),
                    (Self::$second(one), $state::$second(state)) => one.state = Some(state),
                    _ => return Err(OtherKind { expected, found }),
                }
                Ok(())
            }

            /// Its document.
            pub fn to_xml(&self) -> String {
                match self {
                    Self::$first(one) => one.to_xml(),
                    Self::$second(one) => one.to_xml(),
                }
            }

            /// Checks the rules over several fields.
            pub fn validate(&self) -> Result<(), Violations> {
                match self {
                    Self::$first(one) => one.validate(),
                    Self::$second(one) => one.validate(),
                }
            }
        }

        impl $state {
            /// How it is, as far as every resource says it.
            pub const fn common(&self) -> &CommonState {
                match self {
                    Self::$first(state) => &state.common,
                    Self::$second(state) => &state.common,
                }
            }

            /// How it is, as far as every resource says it, to be changed.
            pub const fn common_mut(&mut self) -> &mut CommonState {
                match self {
                    Self::$first(state) => &mut state.common,
                    Self::$second(state) => &mut state.common,
                }
            }

            /// When it was observed.
            pub const fn creation_time(&self) -> UtcTime {
                match self {
                    Self::$first(state) => state.creation_time,
                    Self::$second(state) => state.creation_time,
                }
            }

            /// For how long it is a fact.
            pub const fn validity(&self) -> Seconds {
                match self {
                    Self::$first(state) => state.validity,
                    Self::$second(state) => state.validity,
                }
            }

            /// Worst time until it answers, where that is known.
            pub const fn worst_response_time(&self) -> Option<Seconds> {
                match self {
                    Self::$first(state) => state.worst_response_time,
                    Self::$second(state) => state.worst_response_time,
                }
            }
        }
    };
}

either!(
    /// An Element of any kind.
    AnyElement {
        /// A pool of compute Hosts.
        Computing(ComputingElement) of ComputingElement,
        /// A pool of storage Hosts.
        Storage(StorageElement) of StorageElement,
    }
);

either!(
    /// How an Element of any kind is.
    AnyElementState {
        /// Of a Computing Element.
        Computing(CeState) of ComputingElement,
        /// Of a Storage Element.
        Storage(SeState) of StorageElement,
    }
);

described!(AnyElement, AnyElementState { Computing, Storage });

either!(
    /// A Host of any kind.
    AnyHost {
        /// One compute machine.
        Compute(ComputeHost) of ComputeHost,
        /// One storage machine.
        Storage(StorageHost) of StorageHost,
    }
);

either!(
    /// How a Host of any kind is.
    AnyHostState {
        /// Of a compute Host.
        Compute(HostState) of ComputeHost,
        /// Of a storage Host.
        Storage(StorageHostState) of StorageHost,
    }
);

described!(AnyHost, AnyHostState { Compute, Storage });

impl AnyHost {
    /// The Element that it says it belongs to.
    pub const fn element(&self) -> &Uri {
        match self {
            Self::Compute(host) => &host.info.element,
            Self::Storage(host) => &host.info.element,
        }
    }

    /// Its Element has heard it; without a State nothing happens.
    pub const fn set_last_heartbeat(&mut self, heard: UtcTime) {
        match self {
            Self::Compute(host) => {
                if let Some(state) = &mut host.state {
                    state.last_heartbeat = heard;
                }
            }
            Self::Storage(host) => {
                if let Some(state) = &mut host.state {
                    state.last_heartbeat = heard;
                }
            }
        }
    }

    /// Name or address of its machine.
    pub const fn host_name(&self) -> &Token {
        match self {
            Self::Compute(host) => &host.info.host_name,
            Self::Storage(host) => &host.info.host_name,
        }
    }
}

impl AnyHostState {
    /// Takes the times of a later one, so that the two can be compared in all
    /// else. Nothing happens if that is of another kind.
    pub fn take_times_of(&mut self, later: &Self) {
        match (self, later) {
            (Self::Compute(one), Self::Compute(later)) => {
                one.creation_time = later.creation_time;
                one.last_heartbeat = later.last_heartbeat;
            }
            (Self::Storage(one), Self::Storage(later)) => {
                one.creation_time = later.creation_time;
                one.last_heartbeat = later.last_heartbeat;
            }
            _ => {}
        }
    }

    /// When its Element last heard it, by the Element's clock.
    pub const fn last_heartbeat(&self) -> UtcTime {
        match self {
            Self::Compute(state) => state.last_heartbeat,
            Self::Storage(state) => state.last_heartbeat,
        }
    }

    /// Its Element has heard it.
    pub const fn set_last_heartbeat(&mut self, heard: UtcTime) {
        match self {
            Self::Compute(state) => state.last_heartbeat = heard,
            Self::Storage(state) => state.last_heartbeat = heard,
        }
    }
}
