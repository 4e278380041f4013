//! How a call's program is started: which one, with what arguments, in what
//! environment, as the application's AEDoc and the caller say together.
//! Streams always go to the caller: an AEDoc that redirects them is refused.

use std::{
    ffi::OsString,
    path::{Component, Path, PathBuf},
};

use gridmart_schemas::{
    problem::{Code, Problem},
    resource::ae::Command,
    wire::call::{CallOpen, Step},
};

use super::sandbox::Layout;

/// Arguments of one call, and variables.
const ARGUMENTS_MAX: usize = 4096;
/// Bytes of all arguments and variables of one call.
const BYTES_MAX: usize = 512 * 1024;
/// Where programs look for others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// Variables that the Host alone sets begin so.
const OWN_PREFIX: &str = "GRIDMART_";

/// Refuses what no program can be started with.
pub(crate) fn check(command: &Command, open: &CallOpen) -> Result<(), Problem> {
    let refusal = |detail: &str| Err(Problem::new(Code::InvalidRequest, detail));
    if open.arguments.len() > ARGUMENTS_MAX || open.environment.len() > ARGUMENTS_MAX {
        return Err(Problem::new(
            Code::TooLarge,
            format!("A call may have {ARGUMENTS_MAX} arguments and as many variables."),
        ));
    }
    let arguments: usize = open.arguments.iter().map(String::len).sum();
    let variables: usize = open
        .environment
        .iter()
        .map(|(name, value)| name.len() + value.len())
        .sum();
    if arguments + variables > BYTES_MAX {
        return Err(Problem::new(
            Code::TooLarge,
            format!(
                "Arguments and variables of a call may have {BYTES_MAX} bytes: use stdin for more."
            ),
        ));
    }
    if open
        .arguments
        .iter()
        .any(|argument| argument.contains('\0'))
    {
        return refusal("An argument has a zero byte in it.");
    }
    for (name, value) in &open.environment {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return refusal(
                "A variable of the environment has no name, or `=` or a zero byte in it.",
            );
        }
        if name.starts_with(OWN_PREFIX) {
            return refusal("Variables that begin with GRIDMART_ are set by the Host.");
        }
    }
    open.staged.check()?;
    if open.step != Step::Run && !open.staged.is_empty() {
        return refusal("Split and merge take no files of buckets.");
    }
    let has_step = match open.step {
        Step::Run => true,
        Step::Split => command.split.is_some(),
        Step::Merge => command.merge.is_some(),
    };
    if has_step {
        Ok(())
    } else {
        refusal("The application's AEDoc has no such step.")
    }
}

/// Program and arguments, as the sandbox shows them.
pub(crate) fn arguments(command: &Command, open: &CallOpen, layout: &Layout) -> Vec<OsString> {
    let step = match open.step {
        Step::Run => None,
        Step::Split => command.split.as_ref(),
        Step::Merge => command.merge.as_ref(),
    };
    let (executable, fixed) = step.map_or((&command.executable, &command.arguments), |step| {
        (&step.executable, &step.arguments)
    });
    let mut arguments = Vec::with_capacity(1 + fixed.len() + open.arguments.len());
    // A relative path lies in the package; an absolute one replaces it here.
    arguments.push(
        layout
            .application
            .join(executable.as_str())
            .into_os_string(),
    );
    arguments.extend(fixed.iter().map(|argument| argument.as_str().into()));
    arguments.extend(open.arguments.iter().map(OsString::from));
    arguments
}

/// The whole environment of the process.
pub(crate) fn environment(
    command: &Command,
    open: &CallOpen,
    layout: &Layout,
) -> Vec<(OsString, OsString)> {
    let mut environment: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), PATH.into()),
        ("LANG".into(), "C.UTF-8".into()),
        ("HOME".into(), layout.work.clone().into()),
        ("TMPDIR".into(), layout.temporary.clone().into()),
        ("GRIDMART_APP".into(), layout.application.clone().into()),
    ];
    let declared = command
        .environment
        .iter()
        .map(|variable| (variable.name.as_str(), variable.value.as_str()));
    let asked = open
        .environment
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()));
    environment.extend(
        declared
            .filter(|(name, _)| !name.starts_with(OWN_PREFIX))
            .chain(asked)
            .map(|(name, value)| (name.into(), value.into())),
    );
    environment.push(("GRIDMART_CALL_ID".into(), open.call.to_string().into()));
    if let Some(part_of) = open.part_of {
        environment.push(("GRIDMART_JOB_ID".into(), part_of.job.to_string().into()));
        if let Some(part) = part_of.part {
            environment.push(("GRIDMART_PART".into(), part.to_string().into()));
        }
    }
    environment
}

