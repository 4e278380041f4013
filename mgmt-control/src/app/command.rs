//! `start`, `stop`, `kill`: recorded as what should be, then waited for a
//! moment, so that people usually see it applied.
//!
//! Invariant: generations come from one counter, and the epoch of a `kill` is
//! its generation; so whatever is newer also carries the highest epoch.

use std::time::Duration;

use gridmart_schemas::{
    api::command::{Command, CommandView},
    id::{Digest, NodeId},
    problem::{Code, Problem},
    role::NodeKind,
    wire::desired::Wish,
};

use super::{
    Control,
    application::{find_named, may_manage, not_the_owner},
    applied::{Target, wait_applied},
    context::Context,
};
use crate::{
    catalogue::{Update, application::Application, node::Node},
    failure::Failure,
};

/// How long a command waits for nodes that are there.
const APPLIED_WAIT_MAX: Duration = Duration::from_secs(2);

const fn resource_action(command: Command) -> &'static str {
    match command {
        Command::Start => "resource.start",
        Command::Stop => "resource.stop",
        Command::Kill => "resource.kill",
    }
}

const fn application_action(command: Command) -> &'static str {
    match command {
        Command::Start => "application.start",
        Command::Stop => "application.stop",
        Command::Kill => "application.kill",
    }
}

// === Resources ===

/// Starts, stops or kills an Element or a Host.
pub async fn resource_command(
    control: &Control,
    context: &Context,
    command: Command,
    text: &str,
) -> Result<CommandView, Failure> {
    let node = control.catalogue.view().resource(text)?;
    let id = node.id;
    let entry = context.act(resource_action(command), id.to_string());
    let wish = control
        .administer(entry, move |update| {
            let known = update.snapshot().nodes.get(&id).cloned();
            let node = known
                .ok_or_else(|| Problem::new(Code::NotFound, format!("There is no node {id}.")))?;
            if node.revoked {
                let detail = format!("{} was revoked; it takes no commands.", node.name);
                return Err(Problem::new(Code::NodeRevoked, detail).into());
            }
            if command.is_done(node.wish) {
                return Ok(node.wish);
            }
            let wish = command.apply(node.wish, update.next_generation()?);
            update.put_node(Node {
                wish,
                ..Node::clone(&node)
            })?;
            Ok(wish)
        })
        .await?;
    let target = if node.kind.is_host() {
        Target::Host(id)
    } else {
        Target::Element(id)
    };
    Ok(answer(control, command, node.name.clone(), Some(wish), &[target]).await)
}

async fn answer(
    control: &Control,
    command: Command,
    target: String,
    wish: Option<Wish>,
    targets: &[Target],
) -> CommandView {
    let waiting_for = wait_applied(control, targets, APPLIED_WAIT_MAX).await;
    let status = if waiting_for.is_empty() {
        "applied"
    } else {
        "pending"
    };
    CommandView {
        command: command.as_str().to_owned(),
        target,
        wish,
        status: status.to_owned(),
        waiting_for,
        ended: None,
    }
}

// === Applications ===

/// Starts, stops or kills an application: all its versions, or one; on all
/// nodes, or on one Host.
pub async fn application_command(
    control: &Control,
    context: &Context,
    command: Command,
    name: &str,
    version: Option<&str>,
    host: Option<&str>,
) -> Result<CommandView, Failure> {
    let label = version.map_or_else(|| name.to_owned(), |version| format!("{name}@{version}"));
    let view = control.catalogue.view();
    let versions = find_named(&view.catalogue, &label)?;
    let host = match host {
        Some(text) => Some(view.resource_of(text, &[NodeKind::ComputeHost])?),
        None => None,
    };
    let shown = match &host {
        Some(host) => format!("{label} on {}", host.name),
        None => label,
    };
    let entry = context.act(application_action(command), shown.clone());
    if let Some(foreign) = versions
        .iter()
        .find(|application| !may_manage(application, context))
    {
        control
            .audit_refusal(entry, Code::NotAuthorized.as_str())
            .await;
        return Err(not_the_owner(foreign).into());
    }
    let digests: Vec<Digest> = versions
        .iter()
        .map(|application| application.digest.clone())
        .collect();
    let targets: Vec<Target> = digests
        .iter()
        .map(|digest| match &host {
            Some(host) => Target::ApplicationOnHost(digest.clone(), host.id),
            None => Target::Application(digest.clone()),
        })
        .collect();
    let host = host.map(|host| host.id);
    let wishes = control
        .administer(entry, move |update| {
            digests
                .iter()
                .map(|digest| match host {
                    Some(host) => on_host(update, command, digest, host),
                    None => everywhere(update, command, digest),
                })
                .collect::<Result<Vec<Wish>, Failure>>()
        })
        .await?;
    // Several versions: the one that people call is shown.
    let shown_wish = versions
        .iter()
        .position(|application| application.default)
        .and_then(|index| wishes.get(index))
        .or(wishes.first())
        .copied();
    Ok(answer(control, command, shown, shown_wish, &targets).await)
}

