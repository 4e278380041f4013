//! Enumerations of the resource description model.
//!
//! A closed one refuses other values; an open one lists the well-known values
//! and takes any token, so it must not be matched exhaustively. Values are
//! compared case-sensitively.

use std::{fmt, str::FromStr};

use crate::scalar::{ScalarError, Token, collapse};

// The texts stand as tokens, not as `literal`s: the API document would not see
// those, and would name the variants.
macro_rules! closed {
    ($(#[$doc:meta])* $name:ident, $expected:literal, { $($(#[$vdoc:meta])* $variant:ident = $text:tt),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize, utoipa::ToSchema)]
        pub enum $name {
            $($(#[$vdoc])* #[serde(rename = $text)] $variant),+
        }

        impl $name {
            /// What a text must look like to be one, for messages.
            pub const EXPECTED: &'static str = $expected;
            /// Every value.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the value as documents hold it.
            pub const fn as_str(&self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl FromStr for $name {
            type Err = ScalarError;

            fn from_str(text: &str) -> Result<Self, ScalarError> {
                match &*collapse(text) {
                    $($text => Ok(Self::$variant),)+
                    _ => Err(ScalarError::new(Self::EXPECTED, text)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

macro_rules! open {
    ($(#[$doc:meta])* $name:ident, { $($(#[$vdoc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// Any other value; reading never gives a well-known one here.
            Other(Token),
        }

        impl $name {
            /// What a text must look like to be one, for messages.
            pub const EXPECTED: &'static str = Token::EXPECTED;
            /// The well-known values.
            pub const KNOWN: &'static [Self] = &[$(Self::$variant),+];

            /// Gives the value as documents hold it.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)+
                    Self::Other(token) => token.as_str(),
                }
            }
        }

        impl utoipa::PartialSchema for $name {
            fn schema() -> utoipa::openapi::RefOr<utoipa::openapi::schema::Schema> {
                String::schema()
            }
        }

        impl utoipa::ToSchema for $name {}

        impl FromStr for $name {
            type Err = ScalarError;

            fn from_str(text: &str) -> Result<Self, ScalarError> {
                match &*collapse(text) {
                    $($text => Ok(Self::$variant),)+
                    other => Token::new(other).map(Self::Other),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = ScalarError;

            fn try_from(text: String) -> Result<Self, ScalarError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.as_str().to_owned()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

mod application;
mod data;
mod storage;

pub use self::{
    application::{AppEnvState, HandleType, License, ParallelSupport},
    data::{DataEngine, ReplicaRole, SyncState},
    storage::{
        AccessLatency, AccessProtocolType, ExpirationMode, RetentionPolicy, SeArchitecture,
        StorageDeviceType,
    },
};

closed!(
    /// Does it take work, and do it?
    ServingState, "one of production, queueing, draining, closed", {
        /// Takes work and does it.
        Production = "production",
        /// Takes work, does none now.
        Queueing = "queueing",
        /// Takes none, finishes what it has.
        Draining = "draining",
        /// Neither.
        Closed = "closed",
    }
);

impl ServingState {
    /// Whether its Hosts' numbers count in the sums of their Element.
    pub const fn is_usable(self) -> bool {
        matches!(self, Self::Production | Self::Draining)
    }
}

closed!(
    /// Is it well? Observed, never assumed.
    HealthState, "one of ok, warning, critical, unknown, other", {
        /// All is well.
        Ok = "ok",
        /// Works, needs a look.
        Warning = "warning",
        /// Does not work.
        Critical = "critical",
        /// Not observed.
        Unknown = "unknown",
        /// Something that these words do not say.
        Other = "other",
    }
);

closed!(
    /// How far its operator trusts it.
    QualityLevel, "one of development, testing, pre-production, production", {
        /// Being built.
        Development = "development",
        /// Being tested.
        Testing = "testing",
        /// About to be used.
        PreProduction = "pre-production",
        /// In use.
        Production = "production",
    }
);

#[expect(
    clippy::derivable_impls,
    reason = "the default is not the first of the closed list"
)]
impl Default for QualityLevel {
    fn default() -> Self {
        Self::Production
    }
}

closed!(
    /// How an application is run.
    AeKind, "one of task, service, session", {
        /// A program run for each call.
        Task = "task",
        /// A long-running instance that answers calls.
        Service = "service",
        /// One person's interactive instance.
        Session = "session",
    }
);

closed!(
    /// JSDL's names of processor architectures.
    CpuArchitectureName, "one of sparc, powerpc, x86, x86_32, x86_64, parisc, mips, ia64, arm, other", {
        /// SPARC.
        Sparc = "sparc",
        /// PowerPC.
        Powerpc = "powerpc",
        /// 32-bit Intel, by its other name.
        X86 = "x86",
        /// 32-bit Intel.
        X8632 = "x86_32",
        /// 64-bit Intel and AMD.
        X8664 = "x86_64",
        /// PA-RISC.
        Parisc = "parisc",
        /// MIPS.
        Mips = "mips",
        /// Itanium.
        Ia64 = "ia64",
        /// 32-bit ARM.
        Arm = "arm",
        /// One that JSDL has no name for, 64-bit ARM and RISC-V among them.
        Other = "other",
    }
);

impl CpuArchitectureName {
    /// Whether a Host of this platform is meant.
    pub fn accepts(self, platform: &Platform) -> bool {
        match self {
            Self::Sparc => *platform == Platform::Sparc,
            Self::Powerpc => *platform == Platform::Powerpc,
            Self::X86 | Self::X8632 => *platform == Platform::I386,
            Self::X8664 => *platform == Platform::Amd64,
            Self::Ia64 => *platform == Platform::Itanium,
            Self::Arm => *platform == Platform::Arm,
            Self::Parisc | Self::Mips => platform.as_str() == self.as_str(),
            Self::Other => {
                matches!(platform, Platform::Arm64 | Platform::Riscv64)
                    || matches!(platform, Platform::Other(token) if !matches!(token.as_str(), "parisc" | "mips"))
            }
        }
    }
}

closed!(
    /// JSDL's names of operating systems, as far as Hosts can have them.
    OperatingSystemName, "one of LINUX, MACOS, Solaris, WINNT, Windows_XP, Windows_2000, FreeBSD, NetBSD, OpenBSD, other", {
        /// Linux.
        Linux = "LINUX",
        /// macOS.
        Macos = "MACOS",
        /// Solaris.
        Solaris = "Solaris",
        /// Windows.
        Winnt = "WINNT",
        /// Windows, by an old name.
        WindowsXp = "Windows_XP",
        /// Windows, by an old name.
        Windows2000 = "Windows_2000",
        /// FreeBSD.
        FreeBsd = "FreeBSD",
        /// NetBSD.
        NetBsd = "NetBSD",
        /// OpenBSD.
        OpenBsd = "OpenBSD",
        /// One that JSDL has no name for.
        Other = "other",
    }
);

impl OperatingSystemName {
    /// Whether a Host of this family is meant.
    pub fn accepts(self, family: &OsFamily) -> bool {
        match self {
            Self::Linux => *family == OsFamily::Linux,
            Self::Macos => *family == OsFamily::Macosx,
            Self::Solaris => *family == OsFamily::Solaris,
            Self::Winnt | Self::WindowsXp | Self::Windows2000 => *family == OsFamily::Windows,
            Self::FreeBsd => *family == OsFamily::Freebsd,
            Self::NetBsd => family.as_str() == "netbsd",
            Self::OpenBsd => family.as_str() == "openbsd",
            Self::Other => {
                matches!(family, OsFamily::Other(token) if !matches!(token.as_str(), "netbsd" | "openbsd"))
            }
        }
    }
}

open!(
    /// The engine that runs an Element's jobs.
    LrmsType, {
        /// Hosts run processes in a sandbox.
        Fork = "fork",
        /// Slurm.
        Slurm = "slurm",
        /// `HTCondor`.
        Condor = "condor",
        /// `OpenPBS`.
        Openpbs = "openpbs",
        /// Torque.
        Torque = "torque",
        /// Torque with Maui.
        Torquemaui = "torquemaui",
        /// LSF.
        Lsf = "lsf",
        /// Grid Engine.
        Sungridengine = "sungridengine",
        /// `LoadLeveler`.
        Loadleveler = "loadleveler",
        /// BQS.
        Bqs = "bqs",
        /// Kubernetes.
        Kubernetes = "kubernetes",
    }
);

open!(
    /// The processor architecture of a Host.
    Platform, {
        /// 64-bit Intel and AMD.
        Amd64 = "amd64",
        /// 32-bit Intel.
        I386 = "i386",
        /// Itanium.
        Itanium = "itanium",
        /// PowerPC.
        Powerpc = "powerpc",
        /// SPARC.
        Sparc = "sparc",
        /// 64-bit ARM.
        Arm64 = "arm64",
        /// 32-bit ARM.
        Arm = "arm",
        /// 64-bit RISC-V.
        Riscv64 = "riscv64",
    }
);

impl Platform {
    /// From Rust's `std::env::consts::ARCH`; `None` if that says nothing.
    pub fn from_rust(arch: &str) -> Option<Self> {
        match arch {
            "x86_64" => Some(Self::Amd64),
            "x86" => Some(Self::I386),
            "aarch64" => Some(Self::Arm64),
            "powerpc64" => Some(Self::Powerpc),
            "sparc64" => Some(Self::Sparc),
            other => other.parse().ok(),
        }
    }
}

open!(
    /// The family of a Host's operating system.
    OsFamily, {
        /// Linux.
        Linux = "linux",
        /// macOS.
        Macosx = "macosx",
        /// Solaris.
        Solaris = "solaris",
        /// Windows.
        Windows = "windows",
        /// FreeBSD.
        Freebsd = "freebsd",
    }
);

impl OsFamily {
    /// From Rust's `std::env::consts::OS`; `None` if that says nothing.
    pub fn from_rust(os: &str) -> Option<Self> {
        match os {
            "macos" => Some(Self::Macosx),
            other => other.parse().ok(),
        }
    }
}

open!(
    /// In which order a queue gives out slots.
    SchedulingPolicy, {
        /// First come, first served.
        Fifo = "fifo",
        /// Fair between users.
        Fairshare = "fairshare",
        /// By chance.
        Random = "random",
    }
);

open!(
    /// What shuts an application's processes in on a Host.
    Sandbox, {
        /// Namespaces made by bubblewrap.
        Bubblewrap = "bubblewrap",
        /// Nothing: calls have to allow that.
        None = "none",
    }
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn closed_refuses_and_open_takes() {
        assert_eq!(" production\n".parse(), Ok(ServingState::Production));
        assert!("Production".parse::<ServingState>().is_err());
        assert_eq!("fork".parse(), Ok(LrmsType::Fork));
        let own: LrmsType = "my-engine".parse().unwrap();
        assert_eq!(own.as_str(), "my-engine");
        assert!("".parse::<LrmsType>().is_err());
        assert!(serde_json::from_str::<HealthState>("\"fine\"").is_err());
        assert_eq!(
            serde_json::from_str::<Platform>("\"amd64\"").unwrap(),
            Platform::Amd64
        );
    }

    #[test]
    fn every_value_reads_back() {
        for state in AppEnvState::KNOWN {
            assert_eq!(state.as_str().parse().as_ref(), Ok(state));
        }
        for name in OperatingSystemName::ALL {
            assert_eq!(name.as_str().parse().as_ref(), Ok(name));
        }
    }

    #[test]
    fn jsdl_names_meet_platforms() {
        assert!(CpuArchitectureName::X8664.accepts(&Platform::Amd64));
        assert!(!CpuArchitectureName::X8664.accepts(&Platform::Arm64));
        assert!(CpuArchitectureName::Other.accepts(&Platform::Arm64));
        assert!(!CpuArchitectureName::Other.accepts(&"mips".parse().unwrap()));
        assert!(OperatingSystemName::Winnt.accepts(&OsFamily::Windows));
        assert!(!OperatingSystemName::Linux.accepts(&OsFamily::Macosx));
        assert_eq!(Platform::from_rust("aarch64"), Some(Platform::Arm64));
        assert_eq!(OsFamily::from_rust("macos"), Some(OsFamily::Macosx));
    }
}
