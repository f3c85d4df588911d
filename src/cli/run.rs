//! What a run needs from the command line: a runtime, someone who listens, signals, an approval.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use super::args::{Approval, title};
use super::{Context, Exit, Failure};
use crate::apply::Stop;
use crate::diagnostic::{Diagnostic, Diagnostics};
use crate::engine::{self, Planned, Report, Request};
use crate::event::Event;
use crate::ui::Printer;
use crate::ui::diff::{self, Detail};
use crate::ui::human::Human;

impl From<engine::Error> for Failure {
    fn from(error: engine::Error) -> Self {
        let code = match &error {
            engine::Error::Diagnostics(_) => "stack",
            engine::Error::State(error) => match error {
                crate::state::file::Error::Locked { .. } => "locked",
                crate::state::file::Error::Damaged { .. } => "state-damaged",
                crate::state::file::Error::Newer { .. } => "state-newer",
                crate::state::file::Error::Io { .. } => "state",
            },
            engine::Error::Provider { .. } => "provider",
            engine::Error::Fatal(_) => "broken-off",
            engine::Error::Dotenv(_) => "dotenv",
            engine::Error::Refused { .. } => "refused",
        };
        let exit = if error.is_bug() { Exit(Exit::BUG) } else { Exit::NO };
        let diagnostics = match error {
            engine::Error::Diagnostics(diagnostics) => diagnostics,
            error => Diagnostic::error(code, error.to_string())
                .maybe_help(error.help())
                .into(),
        };
        Self { diagnostics, exit }
    }
}

/// Starts the threads a run needs.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| {
            Diagnostic::error("system", format!("no threads can be started: {error}"))
                .help("look at the limits of processes and memory")
                .into()
        })
}

/// Listens to a run: for people, or for scripts.
pub(super) struct Ears<'a> {
    cx: &'a Context,
    human: Human,
}

impl<'a> Ears<'a> {
    pub(super) fn new(cx: &'a Context, request: &Request) -> Self {
        Self {
            cx,
            human: Human::new(&cx.printer, title(called(&request.stack), &request.env)),
        }
    }

    /// Tells about an event.
    pub(super) fn hear(&self, event: &Event) {
        if self.cx.printer.is_json() {
            self.cx.json.event(event);
        } else {
            self.human.hear(event);
        }
    }

    /// Takes away what is drawn, so that something else can be written.
    pub(super) fn pause(&self) {
        self.human.pause();
    }

    /// Shows a plan on standard error, where a run talks, and gets it approved.
    fn approve(&self, planned: &Planned, approval: Approval) -> bool {
        let cx = self.cx;
        self.pause();
        cx.warn(&Diagnostics(planned.notices.clone()));
        let (plan, printer) = (&planned.plan, &cx.printer);
        let idle = !planned.has_changes();
        if printer.is_json() {
            cx.json.with(|mut out| diff::write_json(&mut out, &plan.actions));
        } else if (printer.talks() || approval == Approval::Ask) && !(planned.destroy && idle) {
            let mut err = printer.err();
            let look = printer.err_look();
            // Standard error takes no more: whoever approves beforehand need not see it.
            let _ = diff::write_plan(&mut err, &plan.actions, &plan.counts, Detail::Fields, look);
            let _ = err.finish();
        }
        if planned.plan.is_empty() || approval == Approval::Given {
            return true;
        }
        let question = if planned.destroy {
            "Destroy all of this?"
        } else {
            "Apply these changes?"
        };
        printer.ask(question).unwrap_or(false)
    }
}

/// Returns what people call a stack that was named by its name, its folder or its file.
fn called(stack: &str) -> &str {
    let stack = stack.trim_end_matches('/');
    let folder = stack.strip_suffix("/stack.yaml").unwrap_or(stack);
    let last = folder.rsplit('/').next().unwrap_or_default();
    last.strip_suffix(".yaml")
        .or_else(|| last.strip_suffix(".yml"))
        .unwrap_or(last)
}

