//! One step at a provider: submit, then look until it is done. Runs beside the loop and owns nothing.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value as Json;
use tokio::sync::mpsc::UnboundedSender;
use tokio::time::Instant;

use super::retry::{Poll, Stop, Tries, pause};
use crate::id::{RemoteId, Token};
use crate::kind::{Attempt, BoundKind, Class, Error, Seen};
use crate::plan::StepIndex;

/// What is to be done.
#[derive(Debug)]
pub(super) enum Job {
    Create {
        inputs: Json,
        secrets: Vec<String>,
        token: Token,
        resumed: bool,
        address: String,
        accepted: Option<RemoteId>,
    },
    Update {
        id: RemoteId,
        from: Json,
        to: Json,
    },
    Delete {
        id: RemoteId,
        last: Json,
    },
}

/// A step on its way to a provider.
pub(super) struct Worker {
    pub(super) step: StepIndex,
    pub(super) kind: Arc<dyn BoundKind>,
    pub(super) job: Job,
    pub(super) timeout: Duration,
    /// Whether an object remains that can be looked at after it is gone.
    pub(super) lasts: bool,
    pub(super) stop: Stop,
    pub(super) say: UnboundedSender<Message>,
}

/// What a worker says to the loop.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) step: StepIndex,
    pub(super) what: Said,
}

#[derive(Debug)]
pub(super) enum Said {
    Accepted(RemoteId),
    Pending(String),
    Retrying {
        error: String,
        attempt: u32,
        after: Duration,
    },
    Done(Result<Option<Json>, Failure>),
}

/// Why a step was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// The provider refused, before it took anything on.
    Refused(Error),
    /// It is under way or may be; the next run goes on with it.
    Open(Error),
    /// The run was asked to stop; the next one goes on with it.
    Left,
}

impl Worker {
    /// Does the step and says how it went; the outputs of what is there.
    pub(super) async fn run(mut self) {
        let deadline = Instant::now() + self.timeout;
        let result = self.work(deadline).await;
        self.tell(Said::Done(result));
    }

    fn tell(&self, what: Said) {
        // The loop drains the channel until no worker is left, so it is there to hear.
        let _ = self.say.send(Message { step: self.step, what });
    }

    async fn work(&mut self, deadline: Instant) -> Result<Option<Json>, Failure> {
        match &self.job {
            Job::Create {
                inputs,
                secrets,
                token,
                resumed,
                address,
                accepted,
            } => {
                let (inputs, token, address) = (inputs.clone(), token.clone(), address.clone());
                let secrets = secrets.clone();
                let mut resumed = *resumed;
                let id = match accepted.clone() {
                    Some(id) => id,
                    None => {
                        let kind = Arc::clone(&self.kind);
                        let id = self
                            .insist(deadline, || {
                                let attempt = Attempt {
                                    token: &token,
                                    resumed,
                                    address: &address,
                                    secrets: &secrets,
                                };
                                // A call without an answer may have had its effect.
                                resumed = true;
                                kind.create(&inputs, attempt)
                            })
                            .await?;
                        self.tell(Said::Accepted(id.clone()));
                        id
                    }
                };
                self.until_ready(&id, &inputs, deadline).await.map(Some)
            }
            Job::Update { id, from, to } => {
                let (id, from, to) = (id.clone(), from.clone(), to.clone());
                let kind = Arc::clone(&self.kind);
                self.insist(deadline, || kind.update(&id, &from, &to))
                    .await
                    .map_err(Failure::begun)?;
                self.until_ready(&id, &to, deadline).await.map(Some)
            }
            Job::Delete { id, last } => {
                let (id, last) = (id.clone(), last.clone());
                self.delete(&id, &last, deadline).await.map_err(Failure::begun)?;
                Ok(None)
            }
        }
    }

    /// Calls until it works or will not.
    async fn insist<T, F>(&mut self, deadline: Instant, mut call: impl FnMut() -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut tries = Tries::default();
        loop {
            let error = match tokio::time::timeout_at(deadline, call()).await {
                Ok(Ok(done)) => return Ok(done),
                Ok(Err(error)) => error,
                Err(_) => return Err(Failure::Open(self.too_long("the call gave no answer"))),
            };
            let Some(after) = tries.again(&error, deadline) else {
                let open = error.class.is_transient();
                return Err(if open {
                    Failure::Open(error)
                } else {
                    Failure::Refused(error)
                });
            };
            self.tell(Said::Retrying {
                error: error.chain(),
                attempt: tries.number(),
                after,
            });
            if !pause(after, &mut self.stop).await {
                return Err(Failure::Left);
            }
        }
    }

    async fn until_ready(&mut self, id: &RemoteId, last: &Json, deadline: Instant) -> Result<Json, Failure> {
        let mut poll = Poll::default();
        let mut said = String::new();
        loop {
            let kind = Arc::clone(&self.kind);
            let seen = self
                .insist(deadline, || kind.read(id, last))
                .await
                .map_err(Failure::begun)?;
            let detail = match seen {
                Seen::Ready { outputs, .. } => return Ok(outputs),
                Seen::Broken { detail } => return Err(Failure::Open(Error::failed(detail))),
                Seen::Pending { detail } => detail,
                // What was just made may not be visible yet.
                Seen::Absent => "not visible yet".to_owned(),
            };
            if said != detail {
                said.clone_from(&detail);
                self.tell(Said::Pending(detail));
            }
            self.rest(&mut poll, deadline, &said).await?;
        }
    }

    async fn delete(&mut self, id: &RemoteId, last: &Json, deadline: Instant) -> Result<(), Failure> {
        let kind = Arc::clone(&self.kind);
        let mut poll = Poll::default();
        let mut said = String::new();
        loop {
            self.insist(deadline, || kind.delete(id, last)).await?;
            if !self.lasts {
                return Ok(());
            }
            loop {
                let seen = self.insist(deadline, || kind.read(id, last)).await?;
                let (detail, again) = match seen {
                    Seen::Absent => return Ok(()),
                    Seen::Pending { detail } => (detail, false),
                    Seen::Broken { detail } => (detail, true),
                    Seen::Ready { .. } => ("still there".to_owned(), true),
                };
                if said != detail {
                    said.clone_from(&detail);
                    self.tell(Said::Pending(detail));
                }
                self.rest(&mut poll, deadline, &said).await?;
                if again {
                    break;
                }
            }
        }
    }

    async fn rest(&mut self, poll: &mut Poll, deadline: Instant, waits_for: &str) -> Result<(), Failure> {
        let pause_for = poll.next();
        if Instant::now() + pause_for >= deadline {
            return Err(Failure::Open(self.too_long(waits_for)));
        }
        if pause(pause_for, &mut self.stop).await {
            Ok(())
        } else {
            Err(Failure::Left)
        }
    }

    fn too_long(&self, waits_for: &str) -> Error {
        let seconds = self.timeout.as_secs_f64();
        Error::new(Class::Failed, format!("not done within {seconds} s: {waits_for}"))
            .help("the next run goes on waiting; `timeout:` on the resource gives it longer")
    }
}

impl Failure {
    /// What was begun stays begun, whatever the provider says now.
    fn begun(self) -> Self {
        match self {
            Self::Refused(error) => Self::Open(error),
            other => other,
        }
    }
}
