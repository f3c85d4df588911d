//! Events for people: lines that say what happens, and on a terminal a drawing of what is in flight.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::ProgressBar;
use serde_json::{Map, Value as Json};

use super::live::{self, Live};
use super::text::grouped;
use super::{Look, Printer, Verbosity, clean, duration, output_value, plural};
use crate::event::{Event, Running, Tally};
use crate::id::ResourceId;
use crate::plan::Operation;

/// A run with more steps than this shows only the bar and what took its time.
const LINES_FOR_ALL: usize = 300;

/// Listens to one run and tells a person about it.
pub struct Human {
    deployment: String,
    verbosity: Verbosity,
    err_look: Look,
    out_look: Look,
    inner: Mutex<Inner>,
}

struct Inner {
    err: Box<dyn Write + Send>,
    out: Box<dyn Write + Send>,
    steps: usize,
    reading: Option<ProgressBar>,
    live: Option<Live>,
    failed: Vec<ResourceId>,
    skipped: BTreeMap<Option<ResourceId>, usize>,
}

impl std::fmt::Debug for Human {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.deployment)
    }
}

impl Human {
    /// Tells about a run of a deployment, `aws-x` or `aws-x (ci)`, on the standard streams.
    #[must_use]
    pub fn new(printer: &Printer, deployment: impl Into<String>) -> Self {
        Self::to(
            deployment.into(),
            printer.verbosity(),
            (printer.err_look(), Box::new(std::io::stderr())),
            (printer.out_look(), Box::new(std::io::stdout())),
        )
    }

    fn to(
        deployment: String,
        verbosity: Verbosity,
        (err_look, err): (Look, Box<dyn Write + Send>),
        (out_look, out): (Look, Box<dyn Write + Send>),
    ) -> Self {
        Self {
            deployment,
            verbosity,
            err_look,
            out_look,
            inner: Mutex::new(Inner {
                err,
                out,
                steps: 0,
                reading: None,
                live: None,
                failed: Vec::new(),
                skipped: BTreeMap::new(),
            }),
        }
    }

    /// Takes away what is drawn, so that something else can be written. It comes back by itself.
    pub fn pause(&self) {
        let mut inner = self.lock();
        inner.stop_drawing();
    }