/// The folder to start in, below the work folder: only what leads downwards.
pub(crate) fn folder(command: &Command) -> OsString {
    let Some(wanted) = &command.working_directory else {
        return OsString::new();
    };
    let down: PathBuf = Path::new(wanted.as_str())
        .components()
        .filter(|component| matches!(component, Component::Normal(_)))
        .collect();
    down.into_os_string()
}

#[cfg(test)]
mod tests {
    use gridmart_schemas::{
        id::{CallId, JobId},
        resource::ae,
        wire::{call::PartOf, staging::StagedFile},
    };

    use super::*;

    fn command() -> Command {
        let mut command = Command::new("bin/probe".parse().unwrap());
        command.arguments = vec!["--fixed".parse().unwrap(), "".parse().unwrap()];
        command.split = Some(ae::Step {
            executable: "/bin/sh".parse().unwrap(),
            arguments: vec!["-c".parse().unwrap()],
        });
        command
    }

    fn open() -> CallOpen {
        let text = format!(r#"{{"call":"{}","arguments":["a b"]}}"#, CallId::generate());
        serde_json::from_str(&text).unwrap()
    }

    fn layout() -> Layout {
        Layout {
            application: "/app".into(),
            work: "/work".into(),
            temporary: "/tmp".into(),
        }
    }

    #[test]
    fn paths_are_resolved_in_the_package() {
        let mut open = open();
        assert_eq!(
            arguments(&command(), &open, &layout()),
            ["/app/bin/probe", "--fixed", "", "a b"]
        );
        open.step = Step::Split;
        assert_eq!(
            arguments(&command(), &open, &layout()),
            ["/bin/sh", "-c", "a b"]
        );
    }

    #[test]
    fn the_caller_cannot_set_what_is_the_hosts() {
        let mut open = open();
        open.part_of = Some(PartOf {
            job: JobId::generate(),
            part: Some(7),
            attempt: 1,
        });
        assert!(check(&command(), &open).is_ok());
        let environment = environment(&command(), &open, &layout());
        assert!(environment.contains(&("GRIDMART_PART".into(), "7".into())));
        for name in ["GRIDMART_PART", "", "a=b", "x\0"] {
            open.environment = [(name.to_owned(), "1".to_owned())].into();
            assert_eq!(
                check(&command(), &open).unwrap_err().code,
                Code::InvalidRequest,
                "{name:?}"
            );
        }
        open.environment.clear();
        open.arguments = vec!["\0".to_owned()];
        assert!(check(&command(), &open).is_err());
        open.arguments = vec!["x".repeat(BYTES_MAX + 1)];
        assert_eq!(check(&command(), &open).unwrap_err().code, Code::TooLarge);
        open.arguments.clear();
        let input = StagedFile::parse_input("bucket/key").unwrap();
        open.staged.inputs = vec![input.clone()];
        assert!(check(&command(), &open).is_ok());
        open.step = Step::Split;
        assert!(check(&command(), &open).is_err());
        open.step = Step::Run;
        open.staged.inputs.push(input);
        assert!(check(&command(), &open).is_err());
        open.staged.inputs.clear();
        open.step = Step::Merge;
        assert!(check(&command(), &open).is_err());
    }

    #[test]
    fn the_work_folder_is_not_left() {
        let mut command = command();
        assert_eq!(folder(&command), "");
        command.working_directory = Some("/../a/./../b".parse().unwrap());
        assert_eq!(folder(&command), "a/b");
    }
}
