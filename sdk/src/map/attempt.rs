//! One attempt of a part on its way: what was sent, what came back. Without
//! I/O; the seat turns it into frames.

use std::time::Instant;

use gridmart_schemas::{id::CallId, problem::Code, problem::Problem, wire::frame::WINDOW_BYTES};

use super::core::Assignment;

/// Output of an attempt over this size is put on disk before it ends.
const SPILL_BYTES: usize = 64 * 1024;
/// Consumed bytes are credited, and input is read on, in steps of this size.
const STEP_BYTES: usize = WINDOW_BYTES / 4;
/// Bytes of a failed part's stderr that are kept: its end.
pub(crate) const STDERR_KEPT_BYTES: usize = 64 * 1024;

/// An attempt on a seat.
#[derive(Debug)]
pub(crate) struct Attempt {
    pub(crate) assignment: Assignment,
    /// Tells the attempts of this run apart.
    pub(crate) serial: u32,
    pub(crate) call: CallId,
    pub(crate) opened: Instant,
    /// Its opening frame was sent.
    pub(crate) open_sent: bool,
    pub(crate) cancelled: bool,
    /// Waits for the Host to say where to go on with the input.
    pub(crate) resuming: bool,
    input: Input,
    stdout: Vec<u8>,
    /// Bytes of stdout that went to disk already.
    spilled: u64,
    stdout_owed: usize,
    stderr: Vec<u8>,
    stderr_received: u64,
    stderr_owed: usize,
}

#[derive(Clone, Copy, Debug)]
struct Input {
    /// Where the part begins in the file, and its length.
    start: u64,
    len: u64,
    /// Asked of the disk.
    taken: u64,
    sent: u64,
    credited: u64,
    ended: bool,
}

/// A piece of stdout for the disk.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Spill {
    pub(crate) at: u64,
    pub(crate) data: Vec<u8>,
}

impl Attempt {
    pub(crate) fn new(assignment: Assignment, serial: u32, (start, len): (u64, u64)) -> Self {
        Self {
            assignment,
            serial,
            call: CallId::generate(),
            opened: Instant::now(),
            open_sent: false,
            cancelled: false,
            resuming: false,
            input: Input {
                start,
                len,
                taken: 0,
                sent: 0,
                credited: 0,
                ended: false,
            },
            stdout: Vec::new(),
            spilled: 0,
            stdout_owed: 0,
            stderr: Vec::new(),
            stderr_received: 0,
            stderr_owed: 0,
        }
    }

    /// Gives the next piece of the input to read, (offset in the file, length),
    /// while the window is open; a step at least, unless it is the last.
    pub(crate) fn input_wanted(&mut self) -> Option<(u64, usize)> {
        let input = &mut self.input;
        if self.resuming || self.cancelled {
            return None;
        }
        let rest = input.len - input.taken;
        let open = (WINDOW_BYTES as u64).saturating_sub(input.taken - input.credited);
        let len = rest.min(open);
        if len == 0 || (len < rest && len < STEP_BYTES as u64) {
            return None;
        }
        let at = input.start + input.taken;
        input.taken += len;
        usize::try_from(len).ok().map(|len| (at, len))
    }

    /// A piece from `at` in the file is about to be sent; false: it was read
    /// before the stream was cut, and is not what comes next.
    pub(crate) fn on_input_read(&mut self, at: u64, len: usize) -> bool {
        let next = !self.resuming && at == self.input.start + self.input.sent;
        if next {
            self.input.sent += len as u64;
        }
        next
    }

    /// Where in the file the input goes on.
    pub(crate) fn input_at(&self) -> u64 {
        self.input.start + self.input.sent
    }

    /// Tells, once, that the whole input was sent.
    pub(crate) fn input_ends(&mut self) -> bool {
        let ends = self.input.sent == self.input.len && !self.input.ended;
        self.input.ended |= ends;
        ends
    }

    /// All was sent, but for its end.
    pub(crate) fn lacks_end(&self) -> bool {
        !self.resuming && self.input.sent == self.input.len && !self.input.ended
    }

    /// Bytes of input that are held for it, at most.
    pub(crate) fn input_held(&self) -> usize {
        usize::try_from(self.input.len)
            .unwrap_or(WINDOW_BYTES)
            .min(WINDOW_BYTES)
    }

    pub(crate) fn on_input_credit(&mut self, count: u32) -> Result<(), Problem> {
        self.input.credited += u64::from(count);
        if self.input.credited > self.input.sent {
            Err(broken("credits input that was not sent"))
        } else {
            Ok(())
        }
    }

    /// Takes stdout; gives what is to go to disk now.
    pub(crate) fn on_stdout(&mut self, data: &[u8]) -> Result<Option<Spill>, Problem> {
        self.stdout_owed += data.len();
        if self.stdout_owed > WINDOW_BYTES {
            return Err(broken("sent more output than its window allows"));
        }
        self.stdout.extend_from_slice(data);
        if self.stdout.len() < SPILL_BYTES {
            return Ok(None);
        }
        Ok(Some(self.spill()))
    }

    fn spill(&mut self) -> Spill {
        let data = std::mem::take(&mut self.stdout);
        let spill = Spill {
            at: self.spilled,
            data,
        };
        self.spilled += spill.data.len() as u64;
        spill
    }

    /// Takes stderr; its end is kept.
    pub(crate) fn on_stderr(&mut self, data: &[u8]) -> Result<(), Problem> {
        self.stderr_received += data.len() as u64;
        self.stderr_owed += data.len();
        if self.stderr_owed > WINDOW_BYTES {
            return Err(broken("sent more output than its window allows"));
        }
        self.stderr.extend_from_slice(data);
        // Twice the size, so that most bytes are moved once or not at all.
        if self.stderr.len() > 2 * STDERR_KEPT_BYTES {
            self.stderr.drain(..self.stderr.len() - STDERR_KEPT_BYTES);
        }
        Ok(())
    }

