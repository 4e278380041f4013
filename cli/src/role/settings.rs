//! Declares a role's settings once for the command line and the file.

/// Makes a struct whose fields are all optional flags and optional keys of the
/// same name, and `or`, which takes from another what is not set.
macro_rules! settings {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, clap::Args, serde::Deserialize)]
        #[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
        pub(crate) struct $name {
            $($(#[$field_doc])* $field: Option<$type>),+
        }

        impl $name {
            fn or(self, other: Self) -> Self {
                Self { $($field: self.$field.or(other.$field)),+ }
            }
        }
    };
}

pub(super) use settings;
