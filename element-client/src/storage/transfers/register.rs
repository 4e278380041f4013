//! All transfers that are under way, as a plain state: what begins and goes on,
//! what a stop lets end and a kill does not, and how each ends.
//!
//! Invariants: a transfer ends once, and gives one record; what was killed
//! never goes on nor is committed, under whatever name it comes again; what is
//! being committed is not killed any more.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use gridmart_schemas::{
    id::{NodeId, PersonName, StripeId, TransferId, VersionId},
    problem::{Code, Problem},
    role::Desired,
    wire::{
        desired::Wish,
        transfer::{TransferEnd, TransferMark, TransferRecord, TransferSubject, TransferView},
    },
};
use time::OffsetDateTime;

use super::{
    killed::Killed,
    present::{Carrier, Ends, Kill, Leftover, Present, Program, StreamNumber, Word, ended},
};

/// Transfers at a time, of all doors.
const PRESENT_MAX: usize = 65_536;
/// Of one stream of a program.
const OF_STREAM_MAX: usize = 1024;
/// A program whose stream is lost may come back for so long.
const RETURN_MAX: Duration = Duration::from_mins(1);
/// An older program does not say that it has all it wanted. After so long a
/// silence its tickets are over, with which it could do anything.
const SILENCE_MAX: Duration = Duration::from_mins(6);
/// Stripes of one put whose places are remembered, to be cleared after a kill;
/// the collection finds the others.
const PLANNED_MAX: usize = 512;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Register {
    present: BTreeMap<TransferId, Present>,
    /// Puts of programs by what their blocks name.
    versions: HashMap<VersionId, TransferId>,
    of_stream: HashMap<StreamNumber, usize>,
    pub(super) killed: Killed,
}

/// What whoever goes on with a killed transfer is told.
pub(super) fn terminated(by: &str) -> Problem {
    Problem::new(
        Code::Terminated,
        format!("The transfer was killed by {by}."),
    )
}

fn element_killed() -> Problem {
    terminated("a kill of its Element or Host")
}

fn stopped() -> Problem {
    Problem::new(
        Code::NotAccepting,
        "The Element is stopped: it takes no new transfers.",
    )
}

impl Register {
    /// With those that were killed before.
    pub(super) fn new(killed: Killed) -> Self {
        Self {
            killed,
            ..Self::default()
        }
    }

    /// Whether nothing is under way.
    pub(super) fn is_idle(&self) -> bool {
        self.present.is_empty()
    }

    /// Whether it is under way.
    pub(super) fn has(&self, id: TransferId) -> bool {
        self.present.contains_key(&id)
    }

    fn admit(&self, wish: Wish) -> Result<(), Problem> {
        if wish.desired != Desired::Production {
            return Err(stopped());
        }
        if self.present.len() >= PRESENT_MAX {
            let detail = format!("{PRESENT_MAX} transfers are under way, which is the limit.");
            return Err(Problem::new(Code::Busy, detail));
        }
        Ok(())
    }

    // === Requests that the Element serves ===

    /// Begins one.
    pub(super) fn on_request(
        &mut self,
        subject: TransferSubject,
        total: Option<u64>,
        ends: Ends,
        wish: Wish,
    ) -> Result<Arc<AtomicU64>, Problem> {
        self.admit(wish)?;
        let id = subject.transfer;
        if self.present.contains_key(&id) {
            let detail = format!("The transfer {id} is under way already.");
            return Err(Problem::new(Code::AlreadyExists, detail));
        }
        let bytes = Arc::<AtomicU64>::default();
        let present = Present {
            subject,
            cut: wish.cut_epoch,
            bytes: Arc::clone(&bytes),
            total,
            is_committing: false,
            carrier: Carrier::Element(ends),
        };
        self.present.insert(id, present);
        Ok(bytes)
    }

    // === Programs ===

    /// A program begins a transfer, or goes on with one.
    pub(super) fn on_word(
        &mut self,
        word: Word,
        wish: Wish,
        now: Instant,
    ) -> Result<TransferMark, Problem> {
        let named = word.mark.map(|mark| mark.transfer);
        let by_version = word.version.and_then(|version| self.versions.get(&version));
        let id = named.or(by_version.copied());
        self.killed.check(id, word.version)?;
        if word.mark.is_some_and(|mark| mark.cut < wish.cut_epoch) {
            return Err(element_killed());
        }
        let known = id.and_then(|id| Some((id, self.present.get_mut(&id)?)));
        let Some((id, present)) = known else {
            return self.begin(word, wish, now);
        };
        let Carrier::Program(program) = &mut present.carrier else {
            return Err(foreign(id));
        };
        let (known, said) = (&present.subject, &word.subject);
        let is_same = known.owner == said.owner
            && known.bucket == said.bucket
            && known.direction == said.direction;
        if !is_same {
            return Err(foreign(id));
        }
        if present.cut < wish.cut_epoch {
            return Err(element_killed());
        }
        if present.subject.key.is_none() {
            present.subject.key = word.subject.key;
        }
        program.heard = now;
        program.lost = None;
        program.is_named |= word.is_named;
        let before = std::mem::replace(&mut program.stream, word.stream);
        program.upload = program.upload.or(word.upload);
        let mark = TransferMark {
            transfer: id,
            cut: present.cut,
        };
        if before != word.stream {
            self.count_of(before, -1);
            self.count_of(word.stream, 1);
        }
        self.bind(id, word.version);
        Ok(mark)
    }

