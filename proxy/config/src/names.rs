//! Names that operators give to things, each its own type so that they cannot be mixed up.

use std::{fmt, sync::Arc};

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Takes any text; what a name may look like is checked where the file is read.
            pub fn new(name: &str) -> Self {
                Self(name.into())
            }

            /// The name as written.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The shared text itself, for records that outlive the configuration.
            pub fn shared(&self) -> Arc<str> {
                self.0.clone()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

name!(
    /// The name of a `[[listener]]`.
    ListenerName
);
name!(
    /// The name of a `[[route]]`; where the file gives none, made from its first host and its path.
    RouteName
);
name!(
    /// The key of a `[backend.NAME]` table.
    BackendName
);
name!(
    /// The name of a `[[certificate]]`; where the file gives none, the path of its `cert` file.
    CertificateName
);
name!(
    /// The key of a `[plugin.NAME]` table: a to z, 0 to 9 and `-`.
    PluginName
);
