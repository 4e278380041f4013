//! What a person may be, and what a node is.

/// A name that is not in a closed list.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is unknown here: one of {expected} is expected")]
pub struct UnknownName {
    pub(crate) text: String,
    pub(crate) expected: &'static str,
}

// The texts stand as tokens, not as `literal`s: the API document would not see
// those, and would name the variants.
macro_rules! named {
    ($(#[$doc:meta])* $name:ident, $all:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, ::serde::Serialize, ::serde::Deserialize, utoipa::ToSchema)]
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

        impl ::std::fmt::Display for $name {
            fn fmt(&self, f: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl ::std::str::FromStr for $name {
            type Err = $crate::role::UnknownName;

            fn from_str(text: &str) -> Result<Self, $crate::role::UnknownName> {
                match text {
                    $($text => Ok(Self::$variant),)+
                    _ => Err($crate::role::UnknownName { text: text.chars().take(64).collect(), expected: $all }),
                }
            }
        }
    };
}

pub(crate) use named;

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
    NodeKind, "control, ce, chost, se, shost, de, dhost", {
        /// The controller.
        Control = "control",
        /// Computing Element.
        ComputingElement = "ce",
        /// Compute Host.
        ComputeHost = "chost",
        /// Storage Element.
        StorageElement = "se",
        /// Storage Host.
        StorageHost = "shost",
        /// Data Element.
        DataElement = "de",
        /// Data Host.
        DataHost = "dhost",
    }
);

impl NodeKind {
    /// The word of the commands that start it: `gridmart element compute`.
    pub const fn goods(self) -> &'static str {
        match self {
            Self::Control => "control",
            Self::ComputingElement | Self::ComputeHost => "compute",
            Self::StorageElement | Self::StorageHost => "storage",
            Self::DataElement | Self::DataHost => "data",
        }
    }

    /// Whether it is an Element: dials the controller, has Hosts.
    pub const fn is_element(self) -> bool {
        self.host_kind().is_some()
    }

    /// Whether it is a Host: dials its Element.
    pub const fn is_host(self) -> bool {
        self.element_kind().is_some()
    }

    /// Of an Element: what its Hosts are.
    pub const fn host_kind(self) -> Option<Self> {
        match self {
            Self::ComputingElement => Some(Self::ComputeHost),
            Self::StorageElement => Some(Self::StorageHost),
            Self::DataElement => Some(Self::DataHost),
            Self::Control | Self::ComputeHost | Self::StorageHost | Self::DataHost => None,
        }
    }

    /// Of a Host: what its Element is.
    pub const fn element_kind(self) -> Option<Self> {
        match self {
            Self::ComputeHost => Some(Self::ComputingElement),
            Self::StorageHost => Some(Self::StorageElement),
            Self::DataHost => Some(Self::DataElement),
            Self::Control | Self::ComputingElement | Self::StorageElement | Self::DataElement => {
                None
            }
        }
    }
}

named!(
    /// What a person or program may ask to do with a resource.
    Operation, "call, manage, upload, logs, read, write", {
        /// Use it: call the application, take slots.
        Call = "call",
        /// Start, stop, kill.
        Manage = "manage",
        /// Put a new version on the shelf.
        Upload = "upload",
        /// Read what it printed.
        Logs = "logs",
        /// Of a bucket: list and get objects (GLUE `AccessMode` `r`); of a database: read
        /// rows.
        Read = "read",
        /// Of a bucket: put and delete objects (GLUE `AccessMode` `w`); of a database:
        /// change rows.
        Write = "write",
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_and_their_hosts_belong_together() {
        for kind in NodeKind::ALL {
            assert!(!(kind.is_element() && kind.is_host()), "{kind}");
            if let Some(host) = kind.host_kind() {
                assert_eq!(host.element_kind(), Some(*kind), "{kind}");
            }
            if let Some(element) = kind.element_kind() {
                assert_eq!(element.host_kind(), Some(*kind), "{kind}");
            }
        }
        let elements = NodeKind::ALL.iter().filter(|kind| kind.is_element());
        assert_eq!(elements.count(), 3);
        let hosts = NodeKind::ALL.iter().filter(|kind| kind.is_host());
        assert_eq!(hosts.count(), 3);
    }
}