    fn begin(&mut self, word: Word, wish: Wish, now: Instant) -> Result<TransferMark, Problem> {
        self.admit(wish)?;
        if self.of_stream.get(&word.stream).copied().unwrap_or(0) >= OF_STREAM_MAX {
            let detail = format!(
                "The program has {OF_STREAM_MAX} transfers under way, which is the limit of one."
            );
            return Err(Problem::new(Code::Busy, detail));
        }
        let id = word.subject.transfer;
        let program = Program {
            stream: word.stream,
            lost: None,
            heard: now,
            is_named: word.is_named,
            version: None,
            upload: word.upload,
            planned: Vec::new(),
            is_doubtful: false,
        };
        let present = Present {
            subject: word.subject,
            cut: wish.cut_epoch,
            bytes: Arc::default(),
            total: None,
            is_committing: false,
            carrier: Carrier::Program(program),
        };
        self.present.insert(id, present);
        self.count_of(word.stream, 1);
        self.bind(id, word.version);
        Ok(TransferMark {
            transfer: id,
            cut: wish.cut_epoch,
        })
    }

    /// Under which version the blocks of a put are known.
    fn bind(&mut self, id: TransferId, version: Option<VersionId>) {
        let Some(program) = self.program(id) else {
            return;
        };
        let Some(version) = version.filter(|version| program.version != Some(*version)) else {
            return;
        };
        if let Some(older) = program.version.replace(version) {
            self.versions.remove(&older);
        }
        self.versions.insert(version, id);
    }

    fn count_of(&mut self, stream: StreamNumber, change: isize) {
        let count = self.of_stream.entry(stream).or_default();
        *count = count.saturating_add_signed(change);
        if *count == 0 {
            self.of_stream.remove(&stream);
        }
    }

    fn program(&mut self, id: TransferId) -> Option<&mut Program> {
        match &mut self.present.get_mut(&id)?.carrier {
            Carrier::Program(program) => Some(program),
            Carrier::Element(_) => None,
        }
    }

    /// A put has been given places for so many bytes.
    pub(super) fn on_planned(
        &mut self,
        id: TransferId,
        bytes: u64,
        planned: impl Iterator<Item = (StripeId, Vec<NodeId>)>,
    ) {
        if let Some(present) = self.present.get(&id) {
            present.bytes.fetch_add(bytes, Ordering::Relaxed);
        }
        if let Some(program) = self.program(id) {
            let room = PLANNED_MAX.saturating_sub(program.planned.len());
            program.planned.extend(planned.take(room));
        }
    }

    /// A get that reads on from a byte has been told the places up to another
    /// one, of those up to `end`.
    pub(super) fn on_reached(&mut self, id: TransferId, from: u64, (reached, end): (u64, u64)) {
        let Some(present) = self.present.get_mut(&id) else {
            return;
        };
        let total = *present.total.get_or_insert(end.saturating_sub(from));
        let begin = end.saturating_sub(total);
        let bytes = reached.min(end).saturating_sub(begin);
        present.bytes.fetch_max(bytes, Ordering::Relaxed);
    }

    /// Bytes of it so far.
    pub(super) fn bytes(&self, id: TransferId) -> u64 {
        let present = self.present.get(&id);
        present.map_or(0, |present| present.bytes.load(Ordering::Relaxed))
    }

    /// These stripes are the metadata's now.
    pub(super) fn on_part(&mut self, id: TransferId, stripes: &[StripeId]) {
        if let Some(program) = self.program(id) {
            program
                .planned
                .retain(|(stripe, _)| !stripes.contains(stripe));
        }
    }

    /// What became of a commit cannot be told.
    pub(super) fn on_doubt(&mut self, id: TransferId) {
        if let Some(program) = self.program(id) {
            program.is_doubtful = true;
        }
    }

    /// A stream of a program has ended.
    pub(super) fn on_stream_lost(&mut self, stream: StreamNumber, now: Instant) {
        if !self.of_stream.contains_key(&stream) {
            return;
        }
        for present in self.present.values_mut() {
            if let Carrier::Program(program) = &mut present.carrier
                && program.stream == stream
            {
                program.lost.get_or_insert(now);
            }
        }
    }

    // === Ends ===

    /// It is about to be shown: from here on a kill comes too late.
    pub(super) fn on_committing(&mut self, id: TransferId) -> Result<(), Problem> {
        self.killed.check(Some(id), None)?;
        match self.present.get_mut(&id) {
            Some(present) => {
                present.is_committing = true;
                Ok(())
            }
            None => Err(element_killed()),
        }
    }

