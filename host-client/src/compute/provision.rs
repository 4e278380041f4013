//! Tries at the start what shutting in this machine offers: what can be had
//! decides which calls the Host takes.

use std::path::{Path, PathBuf};

use super::{
    cgroup::{CgroupLimits, Cgroups},
    launcher::Launcher,
    sandbox::{Confinement, RunnerProgram, SandboxMaker, SandboxPlan, find_bubblewrap},
};

/// What the machine offers.
pub(crate) struct Provision {
    /// Makes sandboxes, or why there are none.
    pub(crate) sandboxes: Result<SandboxMaker, String>,
    /// What its operator should know.
    pub(crate) complaint: Option<String>,
}

impl Provision {
    fn none(reason: String) -> Self {
        Self {
            complaint: Some(format!("no sandbox: {reason}")),
            sandboxes: Err(reason),
        }
    }
}

/// What the Host's operator wants.
pub(crate) struct Wanted {
    /// The runner's program; absent: this one.
    pub(crate) runner: Option<RunnerProgram>,
    /// The bubblewrap program; absent: where systems have it.
    pub(crate) bubblewrap: Option<PathBuf>,
    /// Calls may run without a sandbox.
    pub(crate) allow_unsandboxed: bool,
    /// Name of the Host's control groups.
    pub(crate) groups: String,
}

/// Finds bubblewrap and control groups, and makes a sandbox to see.
pub(crate) async fn provide(wanted: Wanted, launcher: Launcher, folder: &Path) -> Provision {
    let runner = match wanted.runner.map_or_else(RunnerProgram::own, Ok) {
        Ok(runner) => runner,
        Err(error) => {
            return Provision::none(format!("the runner's program is unknown: {error}"));
        }
    };
    let mut complaint = None;
    let cgroups = Cgroups::find(&wanted.groups)
        .inspect_err(|reason| {
            tracing::warn!(
                reason,
                "no control groups can be made: memory and processes are limited by rlimits only"
            );
            complaint = Some(format!(
                "limits of whole process trees cannot be kept: {reason}"
            ));
        })
        .ok();
    let mut maker = SandboxMaker {
        confinement: Confinement::Unconfined,
        runner,
        cgroups,
        launcher,
    };
    let refused = match wanted.bubblewrap.or_else(find_bubblewrap) {
        None => "bubblewrap is not installed".to_owned(),
        Some(program) => {
            maker.confinement = Confinement::Bubblewrap(program);
            match probe(&maker, folder).await {
                Ok(()) => {
                    return Provision {
                        sandboxes: Ok(maker),
                        complaint,
                    };
                }
                Err(reason) => reason,
            }
        }
    };
    if wanted.allow_unsandboxed {
        tracing::warn!(
            reason = refused,
            "there is no sandbox: calls run without one, as it was allowed"
        );
        maker.confinement = Confinement::Unconfined;
        let complaint = Some(format!("calls run without a sandbox: {refused}"));
        return match probe(&maker, folder).await {
            Ok(()) => Provision {
                sandboxes: Ok(maker),
                complaint,
            },
            Err(reason) => Provision::none(reason),
        };
    }
    tracing::error!(
        reason = refused,
        "there is no sandbox: no calls are taken (--allow-unsandboxed would take them)"
    );
    Provision::none(refused)
}

async fn probe(maker: &SandboxMaker, folder: &Path) -> Result<(), String> {
    let name = match maker.confinement {
        Confinement::Bubblewrap(_) => "probe",
        Confinement::Unconfined => "probe-unconfined",
    };
    let plan = SandboxPlan {
        name: name.to_owned(),
        application: None,
        folder: folder.join(name),
        tree_limits: CgroupLimits::default(),
        process_limits: Vec::new(),
    };
    maker
        .make(&plan)
        .await
        .map(drop)
        .map_err(|error| error.to_string())
}