/// What the signals of this process mean for a run.
///
/// Before anything has begun, Ctrl-C ends the process. Then the first one stops the run: nothing new is
/// started, what is in flight is recorded. The second one ends the process at once; the journal holds
/// all that was begun.
struct Signals {
    stop: Stop,
    begun: Arc<AtomicBool>,
}

impl Signals {
    /// Must be called inside the runtime.
    fn watch(printer: Printer) -> Result<Self, Failure> {
        let problem = |error: std::io::Error| -> Failure {
            Diagnostic::error("system", format!("signals cannot be received: {error}")).into()
        };
        let mut interrupt = signal(SignalKind::interrupt()).map_err(problem)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(problem)?;
        let (sender, stop) = watch::channel(false);
        let begun = Arc::new(AtomicBool::new(false));
        let is_begun = Arc::clone(&begun);
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if !is_begun.load(Ordering::SeqCst) {
                    printer.say("\nStopped: nothing was changed.");
                    leave_at_once();
                }
                if *sender.borrow() {
                    printer.say("\nStopped at once: the same command carries on.");
                    leave_at_once();
                }
                let _ = sender.send(true);
            }
        });
        Ok(Self { stop, begun })
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "asked for twice: the journal holds all that was begun"
)]
fn leave_at_once() -> ! {
    std::process::exit(i32::from(Exit::INTERRUPTED.0))
}

/// Deploys or destroys, from the first question to the last line.
pub(super) fn change(
    cx: &Context,
    request: &Request,
    saved: Option<&engine::SavedPlan>,
    destroy: bool,
    approval: Approval,
) -> Result<Exit, Failure> {
    let ears = Ears::new(cx, request);
    let runtime = runtime()?;
    let report: Result<Report, Failure> = runtime.block_on(async {
        let signals = Signals::watch(cx.printer)?;
        let hear = |event: &Event| ears.hear(event);
        let mut asked = false;
        let mut approve = |planned: &Planned| {
            asked = true;
            let agreed = ears.approve(planned, approval);
            signals.begun.store(agreed, Ordering::SeqCst);
            agreed
        };
        let stop = signals.stop.clone();
        let ended = if destroy {
            engine::destroy(request, &hear, stop, &mut approve).await
        } else {
            engine::deploy(request, saved, &hear, stop, &mut approve).await
        };
        ears.pause();
        let mut report = ended?;
        if asked {
            // They were told with the plan.
            report.notices.clear();
        }
        Ok(report)
    });
    let report = report?;
    cx.warn(&Diagnostics(report.notices.clone()));
    if report.declined {
        cx.printer.say("Nothing was changed.");
        if cx.printer.is_json() {
            ears.hear(&report.event());
        }
    } else {
        ears.hear(&report.event());
    }
    // What the providers still have open is theirs to close.
    runtime.shutdown_background();
    Ok(Exit(report.exit_code()))
}

/// Plans without changing anything.
pub(super) fn plan(cx: &Context, request: &Request, destroy: bool) -> Result<Planned, Failure> {
    let ears = Ears::new(cx, request);
    let planned = runtime()?.block_on(engine::plan(request, destroy, &|event| ears.hear(event)));
    ears.pause();
    let planned = planned?;
    cx.warn(&Diagnostics(planned.notices.clone()));
    Ok(planned)
}

/// Plans without a word, for commands that show something else.
pub(super) fn plan_silently(cx: &Context, request: &Request) -> Result<Planned, Failure> {
    let planned = runtime()?.block_on(engine::plan(request, false, &|_| {}))?;
    cx.warn(&Diagnostics(planned.notices.clone()));
    Ok(planned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_is_called_by_its_last_word() {
        for stack in [
            "shop",
            "stacks/shop",
            "stacks/shop/",
            "stacks/shop/stack.yaml",
            "shop.yaml",
            "a/shop.yml",
        ] {
            assert_eq!(called(stack), "shop", "{stack}");
        }
    }
}