    /// Credits that are due: (stdout, stderr), 0 for none.
    pub(crate) fn credits(&mut self) -> (u32, u32) {
        (due(&mut self.stdout_owed), due(&mut self.stderr_owed))
    }

    /// The attempt is complete: the last of its output.
    pub(crate) fn finish(&mut self) -> Spill {
        self.spill()
    }

    /// The end of stderr, as text.
    pub(crate) fn stderr_tail(&self) -> String {
        let start = self.stderr.len().saturating_sub(STDERR_KEPT_BYTES);
        String::from_utf8_lossy(&self.stderr[start..]).into_owned()
    }

    /// Bytes received: where it goes on after a cut.
    pub(crate) fn received(&self) -> (u64, u64) {
        (
            self.spilled + self.stdout.len() as u64,
            self.stderr_received,
        )
    }

    /// The channel was cut and the Host holds the attempt: windows are whole
    /// again, and the input waits for the Host's word.
    pub(crate) fn on_cut(&mut self) {
        self.resuming = true;
        (self.stdout_owed, self.stderr_owed) = (0, 0);
    }

    /// The Host has the first `has` bytes of the input, of which `credited` were
    /// taken.
    pub(crate) fn on_resumed(&mut self, has: u64, credited: u64) -> Result<(), Problem> {
        if has > self.input.len || credited > has {
            return Err(broken("has more input than there is"));
        }
        self.resuming = false;
        self.input = Input {
            taken: has,
            sent: has,
            credited: credited.max(self.input.credited).min(has),
            ended: false,
            ..self.input
        };
        Ok(())
    }

    /// The Host never got it: everything from the start.
    pub(crate) fn restart(&mut self) {
        let Input { start, len, .. } = self.input;
        let fresh = Self::new(self.assignment, self.serial, (start, len));
        *self = Self {
            cancelled: self.cancelled,
            ..fresh
        };
    }
}

fn due(owed: &mut usize) -> u32 {
    if *owed < STEP_BYTES {
        0
    } else {
        u32::try_from(std::mem::take(owed)).unwrap_or_default()
    }
}

fn broken(what: &str) -> Problem {
    Problem::new(Code::InvalidRequest, format!("the Host {what}"))
}

#[cfg(test)]
#[expect(clippy::cast_possible_truncation, reason = "sizes of tests are small")]
mod tests {
    use super::*;

    fn attempt(len: u64) -> Attempt {
        Attempt::new(
            Assignment {
                part: 0,
                attempt: 1,
            },
            1,
            (1000, len),
        )
    }

    #[test]
    fn a_small_part_is_wanted_at_once_and_ends() {
        let mut attempt = attempt(10);
        assert_eq!(attempt.input_wanted(), Some((1000, 10)));
        assert!(!attempt.input_ends());
        assert!(attempt.on_input_read(1000, 10));
        assert!(attempt.input_ends() && !attempt.input_ends());
        assert_eq!(attempt.input_wanted(), None);
    }

    #[test]
    fn a_large_part_is_read_on_as_it_is_credited() {
        let len = 3 * WINDOW_BYTES as u64;
        let mut attempt = attempt(len);
        let mut read = 0;
        while let Some((at, count)) = attempt.input_wanted() {
            assert_eq!(at, 1000 + read);
            read += count as u64;
            assert!(attempt.on_input_read(at, count));
            attempt.on_input_credit(count as u32 / 2).unwrap();
            attempt
                .on_input_credit(count as u32 - count as u32 / 2)
                .unwrap();
        }
        assert_eq!(read, len);
        assert!(attempt.input_ends());
        assert!(attempt.on_input_credit(1).is_err());
    }

    #[test]
    fn a_resumed_part_goes_on_where_the_host_stands() {
        let mut attempt = attempt(100);
        attempt.input_wanted();
        assert!(attempt.on_input_read(1000, 100));
        attempt.on_cut();
        assert_eq!(attempt.input_wanted(), None);
        attempt.on_resumed(40, 10).unwrap();
        assert!(!attempt.on_input_read(1000, 100), "read before the cut");
        // What waits at the Host is credited once.
        attempt.on_input_credit(30).unwrap();
        assert!(attempt.on_input_credit(1).is_err());
        attempt.input.credited = 40;
        assert_eq!(attempt.input_wanted(), Some((1040, 60)));
        assert!(attempt.on_input_read(1040, 60));
        assert!(attempt.input_ends());
    }

    #[test]
    fn large_output_spills_in_order_and_stderr_keeps_its_end() {
        let mut attempt = attempt(0);
        let mut written = Vec::new();
        for round in 0..40u8 {
            if let Some(spill) = attempt.on_stdout(&vec![round; 10_000]).unwrap() {
                assert_eq!(spill.at, written.len() as u64);
                written.extend(spill.data);
            }
            attempt.on_stderr(&vec![b'0' + round; 10_000]).unwrap();
            attempt.credits();
        }
        let last = attempt.finish();
        assert_eq!(last.at, written.len() as u64);
        assert_eq!(written.len() + last.data.len(), 400_000);
        let tail = attempt.stderr_tail();
        assert_eq!(tail.len(), STDERR_KEPT_BYTES);
        assert!(tail.ends_with((b'0' + 39) as char));
        assert_eq!(attempt.received(), (400_000, 400_000));
    }

    #[test]
    fn a_host_that_ignores_the_window_is_refused() {
        let mut attempt = attempt(0);
        attempt.on_stdout(&vec![0; WINDOW_BYTES]).unwrap();
        assert!(attempt.on_stdout(b"x").is_err());
    }
}