    /// It was not shown.
    pub(super) fn on_not_committed(&mut self, id: TransferId) {
        if let Some(present) = self.present.get_mut(&id) {
            present.is_committing = false;
        }
    }

    /// It has ended; nothing, if that was told before.
    pub(super) fn on_end(
        &mut self,
        id: TransferId,
        bytes: Option<u64>,
        end: TransferEnd,
    ) -> Option<TransferRecord> {
        let present = self.present.remove(&id)?;
        if let Carrier::Program(program) = &present.carrier {
            self.count_of(program.stream, -1);
            if let Some(version) = program.version {
                self.versions.remove(&version);
            }
        }
        let counted = present.bytes.load(Ordering::Relaxed);
        Some(TransferRecord {
            subject: present.subject,
            bytes: bytes.unwrap_or(counted),
            ended: OffsetDateTime::now_utc(),
            end,
        })
    }

    /// A program says that its own transfer is over.
    pub(super) fn on_over(
        &mut self,
        id: TransferId,
        stream: StreamNumber,
        bytes: Option<u64>,
        end: TransferEnd,
    ) -> Option<TransferRecord> {
        let present = self.present.get(&id)?;
        let Carrier::Program(program) = &present.carrier else {
            return None;
        };
        if program.stream != stream || present.is_committing {
            return None;
        }
        // It cannot have got more than it was told of.
        let most = present.bytes.load(Ordering::Relaxed);
        self.on_end(id, bytes.map(|bytes| bytes.min(most)), end)
    }

    /// Ends one for good.
    pub(super) fn kill(
        &mut self,
        id: TransferId,
        owner: Option<&PersonName>,
        by: &PersonName,
    ) -> Kill {
        let Some(present) = self.present.get_mut(&id) else {
            return Kill::Unknown;
        };
        if owner.is_some() && present.subject.owner.as_ref() != owner {
            return Kill::Unknown;
        }
        if present.is_committing {
            return Kill::TooLate;
        }
        let reason = format!("killed by {by}");
        let mut leftover = None;
        match &mut present.carrier {
            Carrier::Element(ends) => ends.end(),
            Carrier::Program(program) => {
                self.killed.add(id, program.version, by);
                let planned = std::mem::take(&mut program.planned);
                leftover = Some(Leftover {
                    upload: program.upload,
                    planned: if program.is_doubtful {
                        Vec::new()
                    } else {
                        planned
                    },
                });
            }
        }
        match (
            self.on_end(id, None, ended(Code::Terminated, reason)),
            leftover,
        ) {
            (None, _) => Kill::Unknown,
            (Some(record), None) => Kill::Request(record),
            (Some(record), Some(leftover)) => Kill::Program(record, leftover),
        }
    }

    /// Ends what kills of the Element have passed.
    pub(super) fn end_cut(&mut self, wish: Wish) -> Vec<TransferRecord> {
        self.end_where("its Element was killed", |present| {
            present.cut < wish.cut_epoch && !present.is_committing
        })
    }

    /// Ends those of programs that have gone away.
    pub(super) fn on_tick(&mut self, now: Instant) -> Vec<TransferRecord> {
        let over = |since: Instant, limit| now.saturating_duration_since(since) >= limit;
        self.end_where("its program went away", |present| match &present.carrier {
            Carrier::Element(_) => false,
            Carrier::Program(_) if present.is_committing => false,
            Carrier::Program(program) => {
                program.lost.is_some_and(|lost| over(lost, RETURN_MAX))
                    || (!program.is_named && over(program.heard, SILENCE_MAX))
            }
        })
    }

    /// Ends all: the Element goes down.
    pub(super) fn end_all(&mut self) -> Vec<TransferRecord> {
        self.end_where("its Element went down", |present| !present.is_committing)
    }

    fn end_where(
        &mut self,
        reason: &str,
        is_over: impl Fn(&Present) -> bool,
    ) -> Vec<TransferRecord> {
        let over = self.present.iter().filter(|(_, present)| is_over(present));
        let over: Vec<TransferId> = over.map(|(id, _)| *id).collect();
        let records = over.into_iter().filter_map(|id| {
            if let Some(Carrier::Element(ends)) =
                self.present.get(&id).map(|present| &present.carrier)
            {
                ends.end();
            }
            self.on_end(id, None, ended(Code::Terminated, reason.to_owned()))
        });
        records.collect()
    }

    // === Looking at it ===

    /// Those that `is_meant`, the oldest first.
    pub(super) fn list(
        &self,
        limit: usize,
        is_meant: impl Fn(&TransferSubject) -> bool,
    ) -> Vec<TransferView> {
        let meant = self.present.values();
        let meant = meant.filter(|present| is_meant(&present.subject));
        meant.take(limit).map(Present::view).collect()
    }
}

fn foreign(id: TransferId) -> Problem {
    Problem::new(
        Code::NotAuthorized,
        format!("The transfer {id} is not one of this person with this bucket."),
    )
}
