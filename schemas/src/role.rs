//! What a person may be, and what a node is.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A name that is not in a closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is unknown here: one of {expected} is expected")]
pub struct UnknownName {
    text: String,
    expected: &'static str,
}

macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $all:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// Every value, in the order of the declaration.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the name as it travels.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(text: &str) -> Result<Self, UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(UnknownName { text: text.chars().take(64).collect(), expected: $all }),
                }
            }
        }
    };
}

named!(
    /// A person's role; each includes what the ones after it may do, except
    /// that only `operator` and `admin` manage machines.
    Role, "admin, operator, developer, user, viewer", {
        /// Everything, people and keys included.
        Admin = "admin",
        /// Machines: join, start, stop, kill, revoke.
        Operator = "operator",
        /// Applications: upload, start, stop, kill their own.
        Developer = "developer",
        /// Calls applications.
        User = "user",
        /// Looks, changes nothing.
        Viewer = "viewer",
    }
);

named!(
    /// What a node is; its certificate says so.
    NodeKind, "control, ce, chost", {
        /// The controller.
        Control = "control",
        /// Computing Element.
        ComputingElement = "ce",
        /// Compute Host.
        ComputeHost = "chost",
    }
);

named!(
    /// What a person or program may ask to do with a resource.
    Operation, "call, manage, upload, logs", {
        /// Use it: call the application, take slots.
        Call = "call",
        /// Start, stop, kill.
        Manage = "manage",
        /// Put a new version on the shelf.
        Upload = "upload",
        /// Read what it printed.
        Logs = "logs",
    }
);

named!(
    /// What a resource should be: the desired half of GLUE's `ServingState`.
    Desired, "production, closed", {
        /// Takes and does work.
        Production = "production",
        /// Takes none; what runs may end.
        Closed = "closed",
    }
);
