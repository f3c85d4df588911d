//! The journal: lines that are only ever appended, each with a checksum.
//!
//! # Guarantees
//! After [`Journal::sync`] all that was appended before survives a power cut. A line that was cut off
//! while it was written is recognised and ignored, if it is the last one; anything else that does not
//! read is corruption and is said to be.
//!
//! # Assumptions
//! One owner: the apply loop. The file system keeps the order of appends to one file.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use super::record::Record;
use super::{Illegal, State};
use crate::id::{RemoteId, Token};

/// A journal that is written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    buffer: Vec<u8>,
    /// Bytes that are in the file, but maybe not on disk.
    unsynced: bool,
    /// How much of the file is known to be whole: a failed write is cut back to it.
    length: u64,
    seam: Option<Seam>,
    writes: u64,
}

/// A creation that began: on disk after the next sync, and to be accepted or failed.
#[must_use = "a begun step must be accepted, settled or failed"]
#[derive(Debug)]
pub struct Begun(Token);

/// A creation that was accepted: to be settled, or left for the next run.
#[must_use = "an accepted step must be settled, or left for the next run on purpose"]
#[derive(Debug)]
pub struct Accepted(Token);

impl Begun {
    /// Names the object.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.0
    }

    /// Goes on with a step without an id: an update, a delete, or a create whose id is on disk already.
    pub fn accepted_before(self) -> Accepted {
        Accepted(self.0)
    }

    /// Leaves the step as it is for the next run, which resumes it.
    pub fn leave(self) {}
}

impl Accepted {
    /// Names the object.
    #[must_use]
    pub fn token(&self) -> &Token {
        &self.0
    }

    /// Leaves the step as it is for the next run, which resumes it.
    pub fn leave(self) {}
}

/// Where a test stops the process, as `N:before`, `N:torn` or `N:after` the N-th write from 1.
///
/// It is the seam for the proof that a kill at any write does no harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seam {
    write: u64,
    at: At,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum At {
    Before,
    Torn,
    After,
}

impl std::str::FromStr for Seam {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (write, at) = text.split_once(':').ok_or(())?;
        let at = match at {
            "before" => At::Before,
            "torn" => At::Torn,
            "after" => At::After,
            _ => return Err(()),
        };
        Ok(Self {
            write: write.parse().map_err(|_| ())?,
            at,
        })
    }
}

impl Journal {
    /// Opens a journal for appending after `length` bytes that are whole; what follows is cut off.
    ///
    /// # Errors
    /// Says why the file cannot be written.
    pub fn open(path: &Path, length: u64, seam: Option<Seam>) -> io::Result<Self> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = File::options();
        options.create(true).append(true).mode(0o600);
        let file = options.open(path)?;
        if file.metadata()?.len() > length {
            file.set_len(length)?;
            file.sync_data()?;
        }
        Ok(Self {
            file,
            path: path.to_owned(),
            buffer: Vec::new(),
            unsynced: false,
            length,
            seam,
            writes: 0,
        })
    }

    /// Appends a record to the state and to the buffer; nothing is on disk before [`sync`](Self::sync).
    ///
    /// # Errors
    /// Refuses a record that cannot follow: a bug.
    pub fn append(&mut self, state: &mut State, record: &Record) -> Result<(), Illegal> {
        state.apply(record)?;
        write_line(record, &mut self.buffer);
        Ok(())
    }

    /// Notes that a step begins; see [`Record::Begin`].
    ///
    /// # Errors
    /// Refuses a record that cannot follow: a bug.
    pub fn begin(&mut self, state: &mut State, record: &Record) -> Result<Begun, Illegal> {
        let Record::Begin { token, .. } = record else {
            return Err(super::illegal("begin", "a record of another sort"));
        };
        let begun = Begun(token.clone());
        self.append(state, record)?;
        Ok(begun)
    }

    /// Notes that the provider took it on.
    ///
    /// # Errors
    /// Refuses a record that cannot follow: a bug.
    pub fn accepted(&mut self, state: &mut State, begun: Begun, id: &RemoteId) -> Result<Accepted, Illegal> {
        self.append(
            state,
            &Record::Accepted {
                token: begun.0.clone(),
                id: id.clone(),
            },
        )?;
        Ok(Accepted(begun.0))
    }

    /// Notes that it is done.
    ///
    /// # Errors
    /// Refuses a record that cannot follow: a bug.
    pub fn settled(
        &mut self,
        state: &mut State,
        accepted: Accepted,
        inputs: Option<serde_json::Value>,
        outputs: Option<serde_json::Value>,
    ) -> Result<(), Illegal> {
        self.append(
            state,
            &Record::Settled {
                token: accepted.0,
                inputs,
                outputs,
            },
        )
    }

    /// Notes that a creation was refused for good.
    ///
    /// # Errors
    /// Refuses a record that cannot follow: a bug.
    pub fn failed(&mut self, state: &mut State, begun: Begun, error: String) -> Result<(), Illegal> {
        self.append(state, &Record::Failed { token: begun.0, error })
    }

    /// Hands all that was appended to the operating system: it survives a kill, not a power cut.
    ///
    /// # Errors
    /// Says why it cannot be written; the file then ends where it did before.
    pub fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.writes += 1;
        self.stop_here(At::Before)?;
        if let Err(error) = self.file.write_all(&self.buffer) {
            // Half a batch would be corruption as soon as another line follows it.
            let _ = self.file.set_len(self.length);
            return Err(error);
        }
        self.length += self.buffer.len() as u64;
        self.buffer.clear();
        self.unsynced = true;
        self.stop_here(At::After)
    }

    /// Puts all that was appended on disk.
    ///
    /// # Errors
    /// Says why it cannot be written.
    pub fn sync(&mut self) -> io::Result<()> {
        self.flush()?;
        if self.unsynced {
            self.file.sync_data()?;
            self.unsynced = false;
        }
        Ok(())
    }

    /// Returns the file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn stop_here(&mut self, at: At) -> io::Result<()> {
        let Some(seam) = self.seam else { return Ok(()) };
        if seam.write != self.writes {
            return Ok(());
        }
        let torn = seam.at == At::Torn && at == At::Before;
        if torn {
            let last = self.buffer[..self.buffer.len() - 1]
                .iter()
                .rposition(|b| *b == b'\n')
                .map_or(0, |at| at + 1);
            let half = last + (self.buffer.len() - last) / 2;
            self.file.write_all(&self.buffer[..half])?;
        }
        if torn || seam.at == at {
            kill_self();
        }
        Ok(())
    }
}