    /// Tells about an event.
    pub fn hear(&self, event: &Event) {
        let inner = &mut *self.lock();
        let paint = self.err_look.paint;
        match event {
            Event::Reading { objects } => {
                if self.err_look.terminal && self.verbosity > Verbosity::Quiet && *objects > 0 {
                    let text = format!("looking at {}", plural(*objects, "resource"));
                    inner.reading = Some(live::spinner(self.err_look, text));
                }
            }
            Event::Planned { counts } => {
                inner.stop_drawing();
                inner.steps = counts.create + counts.update + 2 * counts.replace + counts.delete;
            }
            Event::Started { resource, operation } => self.started(inner, resource, *operation),
            Event::Accepted { resource, id } => {
                if self.verbosity == Verbosity::Verbose {
                    inner.say(&format!(
                        "{}: its id is {}",
                        clean(&resource.to_string()),
                        clean(id.as_str())
                    ));
                }
            }
            Event::Pending { resource, detail, .. } => {
                if let Some(live) = &mut inner.live {
                    live.detail(resource, detail);
                } else if self.verbosity == Verbosity::Verbose {
                    inner.say(&format!("{}: {}", clean(&resource.to_string()), clean(detail)));
                }
            }
            Event::Retrying {
                resource,
                error,
                attempt,
                after,
                ..
            } => {
                let text = format!("tries again in {} (try {attempt}): {}", duration(*after), clean(error));
                if let Some(live) = &mut inner.live {
                    live.detail(resource, &text);
                }
                if self.verbosity == Verbosity::Verbose || (inner.live.is_none() && *attempt > 2) {
                    self.say(inner, &format!("{}: {text}", clean(&resource.to_string())));
                }
            }
            Event::Finished {
                resource,
                operation,
                elapsed,
            } => self.finished(inner, resource, *operation, *elapsed),
            Event::Failed {
                resource,
                operation,
                error,
                help,
                place,
            } => {
                if let Some(live) = &mut inner.live {
                    live.end(resource);
                }
                inner.failed.push(resource.clone());
                let mut lines = error.lines().map(clean);
                inner.say(&format!(
                    "{}: {} to {}: {}",
                    paint.bold(clean(&resource.to_string())),
                    paint.red("failed"),
                    verb(*operation),
                    lines.next().unwrap_or_default()
                ));
                for line in lines {
                    inner.say(&format!("    {line}"));
                }
                if let Some(place) = place {
                    inner.say(&format!("  at {}", clean(place)));
                }
                if let Some(help) = help {
                    inner.say(&format!("  {}: {}", paint.cyan("help"), clean(help)));
                }
            }
            Event::Skipped { because, .. } => {
                if let Some(live) = &inner.live {
                    live.skip();
                }
                *inner.skipped.entry(because.clone()).or_default() += 1;
            }
            Event::Waiting { running } => {
                if inner.live.is_none() {
                    self.waiting(inner, running);
                }
            }
            Event::Interrupted { in_flight } => {
                let steps = match in_flight {
                    0 => "no step is in flight".to_owned(),
                    1 => "1 step in flight is being finished".to_owned(),
                    more => format!("{} in flight are being finished", plural(*more, "step")),
                };
                inner.say(&format!(
                    "stopping: {steps}; press Ctrl-C again to exit at once, nothing is lost"
                ));
            }
            Event::Notice { text } => self.say(inner, &format!("{}: {}", paint.cyan("note"), clean(text))),
            Event::Done {
                command,
                tally,
                outputs,
                left,
                exit_code,
                elapsed,
            } => {
                inner.stop_drawing();
                self.done(inner, command, tally, left.as_deref(), *exit_code, *elapsed);
                let _ = inner.err.flush();
                // After a failure they are not what the stack promises.
                if *exit_code == 0 {
                    self.outputs(inner, outputs);
                }
            }
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says what a quiet run leaves out.
    fn say(&self, inner: &mut Inner, line: &str) {
        if self.verbosity > Verbosity::Quiet {
            inner.say(line);
        }
    }

    fn started(&self, inner: &mut Inner, resource: &ResourceId, operation: Operation) {
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        if self.err_look.terminal {
            let (look, steps) = (self.err_look, inner.steps);
            inner
                .live
                .get_or_insert_with(|| Live::new(look, steps))
                .start(resource, doing(operation));
        } else {
            inner.say(&format!("{}: {}…", clean(&resource.to_string()), doing(operation)));
        }
    }

    fn finished(&self, inner: &mut Inner, resource: &ResourceId, operation: Operation, elapsed: Duration) {
        if let Some(live) = &mut inner.live {
            live.end(resource);
        }
        if self.err_look.terminal && inner.steps > LINES_FOR_ALL && elapsed < Duration::from_secs(2) {
            return;
        }
        if elapsed.is_zero() && self.verbosity < Verbosity::Verbose {
            // It was only computed or written down; the summary counts it.
            return;
        }
        let paint = self.err_look.paint;
        let name = resource.to_string();
        let name = clean(&name);
        let line = match operation {
            Operation::Create => format!("{}: created in {}", paint.green(name), duration(elapsed)),
            Operation::Update => format!("{}: updated in {}", paint.yellow(name), duration(elapsed)),
            Operation::Delete => format!("{}: deleted in {}", paint.red(name), duration(elapsed)),
        };
        self.say(inner, &line);
    }

    fn waiting(&self, inner: &mut Inner, running: &[Running]) {
        const SHOWN: usize = 5;
        for step in running.iter().take(SHOWN) {
            let detail = step
                .detail
                .as_ref()
                .map(|detail| format!(" ({})", clean(detail)))
                .unwrap_or_default();
            let line = format!(
                "{}: still {} after {}{detail}",
                clean(&step.resource.to_string()),
                doing(step.operation),
                duration(step.elapsed)
            );
            self.say(inner, &line);
        }
        if running.len() > SHOWN {
            self.say(inner, &format!("and {}", plural(running.len() - SHOWN, "more step")));
        }
    }

    fn done(
        &self,
        inner: &mut Inner,
        command: &str,
        tally: &Tally,
        left: Option<&[String]>,
        exit_code: u8,
        elapsed: Duration,
    ) {
        let paint = self.err_look.paint;
        for (because, count) in std::mem::take(&mut inner.skipped) {
            let steps = match count {
                1 => "1 step was not tried".to_owned(),
                more => format!("{} were not tried", plural(more, "step")),
            };
            match because {
                Some(cause) => inner.say(&format!("{steps} because `{}` failed", clean(&cause.to_string()))),
                None => inner.say(&format!("{steps} because the run was interrupted")),
            }
        }
        let name = &self.deployment;
        let took = duration(elapsed);
        let ended = if command == "destroy" {
            "Destroying"
        } else {
            "Deploying"
        };
        if exit_code == 0 {
            match (command, left) {
                ("destroy", left) => self.receipt(inner, tally, left.unwrap_or_default(), &took),
                _ if *tally == Tally::default() => {}
                _ => self.say(
                    inner,
                    &format!("{} {name}: {} in {took}", paint.green("Deployed"), counted(tally)),
                ),
            }
        } else if exit_code == 130 {
            inner.say(&format!(
                "{} {name} was interrupted: {} after {took}. Nothing is lost; the same command carries on.",
                ended,
                counted(tally)
            ));
        } else {
            inner.say(&format!(
                "{} {name} {}: {} after {took}. What was done is recorded; the same command carries on.",
                ended,
                paint.red("failed"),
                counted(tally)
            ));
            self.left_over(inner, left.unwrap_or_default());
        }
    }

    fn receipt(&self, inner: &mut Inner, tally: &Tally, left: &[String], took: &str) {
        let paint = self.err_look.paint;
        let said = if tally.deleted == 0 {
            format!("There was nothing to destroy of {}.", self.deployment)
        } else {
            format!(
                "{} {} of {} in {took}.",
                paint.green("Destroyed"),
                plural(tally.deleted, "resource"),
                self.deployment
            )
        };
        if left.is_empty() {
            self.say(
                inner,
                &format!("{said} Nothing is left: no process, no file, no entry in .env."),
            );
        } else {
            inner.say(&said);
            self.left_over(inner, left);
        }
    }

    fn left_over(&self, inner: &mut Inner, left: &[String]) {
        if left.is_empty() {
            return;
        }
        inner.say(&format!("{} still there:", plural(left.len(), "thing")));
        for thing in left {
            inner.say(&format!("  {}", clean(thing)));
        }
    }

    fn outputs(&self, inner: &mut Inner, outputs: &Map<String, Json>) {
        let _ = write_outputs(&mut inner.out, outputs, self.out_look);
        let _ = inner.out.flush();
    }
}

impl Inner {
    fn say(&mut self, line: &str) {
        match &self.live {
            Some(live) => live.line(line),
            None => {
                // One write a line: what another process says to the same terminal does not get between.
                let _ = self.err.write_all(format!("{line}\n").as_bytes());
            }
        }
    }

    fn stop_drawing(&mut self) {
        if let Some(reading) = self.reading.take() {
            reading.finish_and_clear();
        }
        if let Some(mut live) = self.live.take() {
            live.clear();
        }
    }
}

/// Writes outputs as `name = value`, one a line.
///
/// # Errors
/// Fails when the writer does.
pub fn write_outputs(to: &mut impl Write, outputs: &Map<String, Json>, look: Look) -> std::io::Result<()> {
    outputs
        .iter()
        .try_for_each(|(name, value)| writeln!(to, "{} = {}", look.paint.bold(name), output_value(value)))
}

fn counted(tally: &Tally) -> String {
    let parts: Vec<String> = [
        (tally.created, "created"),
        (tally.updated, "updated"),
        (tally.deleted, "deleted"),
        (tally.failed, "failed"),
        (tally.skipped, "not tried"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{} {what}", grouped(count)))
    .collect();
    if parts.is_empty() {
        "nothing was done".to_owned()
    } else {
        parts.join(", ")
    }
}

fn verb(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "create",
        Operation::Update => "update",
        Operation::Delete => "delete",
    }
}

fn doing(operation: Operation) -> &'static str {
    match operation {
        Operation::Create => "creating",
        Operation::Update => "updating",
        Operation::Delete => "deleting",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io;
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::plan::Counts;

    /// A stream that can be read back.
    #[derive(Clone, Default)]
    pub(crate) struct Buffer(Arc<Mutex<Vec<u8>>>);

    impl Buffer {
        pub(crate) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Buffer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn tell(verbosity: Verbosity, events: &[Event]) -> String {
        let (err, out) = (Buffer::default(), Buffer::default());
        let human = Human::to(
            "shop".to_owned(),
            verbosity,
            (Look::PLAIN, Box::new(err.clone())),
            (Look::PLAIN, Box::new(out.clone())),
        );
        for event in events {
            human.hear(event);
        }
        format!("{}--- stdout\n{}", err.text(), out.text())
    }

    fn done(command: &'static str, tally: Tally, exit_code: u8, left: Option<Vec<String>>) -> Event {
        let mut outputs = Map::new();
        if command == "deploy" && exit_code == 0 {
            outputs.insert("endpoint".to_owned(), json!("http://127.0.0.1:8080"));
            outputs.insert("ports".to_owned(), json!([1, 2]));
        }
        Event::Done {
            command,
            tally,
            outputs,
            left,
            exit_code,
            elapsed: Duration::from_millis(1_340),
        }
    }

    fn run() -> Vec<Event> {
        let queue = ResourceId::keyed("queue", "express");
        vec![
            Event::Reading { objects: 3 },
            Event::Planned {
                counts: Counts {
                    create: 2,
                    ..Counts::default()
                },
            },
            Event::Started {
                resource: queue.clone(),
                operation: Operation::Create,
            },
            Event::Accepted {
                resource: queue.clone(),
                id: crate::id::RemoteId::new("q-1"),
            },
            Event::Waiting {
                running: vec![Running {
                    resource: queue.clone(),
                    operation: Operation::Create,
                    detail: Some("port 80 answers".to_owned()),
                    elapsed: Duration::from_secs(10),
                }],
            },
            Event::Finished {
                resource: queue,
                operation: Operation::Create,
                elapsed: Duration::from_millis(1_200),
            },
            done(
                "deploy",
                Tally {
                    created: 2,
                    ..Tally::default()
                },
                0,
                None,
            ),
        ]
    }

    #[test]
    fn a_run_is_told_line_by_line() {
        insta::assert_snapshot!(tell(Verbosity::Default, &run()), @"
        queue[express]: creating…
        queue[express]: still creating after 10s (port 80 answers)
        queue[express]: created in 1.2s
        Deployed shop: 2 created in 1.3s
        --- stdout
        endpoint = http://127.0.0.1:8080
        ports = [1,2]
        ");
    }

    #[test]
    fn a_quiet_run_prints_its_outputs_only() {
        insta::assert_snapshot!(tell(Verbosity::Quiet, &run()), @"
        --- stdout
        endpoint = http://127.0.0.1:8080
        ports = [1,2]
        ");
    }

    #[test]
    fn one_cause_is_told_once() {
        let app = ResourceId::plain("app");
        let skipped = |name: &str| Event::Skipped {
            resource: ResourceId::plain(name),
            operation: Operation::Create,
            because: Some(app.clone()),
        };
        let events = [
            Event::Failed {
                resource: app.clone(),
                operation: Operation::Create,
                error: "port 8080 is taken\nby another process".to_owned(),
                help: Some("set `port`".to_owned()),
                place: Some("stacks/shop/stack.yaml:4:5".to_owned()),
            },
            skipped("a"),
            skipped("b"),
            Event::Interrupted { in_flight: 3 },
            done(
                "deploy",
                Tally {
                    created: 1,
                    failed: 1,
                    skipped: 2,
                    ..Tally::default()
                },
                1,
                None,
            ),
        ];
        insta::assert_snapshot!(tell(Verbosity::Quiet, &events), @"
        app: failed to create: port 8080 is taken
            by another process
          at stacks/shop/stack.yaml:4:5
          help: set `port`
        stopping: 3 steps in flight are being finished; press Ctrl-C again to exit at once, nothing is lost
        2 steps were not tried because `app` failed
        Deploying shop failed: 1 created, 1 failed, 2 not tried after 1.3s. What was done is recorded; the same command carries on.
        --- stdout
        ");
    }

    #[test]
    fn a_destroy_ends_with_a_receipt() {
        let tally = Tally {
            deleted: 6,
            ..Tally::default()
        };
        insta::assert_snapshot!(tell(Verbosity::Default, &[done("destroy", tally, 0, Some(vec![]))]), @"
        Destroyed 6 resources of shop in 1.3s. Nothing is left: no process, no file, no entry in .env.
        --- stdout
        ");
        let left = Some(vec!["pid 12".to_owned()]);
        insta::assert_snapshot!(tell(Verbosity::Default, &[done("destroy", tally, 1, left)]), @"
        Destroying shop failed: 6 deleted after 1.3s. What was done is recorded; the same command carries on.
        1 thing still there:
          pid 12
        --- stdout
        ");
    }
}
