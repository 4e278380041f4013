//! What goes wrong, and what people command, under the seed.

use gridmart_schemas::api::command::Command;

use super::{
    controller::Target,
    stage::{Event, MILLI, Node, SECOND, Time},
    world::World,
};

/// The next fault.
const FAULT: u32 = 0;
/// The end of all faults.
const CALM: u32 = 1;
/// Something that went wrong is well again.
const HEAL: u32 = 2;
/// A clock is right again.
const CLOCKS: u32 = 3;
/// Killed processes are started again, latest.
const DOWN_MAX: Time = 25 * SECOND;

impl World {
    pub(super) fn plan_faults(&mut self) {
        let length = self.stage.dice.between(20 * SECOND, 90 * SECOND);
        let wait = self.stage.dice.between(SECOND, 5 * SECOND);
        self.stage.after(wait, Event::World(FAULT));
        self.stage.after(length, Event::World(CALM));
    }

    pub(super) fn on_world(&mut self, what: u32) {
        match what {
            FAULT if !self.calm => {
                self.fault();
                let wait = self.stage.dice.between(300 * MILLI, 9 * SECOND);
                self.stage.after(wait, Event::World(FAULT));
            }
            HEAL if !self.calm => self.stage.heal(),
            CLOCKS => self.right_clocks(),
            CALM => self.calm_down(),
            _ => {}
        }
    }

    fn any_node(&mut self) -> Node {
        let nodes = self.nodes();
        self.stage.dice.pick(&nodes).unwrap_or(Node::Control)
    }

    fn fault(&mut self) {
        let node = self.any_node();
        match self.stage.dice.between(0, 99) {
            0..=17 => self.crash(node, false),
            18..=22 => self.crash(node, true),
            23..=34 => self.freeze(node),
            35..=44 => self.part(node),
            45..=56 => {
                let lines = self.stage.all_lines();
                if let Some(conn) = self.stage.dice.pick(&lines) {
                    let patience = [0, 100 * MILLI, 30 * SECOND][self.stage.dice.index(3)];
                    self.stage
                        .note("a stream is cut", conn, 0, || conn.to_string());
                    self.stage.cut(conn, patience);
                }
            }
            57..=61 => {
                let other = self.any_node();
                let by = self.stage.dice.between(20 * MILLI, 3 * SECOND);
                self.stage.slow_down(node, other, by);
                let wait = self.stage.dice.between(SECOND, 40 * SECOND);
                self.stage.after(wait, Event::World(HEAL));
            }
            62..=66 => self.jump_clock(node),
            67..=90 => self.command(),
            91..=95 => {
                let client = self.stage.dice.index(self.clients.len());
                let calls = self.clients[client].calls();
                if let Some(call) = self.stage.dice.pick(&calls) {
                    self.stage
                        .note("a call is killed", client as u64, 0, String::new);
                    self.control.terminate(&mut self.stage, Some(call), None);
                }
            }
            _ => {
                let client = self.stage.dice.index(self.clients.len());
                if let Some(job) = self.clients[client].job() {
                    self.stage
                        .note("a map is killed", client as u64, 0, String::new);
                    self.control.terminate(&mut self.stage, None, Some(job));
                }
            }
        }
    }

    fn crash(&mut self, node: Node, power: bool) {
        if !self.stage.is_up(node) {
            return;
        }
        let how = if power { "power cut" } else { "killed" };
        self.stage.note("a process dies", u64::from(power), 0, || {
            format!("{node:?} {how}")
        });
        self.kill(node, power);
        let wait = self.stage.dice.between(50 * MILLI, DOWN_MAX);
        self.stage.after(wait, Event::Boot(node));
    }

    fn freeze(&mut self, node: Node) {
        if self.stage.is_up(node) && !self.stage.is_frozen(node) {
            let wait = self.stage.dice.between(SECOND, 50 * SECOND);
            self.stage.note("a process is stopped", wait, 0, || {
                format!("{node:?} for {} s", wait / SECOND)
            });
            self.stage.freeze(node, wait);
        }
    }

    fn part(&mut self, node: Node) {
        let whole = self.stage.dice.chance(50);
        let others = if whole {
            self.nodes()
        } else {
            vec![self.any_node()]
        };
        self.stage
            .note("the network parts", u64::from(whole), 0, || {
                format!("{node:?} from {others:?}")
            });
        for other in others {
            if other != node {
                self.stage.part(node, other);
            }
        }
        let wait = self.stage.dice.between(SECOND, 60 * SECOND);
        self.stage.after(wait, Event::World(HEAL));
    }

    fn jump_clock(&mut self, node: Node) {
        let by = self.stage.dice.between(SECOND, 3600 * SECOND).cast_signed();
        let by = if self.stage.dice.chance(50) { by } else { -by };
        self.stage.note("a clock jumps", by.unsigned_abs(), 0, || {
            format!("{node:?} by {} s", by / SECOND.cast_signed())
        });
        self.stage.jump_clock(node, by);
        let wait = self.stage.dice.between(SECOND, 60 * SECOND);
        self.stage.after(wait, Event::World(CLOCKS));
    }

    fn right_clocks(&mut self) {
        for node in self.nodes() {
            let offset = self.stage.dice.between(0, 40 * SECOND).cast_signed();
            let offset = offset - (20 * SECOND).cast_signed();
            self.stage.right_clock(node, offset);
        }
    }

    fn any_target(&mut self) -> Target {
        let digest = self.stage.dice.index(self.digests.len());
        let digest = self.digests[digest].clone();
        let host = self.stage.dice.index(self.hosts.len());
        let host = self.hosts[host].id;
        match self.stage.dice.between(0, 9) {
            0..=2 => {
                let element = self.stage.dice.index(self.elements.len());
                Target::Node(self.elements[element].id)
            }
            3..=5 => Target::Node(host),
            6 | 7 => Target::Application(digest),
            _ => Target::OnHost(digest, host),
        }
    }

    /// People command the controller, if it is there.
    fn command(&mut self) {
        if !self.stage.is_up(Node::Control) || self.stage.is_frozen(Node::Control) {
            return;
        }
        let target = self.any_target();
        let command = match self.stage.dice.between(0, 9) {
            0..=4 => Command::Start,
            5..=6 => Command::Stop,
            _ => Command::Kill,
        };
        self.stage.note("a command", command as u64, 0, || {
            format!("{} {target:?}", command.as_str())
        });
        self.control.command(&mut self.stage, command, &target);
        // Nothing stays stopped for long.
        if command != Command::Start && self.stage.dice.chance(70) {
            let again = Command::Start;
            self.control.command(&mut self.stage, again, &target);
        }
    }

    /// Faults are over: everything is there, and everything is to work.
    fn calm_down(&mut self) {
        self.calm = true;
        self.stage.ledger.quieten();
        self.stage.note("faults are over", 0, 0, String::new);
        self.stage.heal();
        self.right_clocks();
        for node in self.nodes() {
            self.stage.thaw(node);
            self.stage.after(0, Event::Boot(node));
        }
        let mut targets: Vec<Target> = Vec::new();
        for element in &self.elements {
            targets.push(Target::Node(element.id));
        }
        for host in &self.hosts {
            targets.push(Target::Node(host.id));
            for digest in &self.digests {
                targets.push(Target::OnHost(digest.clone(), host.id));
            }
        }
        for digest in &self.digests {
            targets.push(Target::Application(digest.clone()));
        }
        for target in targets {
            self.control
                .command(&mut self.stage, Command::Start, &target);
        }
    }
}