fn known(update: &Update<'_>, digest: &Digest) -> Result<Application, Failure> {
    let known = update.snapshot().applications.get(digest);
    known
        .map(|application| Application::clone(application))
        .ok_or_else(|| Problem::new(Code::UnknownApplication, "It is gone meanwhile.").into())
}

/// A command for the whole application is written through to the Hosts that
/// had one of their own, so that the newest wish always has the highest epoch.
fn everywhere(update: &mut Update<'_>, command: Command, digest: &Digest) -> Result<Wish, Failure> {
    let application = known(update, digest)?;
    let apart: Vec<(NodeId, Wish)> = update
        .snapshot()
        .host_wishes
        .iter()
        .filter_map(|(host, wishes)| Some((*host, *wishes.get(digest)?)))
        .collect();
    let done =
        command.is_done(application.wish) && apart.iter().all(|(_, wish)| command.is_done(*wish));
    if done {
        return Ok(application.wish);
    }
    let wish = command.apply(application.wish, update.next_generation()?);
    update.put_application(Application {
        wish,
        ..application
    })?;
    for (host, own) in apart {
        let mut own = command.apply(own, update.next_generation()?);
        own.cut_epoch = own.cut_epoch.max(wish.cut_epoch);
        update.put_host_wish(digest, host, own)?;
    }
    Ok(wish)
}

fn on_host(
    update: &mut Update<'_>,
    command: Command,
    digest: &Digest,
    host: NodeId,
) -> Result<Wish, Failure> {
    let application = known(update, digest)?;
    let present = update.snapshot().wish_on_host(&application, host);
    if command.is_done(present) {
        return Ok(present);
    }
    let wish = command.apply(present, update.next_generation()?);
    update.put_host_wish(digest, host, wish)?;
    Ok(wish)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use gridmart_schemas::role::Desired;

    use super::*;

    fn commands() -> impl Strategy<Value = Vec<Command>> {
        let one = prop_oneof![
            Just(Command::Start),
            Just(Command::Stop),
            Just(Command::Kill)
        ];
        proptest::collection::vec(one, 0..20)
    }

    fn give(wish: Wish, command: Command, generation: &mut u64) -> Wish {
        if command.is_done(wish) {
            return wish;
        }
        *generation += 1;
        command.apply(wish, *generation)
    }

    proptest! {
        #[test]
        fn a_command_given_twice_changes_nothing_more(history in commands(), last in commands()) {
            let mut generation = 0;
            let mut wish = history.into_iter().fold(Wish::default(), |wish, command| give(wish, command, &mut generation));
            for command in last {
                wish = give(wish, command, &mut generation);
                prop_assert_eq!(give(wish, command, &mut generation), wish);
                prop_assert!(wish.cut_epoch <= wish.generation);
            }
        }

        #[test]
        fn a_kill_after_a_start_always_cuts(history in commands()) {
            let mut generation = 0;
            let before = history.into_iter().fold(Wish::default(), |wish, command| give(wish, command, &mut generation));
            let started = give(before, Command::Start, &mut generation);
            let killed = give(started, Command::Kill, &mut generation);
            prop_assert!(killed.cut_epoch > started.cut_epoch);
            prop_assert_eq!(killed.desired, Desired::Closed);
        }

        #[test]
        fn a_stop_or_start_never_cuts(history in commands()) {
            let mut generation = 0;
            let before = history.into_iter().fold(Wish::default(), |wish, command| give(wish, command, &mut generation));
            for command in [Command::Stop, Command::Start] {
                prop_assert_eq!(give(before, command, &mut generation).cut_epoch, before.cut_epoch);
            }
        }
    }
}
