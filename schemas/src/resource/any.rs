//! Elements and Hosts of any kind, for who treats them alike: the catalogue,
//! the streams between the tiers.
//!
//! In JSON, what belongs to a Computing Element stands as it does alone, without
//! a mark: nodes that know no other kind read it and write it so. What belongs
//! to an Element of another kind begins with `"kind"`. A kind that is not known here is
//! refused by its name.

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _},
};
use serde_json::{Map, Value};

use super::{
    ce::{CeState, ComputingElement},
    common::{AccessControlBase, CommonInfo, CommonPolicy, CommonState},
    de::{DataElement, DeState},
    host::{ComputeHost, DataHost, DataHostState, HostState, StorageHost, StorageHostState},
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

/// Declares an enum with a variant for each kind, the first of which has no mark in
/// JSON.
macro_rules! kinds {
    ($(#[$doc:meta])* $name:ident {
        $(#[$first_doc:meta])* $first:ident($first_type:ident) of $first_kind:ident,
        $($(#[$other_doc:meta])* $other:ident($other_type:ident) of $other_kind:ident),+ $(,)?
    }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq)]
        #[allow(
            clippy::large_enum_variant,
            reason = "all are large: a box would save a quarter at most"
        )]
        pub enum $name {
            $(#[$first_doc])*
            $first($first_type),
            $($(#[$other_doc])* $other($other_type)),+
        }

        impl $name {
            /// What kind of node it is, or is the State of.
            pub const fn kind(&self) -> NodeKind {
                match self {
                    Self::$first(_) => NodeKind::$first_kind,
                    $(Self::$other(_) => NodeKind::$other_kind,)+
                }
            }
        }

        kinds!(@into $name $first($first_type) of $first_kind);
        $(kinds!(@into $name $other($other_type) of $other_kind);)+

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let kind = self.kind();
                match self {
                    Self::$first(body) => body.serialize(serializer),
                    $(Self::$other(body) => Marked { kind, body }.serialize(serializer),)+
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let (kind, members) = unmarked(deserializer)?;
                let first = NodeKind::$first_kind;
                let Some(kind) = kind else {
                    return of_kind(first, members).map(Self::$first);
                };
                if kind == first.as_str() {
                    return of_kind(first, members).map(Self::$first);
                }
                $(if kind == NodeKind::$other_kind.as_str() {
                    return of_kind(NodeKind::$other_kind, members).map(Self::$other);
                })+
                let known = [first, $(NodeKind::$other_kind),+].map(NodeKind::as_str);
                Err(D::Error::custom(format_args!(
                    "kind {kind:?} is not known here: {} is expected",
                    known.join(" or ")
                )))
            }
        }
    };
    (@into $name:ident $variant:ident($type:ident) of $kind:ident) => {
        impl From<$type> for $name {
            fn from(value: $type) -> Self {
                Self::$variant(value)
            }
        }

        impl TryFrom<$name> for $type {
            type Error = OtherKind;

            fn try_from(value: $name) -> Result<Self, OtherKind> {
                let found = value.kind();
                match value {
                    $name::$variant(value) => Ok(value),
                    _ => Err(OtherKind { expected: NodeKind::$kind, found }),
                }
            }
        }
    };
}

/// What all descriptions have, whatever their kind.
macro_rules! described {
    ($name:ident, $state:ident { $($kind:ident),+ }) => {
        impl $name {
            /// Its id: `urn:uuid:…`.
            pub const fn id(&self) -> &Uri {
                match self {
                    $(Self::$kind(one) => &one.id,)+
                }
            }

            /// What every resource says that it is.
            pub const fn common_info(&self) -> &CommonInfo {
                match self {
                    $(Self::$kind(one) => &one.info.common,)+
                }
            }

            /// What every resource says that it is, to be changed.
            pub const fn common_info_mut(&mut self) -> &mut CommonInfo {
                match self {
                    $(Self::$kind(one) => &mut one.info.common,)+
                }
            }

            /// What every resource's owner allows.
            pub const fn common_policy(&self) -> &CommonPolicy {
                match self {
                    $(Self::$kind(one) => &one.policy.common,)+
                }
            }

            /// Who may use it.
            pub const fn access(&self) -> &AccessControlBase {
                match self {
                    $(Self::$kind(one) => &one.access,)+
                }
            }

            /// How it is, as far as every resource says it.
            pub fn common_state(&self) -> Option<&CommonState> {
                match self {
                    $(Self::$kind(one) => one.state.as_ref().map(|state| &state.common),)+
                }
            }

            /// When its State was observed.
            pub fn creation_time(&self) -> Option<UtcTime> {
                match self {
                    $(Self::$kind(one) => one.state.as_ref().map(|state| state.creation_time),)+
                }
            }

            /// For how long its State is a fact.
            pub fn validity(&self) -> Option<Seconds> {
                match self {
                    $(Self::$kind(one) => one.state.as_ref().map(|state| state.validity),)+
                }
            }

            /// A copy of its State.
            pub fn state(&self) -> Option<$state> {
                match self {
                    $(Self::$kind(one) => one.state.clone().map($state::$kind),)+
                }
            }

            /// Takes its State away.
            pub fn take_state(&mut self) -> Option<$state> {
                match self {
                    $(Self::$kind(one) => one.state.take().map($state::$kind),)+
                }
            }

            /// Gives it a State; refuses one of another kind.
            pub fn set_state(&mut self, state: $state) -> Result<(), OtherKind> {
                let (expected, found) = (self.kind(), state.kind());
                match (self, state) {
                    $((Self::$kind(one), $state::$kind(state)) => one.state = Some(state),)+
                    _ => return Err(OtherKind { expected, found }),
                }
                Ok(())
            }

            /// Its document.
            pub fn to_xml(&self) -> String {
                match self {
                    $(Self::$kind(one) => one.to_xml(),)+
                }
            }

            /// Checks the rules over several fields.
            pub fn validate(&self) -> Result<(), Violations> {
                match self {
                    $(Self::$kind(one) => one.validate(),)+
                }
            }
        }

        impl $state {
            /// How it is, as far as every resource says it.
            pub const fn common(&self) -> &CommonState {
                match self {
                    $(Self::$kind(state) => &state.common,)+
                }
            }

            /// How it is, as far as every resource says it, to be changed.
            pub const fn common_mut(&mut self) -> &mut CommonState {
                match self {
                    $(Self::$kind(state) => &mut state.common,)+
                }
            }

            /// When it was observed.
            pub const fn creation_time(&self) -> UtcTime {
                match self {
                    $(Self::$kind(state) => state.creation_time,)+
                }
            }

            /// For how long it is a fact.
            pub const fn validity(&self) -> Seconds {
                match self {
                    $(Self::$kind(state) => state.validity,)+
                }
            }

            /// Worst time until it answers, where that is known.
            pub const fn worst_response_time(&self) -> Option<Seconds> {
                match self {
                    $(Self::$kind(state) => state.worst_response_time,)+
                }
            }
        }
    };
}

kinds!(
    /// An Element of any kind.
    AnyElement {
        /// A pool of compute Hosts.
        Computing(ComputingElement) of ComputingElement,
        /// A pool of storage Hosts.
        Storage(StorageElement) of StorageElement,
        /// A pool of data Hosts.
        Data(DataElement) of DataElement,
    }
);

kinds!(
    /// How an Element of any kind is.
    AnyElementState {
        /// Of a Computing Element.
        Computing(CeState) of ComputingElement,
        /// Of a Storage Element.
        Storage(SeState) of StorageElement,
        /// Of a Data Element.
        Data(DeState) of DataElement,
    }
);

described!(
    AnyElement,
    AnyElementState {
        Computing,
        Storage,
        Data
    }
);

kinds!(
    /// A Host of any kind.
    AnyHost {
        /// One compute machine.
        Compute(ComputeHost) of ComputeHost,
        /// One storage machine.
        Storage(StorageHost) of StorageHost,
        /// One machine with databases.
        Data(DataHost) of DataHost,
    }
);

kinds!(
    /// How a Host of any kind is.
    AnyHostState {
        /// Of a compute Host.
        Compute(HostState) of ComputeHost,
        /// Of a storage Host.
        Storage(StorageHostState) of StorageHost,
        /// Of a data Host.
        Data(DataHostState) of DataHost,
    }
);

described!(
    AnyHost,
    AnyHostState {
        Compute,
        Storage,
        Data
    }
);

impl AnyHost {
    /// The Element that it says it belongs to.
    pub const fn element(&self) -> &Uri {
        match self {
            Self::Compute(host) => &host.info.element,
            Self::Storage(host) => &host.info.element,
            Self::Data(host) => &host.info.element,
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
            Self::Data(host) => {
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
            Self::Data(host) => &host.info.host_name,
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
            (Self::Data(one), Self::Data(later)) => {
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
            Self::Data(state) => state.last_heartbeat,
        }
    }

    /// Its Element has heard it.
    pub const fn set_last_heartbeat(&mut self, heard: UtcTime) {
        match self {
            Self::Compute(state) => state.last_heartbeat = heard,
            Self::Storage(state) => state.last_heartbeat = heard,
            Self::Data(state) => state.last_heartbeat = heard,
        }
    }
}
