//! Enumerations of applications, all open.

use std::{fmt, str::FromStr};

use crate::scalar::{ScalarError, Token, collapse};

open!(
    /// How an application may be licensed.
    License, {
        /// Open source.
        Opensource = "opensource",
        /// Commercial.
        Commercial = "commercial",
        /// Not known.
        Unknown = "unknown",
    }
);

open!(
    /// How an application uses several processors.
    ParallelSupport, {
        /// It does not.
        None = "none",
        /// Threads of one machine.
        Openmp = "openmp",
        /// Processes of several machines.
        Mpi = "mpi",
    }
);

open!(
    /// How to reach an existing installation.
    HandleType, {
        /// A program's path.
        Executable = "executable",
        /// A folder.
        Path = "path",
        /// An environment module.
        Module = "module",
        /// A `SoftEnv` key.
        Softenv = "softenv",
    }
);

open!(
    /// How far an application's deployment has come on an Element or Host.
    AppEnvState, {
        /// A need is not met.
        Notinstallable = "notinstallable",
        /// Could be deployed on demand.
        Installable = "installable",
        /// Fetched, verified, unpacked by the grid.
        Installingautomatically = "installingautomatically",
        /// Being installed by a person.
        Installingmanually = "installingmanually",
        /// Unpacked, check pending.
        Installednotverified = "installednotverified",
        /// Unpacked and healthy.
        Installedverified = "installedverified",
        /// The check fails.
        Installedbroken = "installedbroken",
        /// Deployment ended with an error.
        Installationfailed = "installationfailed",
        /// No new calls, removal is set.
        Pendingremoval = "pendingremoval",
        /// Being removed.
        Removing = "removing",
    }
);
