//! All that can be said about a run. The engine says it, `ui` decides how it looks.

use std::time::Duration;

use serde::Serialize;
use serde_json::Value as Json;

use crate::id::{RemoteId, ResourceId};
use crate::plan::{Counts, Operation};

/// Something that happened in a run.
#[derive(Clone, Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Event {
    /// The recorded objects are being looked at in the world.
    Reading {
        /// How many.
        objects: usize,
    },
    /// The plan stands.
    Planned {
        /// What it comes to.
        #[serde(flatten)]
        counts: Counts,
    },
    /// A step begins; it is on disk already.
    Started {
        /// What it is about.
        resource: ResourceId,
        /// What is done to it.
        operation: Operation,
    },
    /// The provider took it on; the id is on disk.
    Accepted {
        /// What it is about.
        resource: ResourceId,
        /// What the provider calls it.
        id: RemoteId,
    },
    /// A step waits for the provider.
    Pending {
        /// What it is about.
        resource: ResourceId,
        /// What is done to it.
        operation: Operation,
        /// What it waits for, as last seen.
        detail: String,
        /// How long the step has run.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
    /// A call did not work and will be tried again.
    Retrying {
        /// What it is about.
        resource: ResourceId,
        /// What is done to it.
        operation: Operation,
        /// What went wrong.
        error: String,
        /// Which try comes next, from 2.
        attempt: u32,
        /// When, from now.
        #[serde(rename = "after_ms", serialize_with = "milliseconds")]
        after: Duration,
    },
    /// A step is done.
    Finished {
        /// What it is about.
        resource: ResourceId,
        /// What was done to it.
        operation: Operation,
        /// How long it took.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
    /// A step did not work. What depends on it is skipped.
    Failed {
        /// What it is about.
        resource: ResourceId,
        /// What was to be done to it.
        operation: Operation,
        /// What went wrong, with its causes.
        error: String,
        /// What to do.
        #[serde(skip_serializing_if = "Option::is_none")]
        help: Option<String>,
        /// The place in the stack file, `FILE:LINE:COLUMN`.
        #[serde(skip_serializing_if = "Option::is_none")]
        place: Option<String>,
    },
    /// A step was not tried, because one before it failed or the run was interrupted.
    Skipped {
        /// What it is about.
        resource: ResourceId,
        /// What was to be done to it.
        operation: Operation,
        /// The resource that failed; `None` after an interruption.
        because: Option<ResourceId>,
    },
    /// Still there: said every 10 s while steps run and nothing else is said.
    Waiting {
        /// What is running, and since when.
        running: Vec<Running>,
    },
    /// The run was asked to stop: nothing new is started.
    Interrupted {
        /// How many steps are still in flight.
        in_flight: usize,
    },
    /// Something worth knowing: a recovery, a fall-back.
    Notice {
        /// One sentence.
        text: String,
    },
    /// The end.
    Done {
        /// The command that ran.
        command: &'static str,
        /// What was done.
        #[serde(flatten)]
        tally: Tally,
        /// The stack's outputs, secrets left out.
        outputs: serde_json::Map<String, Json>,
        /// What a destroy left behind, as found by tag or folder.
        #[serde(skip_serializing_if = "Option::is_none")]
        left: Option<Vec<String>>,
        /// What the process will exit with.
        exit_code: u8,
        /// How long it all took.
        #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
        elapsed: Duration,
    },
}

/// A step in flight.
#[derive(Clone, Debug, Serialize)]
pub struct Running {
    /// What it is about.
    pub resource: ResourceId,
    /// What is done to it.
    pub operation: Operation,
    /// What it waits for, as last seen.
    pub detail: Option<String>,
    /// How long it has run.
    #[serde(rename = "elapsed_ms", serialize_with = "milliseconds")]
    pub elapsed: Duration,
}

/// What a run did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Objects made.
    pub created: usize,
    /// Objects changed in place.
    pub updated: usize,
    /// Objects taken away.
    pub deleted: usize,
    /// Steps that failed.
    pub failed: usize,
    /// Steps that were not tried.
    pub skipped: usize,
}

/// Takes events; must not block for long.
pub type Listener<'a> = &'a (dyn Fn(&Event) + Sync);

fn milliseconds<S: serde::Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(u64::try_from(duration.as_millis()).unwrap_or(u64::MAX))
}
