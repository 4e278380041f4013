//! Declares a role's settings once for the command line and the file.

use serde::de::DeserializeOwned;

use super::LogFormat;

/// What all roles' settings have in common.
pub(crate) trait RoleSettings: DeserializeOwned + Default {
    /// Takes from another what is not set.
    fn or(self, other: Self) -> Self;
    /// Form of the log.
    fn log_format(&self) -> Option<LogFormat>;
    /// Filter of the log.
    fn log_level(&self) -> Option<&str>;
}

/// Makes a struct whose fields are all optional flags and optional keys of the
/// same name. It has to have `log_format` and `log_level`.
macro_rules! settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: Option<$type>),+
        }

        impl $crate::role::settings::RoleSettings for $name {
            fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field)),+ }
            }

            fn log_format(&self) -> Option<$crate::role::LogFormat> {
                self.log_format
            }

            fn log_level(&self) -> Option<&str> {
                self.log_level.as_deref()
            }
        }
    };
}

pub(super) use settings;
