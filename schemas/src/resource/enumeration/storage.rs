//! Enumerations of storage; those of SRM and GLUE 2 keep their values.

use std::{fmt, str::FromStr};

use crate::scalar::{ScalarError, Token, collapse};

closed!(
    /// What an Element keeps its data on.
    SeArchitecture, "one of disk, multidisk, tape, other", {
        /// One disk or pool of disks on one machine.
        Disk = "disk",
        /// Disks of several machines.
        Multidisk = "multidisk",
        /// Tape.
        Tape = "tape",
        /// Something else.
        Other = "other",
    }
);

closed!(
    /// The worst time in which an object of a bucket can be read.
    AccessLatency, "one of online, nearline, offline", {
        /// At once.
        Online = "online",
        /// After it was fetched from a slower tier.
        Nearline = "nearline",
        /// After a person has put it in.
        Offline = "offline",
    }
);

closed!(
    /// What happens to objects whose time has ended.
    ExpirationMode, "one of neverexpire, warnwhenexpired, releasewhenexpired", {
        /// Their time does not end.
        Neverexpire = "neverexpire",
        /// Their owner is told.
        Warnwhenexpired = "warnwhenexpired",
        /// They may be deleted.
        Releasewhenexpired = "releasewhenexpired",
    }
);

open!(
    /// How likely the loss of an object may be.
    RetentionPolicy, {
        /// Hardly: this is the copy that counts.
        Custodial = "custodial",
        /// Medium: it can be made again, at some cost.
        Output = "output",
        /// Likely: copies are elsewhere.
        Replica = "replica",
    }
);

open!(
    /// How programs get at data.
    AccessProtocolType, {
        /// AFS.
        Afs = "afs",
        /// dCache's own.
        Dcap = "dcap",
        /// Files of the system.
        File = "file",
        /// dCache's own, with GSI.
        Gsidcap = "gsidcap",
        /// `GridFTP`.
        Gsiftp = "gsiftp",
        /// RFIO with GSI.
        Gsirfio = "gsirfio",
        /// HTTP.
        Http = "http",
        /// HTTPS.
        Https = "https",
        /// NFS.
        Nfs = "nfs",
        /// RFIO.
        Rfio = "rfio",
        /// `XRootD`, as root names it.
        Root = "root",
        /// `XRootD`.
        Xrootd = "xrootd",
        /// S3.
        S3 = "s3",
        /// The wire protocol of `PostgreSQL`.
        Postgresql = "postgresql",
    }
);

open!(
    /// What a data folder lies on.
    StorageDeviceType, {
        /// A turning disk, or one that is not known better.
        Disk = "disk",
        /// An optical disk.
        Optical = "optical",
        /// Tape.
        Tape = "tape",
        /// Flash.
        Ssd = "ssd",
        /// A bucket of another object store.
        ObjectStore = "object-store",
    }
);
