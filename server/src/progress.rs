//! A bar on the terminal while bytes are read. Drawn on standard error, so that the report can go anywhere.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::render::visible;

/// Shows how far reading has come. Cheap to share between threads; does nothing where nobody looks.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar for so many bytes, if standard error is a terminal and a bar is wanted.
    pub(crate) fn new(bytes: u64, wanted: bool) -> Self {
        let shown = wanted && std::io::stderr().is_terminal();
        let target =
            if shown { ProgressDrawTarget::stderr_with_hz(10) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(bytes), target);
        let template =
            "{bar:30.green/dim} {percent:>3} %  {bytes} of {total_bytes}  {bytes_per_sec}  {wide_msg:.dim}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("━━─"));
        }
        Self { bar }
    }

    /// So many more bytes of a feed were read.
    pub(crate) fn advance(&self, bytes: u64, feed: &str) {
        if !self.bar.is_hidden() {
            self.bar.inc(bytes);
            self.bar.set_message(visible(feed).into_owned());
        }
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