/// Ends the process as `kill -9` would: nothing is flushed, no destructor runs.
fn kill_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::KILL);
}

/// Writes one line: eight hexadecimal digits of CRC-32 over the JSON, a blank, the JSON.
pub fn write_line(record: &Record, buffer: &mut Vec<u8>) {
    let start = buffer.len();
    buffer.extend_from_slice(b"00000000 ");
    let body = buffer.len();
    // Records are plain data with string keys, which always serialise.
    serde_json::to_writer(&mut *buffer, record).expect("a record serialises");
    let sum = checksum(&buffer[body..]);
    buffer[start..body - 1].copy_from_slice(&sum);
    buffer.push(b'\n');
}

/// Returns the eight hexadecimal digits that stand before the JSON of a line.
#[must_use]
pub fn checksum(body: &[u8]) -> [u8; 8] {
    let mut digits = [0; 8];
    digits.copy_from_slice(format!("{:08x}", crc32fast::hash(body)).as_bytes());
    digits
}

/// What a journal file says.
#[derive(Debug, Default, PartialEq)]
pub struct Replay {
    /// Its records, in order.
    pub records: Vec<Record>,
    /// How many bytes of it are whole lines.
    pub length: u64,
    /// Whether a line was cut off at its end.
    pub torn: bool,
}

/// A line that is neither whole nor the last.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the journal is damaged: {why}")]
pub struct Corrupt {
    /// Counted from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: String,
}

/// Reads the lines of a journal.
///
/// # Errors
/// Names a line that is damaged and not the last.
pub fn read(bytes: &[u8]) -> Result<Replay, Corrupt> {
    let mut replay = Replay::default();
    let mut rest = bytes;
    let mut line = 0;
    while !rest.is_empty() {
        line += 1;
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
            replay.torn = true;
            break;
        };
        match read_line(&rest[..end]) {
            Ok(record) => replay.records.push(record),
            // A power cut may leave a last line of the right length with the wrong bytes.
            Err(_) if end + 1 == rest.len() && !begins_with_a_whole_line(&rest[..end]) => {
                replay.torn = true;
                break;
            }
            Err(why) => return Err(Corrupt { line, why }),
        }
        rest = &rest[end + 1..];
        replay.length += end as u64 + 1;
    }
    Ok(replay)
}

/// Whether a line that does not read is two, of which the first is whole: its line break was damaged.
fn begins_with_a_whole_line(line: &[u8]) -> bool {
    const START: &[u8] = b" {\"is\":";
    line.windows(START.len())
        .enumerate()
        .skip(10)
        .filter(|(_, window)| *window == START)
        .any(|(at, _)| read_line(&line[..at - 9]).is_ok())
}

fn read_line(line: &[u8]) -> Result<Record, String> {
    let (sum, body) = match line {
        [sum @ .., _] if sum.len() >= 9 && line[8] == b' ' => (&line[..8], &line[9..]),
        _ => return Err("it is no checksum and record".to_owned()),
    };
    let sum = std::str::from_utf8(sum)
        .ok()
        .and_then(|text| u32::from_str_radix(text, 16).ok());
    if sum != Some(crc32fast::hash(body)) {
        return Err("its checksum does not fit".to_owned());
    }
    serde_json::from_slice(body).map_err(|error| format!("it is no record of this version: {error}"))
}

/// Folds records into a state.
///
/// # Errors
/// Names the first record that cannot follow.
pub fn fold(state: &mut State, records: &[Record]) -> Result<(), Illegal> {
    records.iter().try_for_each(|record| state.apply(record))
}
