//! What is in flight, drawn on a terminal: a line for each of the longest-running steps, and one bar
//! for the whole. The number of lines is bounded, however many steps run.

use std::time::{Duration, Instant};

use indexmap::IndexMap;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::text::cut;
#[cfg(test)]
use super::text::duration;
use super::{Look, clean};
use crate::id::ResourceId;

/// Lines for single steps.
const LINES_MAX: usize = 8;

/// The drawing.
pub(crate) struct Live {
    look: Look,
    bars: MultiProgress,
    whole: ProgressBar,
    running: IndexMap<ResourceId, Step>,
    drawn: usize,
}

struct Step {
    doing: &'static str,
    since: Instant,
    detail: String,
    bar: Option<ProgressBar>,
}

impl Live {
    /// Starts to draw on standard error.
    pub(crate) fn new(look: Look, steps: usize) -> Self {
        Self::on(ProgressDrawTarget::stderr_with_hz(12), look, steps)
    }

    fn on(target: ProgressDrawTarget, look: Look, steps: usize) -> Self {
        let bars = MultiProgress::with_draw_target(target);
        let whole = bars.add(ProgressBar::new(steps as u64));
        let template = "  {bar:28} {pos}/{len} steps, {elapsed}";
        whole.set_style(
            ProgressStyle::with_template(template)
                .unwrap_or_else(|_| ProgressStyle::default_bar())
                .progress_chars(if look.unicode { "━╸─" } else { "=> " }),
        );
        whole.enable_steady_tick(Duration::from_millis(200));
        Self {
            look,
            bars,
            whole,
            running: IndexMap::new(),
            drawn: 0,
        }
    }

    /// A step began.
    pub(crate) fn start(&mut self, resource: &ResourceId, doing: &'static str) {
        let step = Step {
            doing,
            since: Instant::now(),
            detail: String::new(),
            bar: None,
        };
        self.running.insert(resource.clone(), step);
        if self.drawn < LINES_MAX {
            self.draw(self.running.len() - 1);
        }
    }

    /// A step waits for something.
    pub(crate) fn detail(&mut self, resource: &ResourceId, detail: &str) {
        let width = self.look.width.saturating_sub(40).max(20);
        if let Some(step) = self.running.get_mut(resource) {
            step.detail = cut(&clean(detail), width).into_owned();
            if let Some(bar) = &step.bar {
                bar.set_message(step.detail.clone());
            }
        }
    }

    /// A step ended.
    pub(crate) fn end(&mut self, resource: &ResourceId) {
        self.whole.inc(1);
        let Some(step) = self.running.shift_remove(resource) else {
            return;
        };
        if let Some(bar) = step.bar {
            bar.finish_and_clear();
            self.bars.remove(&bar);
            self.drawn -= 1;
            if let Some(next) = self.running.values().position(|step| step.bar.is_none()) {
                self.draw(next);
            }
        }
    }

    /// A step that will not run counts as over.
    pub(crate) fn skip(&self) {
        self.whole.inc(1);
    }

    fn draw(&mut self, index: usize) {
        let Some((resource, step)) = self.running.get_index_mut(index) else {
            return;
        };
        let bar = self.bars.insert_before(&self.whole, ProgressBar::new_spinner());
        bar.set_style(
            ProgressStyle::with_template("  {spinner} {prefix} {elapsed} {msg}")
                .unwrap_or_else(|_| ProgressStyle::default_spinner())
                .tick_strings(if self.look.unicode {
                    &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "✓"]
                } else {
                    &["-", "\\", "|", "/", "*"]
                }),
        );
        let name = resource.to_string();
        bar.set_prefix(format!(
            "{}: {},",
            self.look.paint.bold(cut(&clean(&name), 40)),
            step.doing
        ));
        bar.set_message(step.detail.clone());
        bar.set_elapsed(step.since.elapsed());
        bar.enable_steady_tick(Duration::from_millis(100));
        step.bar = Some(bar);
        self.drawn += 1;
    }

    /// Writes a line above the drawing.
    pub(crate) fn line(&self, line: &str) {
        let _ = self.bars.println(line);
    }

    /// Takes the drawing away.
    pub(crate) fn clear(&mut self) {
        for step in self.running.values_mut() {
            if let Some(bar) = step.bar.take() {
                bar.finish_and_clear();
            }
        }
        self.running.clear();
        self.whole.finish_and_clear();
        let _ = self.bars.clear();
    }

    /// Returns how long the longest step has run, in words.
    #[cfg(test)]
    fn oldest(&self) -> Option<String> {
        self.running.values().next().map(|step| duration(step.since.elapsed()))
    }
}

/// A spinner for the time before there are steps.
pub(crate) fn spinner(look: Look, text: String) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    bar.set_draw_target(ProgressDrawTarget::stderr_with_hz(12));
    bar.set_style(
        ProgressStyle::with_template("{spinner} {msg} {elapsed}")
            .unwrap_or_else(|_| ProgressStyle::default_spinner())
            .tick_strings(if look.unicode {
                &["⠋", "⠙", "⠹", "⠸", "⠼", "⠴", "⠦", "⠧", "⠇", "⠏", "✓"]
            } else {
                &["-", "\\", "|", "/", "*"]
            }),
    );
    bar.set_message(text);
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drawing_stays_small_and_empties() {
        let mut live = Live::on(ProgressDrawTarget::hidden(), Look::PLAIN, 100);
        let ids: Vec<ResourceId> = (0..100).map(|i| ResourceId::keyed("a", i.to_string())).collect();
        for id in &ids {
            live.start(id, "creating");
            live.detail(id, "waits");
        }
        assert_eq!(live.drawn, LINES_MAX);
        assert!(live.oldest().is_some());
        for id in &ids {
            live.end(id);
        }
        assert_eq!((live.drawn, live.running.len()), (0, 0));
        live.clear();
    }
}
