//! A page of text for a terminal: width, indentation, colour. Knows nothing of reports.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use auditgap_records::report::Severity;

use super::escape::visible;

/// How a text report is set.
#[derive(Clone, Copy, Debug)]
pub struct TextStyle {
    /// Columns; lines are wrapped to it.
    pub width: usize,
    /// Colours may be used.
    pub colour: bool,
}

impl TextStyle {
    /// Without colours and wide enough for most lines: for files and pipes.
    pub const PLAIN: Self = Self { width: 100, colour: false };
    /// Narrower is not readable, wider is not either.
    const WIDTHS: std::ops::RangeInclusive<usize> = 50..=140;

    /// For a terminal of so many columns.
    pub fn terminal(columns: usize, colour: bool) -> Self {
        Self { width: columns.clamp(*Self::WIDTHS.start(), *Self::WIDTHS.end()), colour }
    }
}

/// What a piece of text is, which decides its colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    /// Body text.
    Plain,
    /// A title.
    Strong,
    /// Secondary text.
    Faint,
    /// All is well.
    Good,
    /// By severity.
    Severity(Severity),
}

impl Tone {
    fn style(self) -> Style {
        match self {
            Self::Plain => Style::new(),
            Self::Strong => Style::new().bold(),
            Self::Faint => Style::new().dimmed(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Severity(severity) => match severity {
                Severity::Critical => AnsiColor::BrightRed.on_default().bold(),
                Severity::High => AnsiColor::Red.on_default(),
                Severity::Medium => AnsiColor::Yellow.on_default(),
                Severity::Low => AnsiColor::Cyan.on_default(),
                Severity::Info => Style::new().dimmed(),
            },
        }
    }
}

/// Writes lines. Every piece of text goes through [`visible`], so nothing that is written can act on the terminal.
pub(crate) struct Page<'w> {
    out: &'w mut dyn Write,
    style: TextStyle,
}

impl<'w> Page<'w> {
    /// An empty page.
    pub(crate) fn new(out: &'w mut dyn Write, style: TextStyle) -> Self {
        Self { out, style }
    }

    /// An empty line.
    pub(crate) fn gap(&mut self) -> io::Result<()> {
        writeln!(self.out)
    }

    /// The title of a section, underlined.
    pub(crate) fn heading(&mut self, text: &str) -> io::Result<()> {
        self.gap()?;
        self.line(0, &[(Tone::Strong, text)])?;
        let rule = "─".repeat(text.chars().count().min(self.style.width));
        self.line(0, &[(Tone::Faint, &rule)])
    }

    /// Pieces in one line, cut at the page's width.
    pub(crate) fn line(&mut self, indent: usize, pieces: &[(Tone, &str)]) -> io::Result<()> {
        write!(self.out, "{:indent$}", "")?;
        let mut left = self.style.width.saturating_sub(indent);
        for (tone, text) in pieces {
            let text = visible(text);
            let kept = cut(&text, left);
            self.piece(*tone, &kept)?;
            left = left.saturating_sub(columns(&kept));
        }
        writeln!(self.out)
    }

    /// A title behind a coloured word and a faint one, wrapped and indented below itself.
    pub(crate) fn title(
        &mut self,
        indent: usize,
        chip: (Tone, &str),
        faint: &str,
        text: &str,
    ) -> io::Result<()> {
        let lead = columns(chip.1) + columns(faint);
        let width = self.style.width.saturating_sub(indent + lead).max(24);
        for (index, line) in wrap(&visible(text), width).iter().enumerate() {
            write!(self.out, "{:indent$}", "")?;
            if index == 0 {
                self.piece(chip.0, chip.1)?;
                self.piece(Tone::Faint, faint)?;
            } else {
                write!(self.out, "{:lead$}", "")?;
            }
            self.piece(Tone::Strong, line)?;
            writeln!(self.out)?;
        }
        Ok(())
    }

    /// A paragraph, wrapped. `first` stands before it on its first line; the others are indented below it.
    pub(crate) fn paragraph(&mut self, indent: usize, first: &str, tone: Tone, text: &str) -> io::Result<()> {
        let lead = columns(first);
        let width = self.style.width.saturating_sub(indent + lead).max(24);
        for (index, line) in wrap(&visible(text), width).iter().enumerate() {
            write!(self.out, "{:indent$}", "")?;
            if index == 0 {
                self.piece(Tone::Faint, first)?;
            } else {
                write!(self.out, "{:lead$}", "")?;
            }
            self.piece(tone, line)?;
            writeln!(self.out)?;
        }
        Ok(())
    }

    /// A table whose columns are as wide as their widest cell; the last is cut at the page's width.
    pub(crate) fn table(&mut self, indent: usize, header: &[&str], rows: &[Vec<String>]) -> io::Result<()> {
        let widths: Vec<usize> = header
            .iter()
            .enumerate()
            .map(|(column, title)| {
                let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| columns(&visible(cell)));
                cells.chain([columns(title)]).max().unwrap_or(0).min(44)
            })
            .collect();
        let header: Vec<String> = header.iter().map(|title| (*title).to_owned()).collect();
        self.row(indent, &widths, &header, Tone::Faint)?;
        rows.iter().try_for_each(|row| self.row(indent, &widths, row, Tone::Plain))
    }

    fn row(&mut self, indent: usize, widths: &[usize], cells: &[String], tone: Tone) -> io::Result<()> {
        let mut line = String::new();
        for (cell, width) in cells.iter().zip(widths) {
            let cell = visible(cell);
            let kept = cut(&cell, *width);
            let padding = width.saturating_sub(columns(&kept));
            // Numbers are read from their last digit.
            let (before, after) = if is_number(&kept) { (padding, 0) } else { (0, padding) };
            line.extend(std::iter::repeat_n(' ', before));
            line.push_str(&kept);
            line.extend(std::iter::repeat_n(' ', after + 2));
        }
        self.line(indent, &[(tone, line.trim_end())])
    }

    fn piece(&mut self, tone: Tone, text: &str) -> io::Result<()> {
        if self.style.colour && tone != Tone::Plain && !text.is_empty() {
            let style = tone.style();
            write!(self.out, "{style}{text}{style:#}")
        } else {
            self.out.write_all(text.as_bytes())
        }
    }
}

/// Breaks between words, and within one only if it is longer than a line: times and ids stay whole.
fn wrap(text: &str, width: usize) -> Vec<std::borrow::Cow<'_, str>> {
    textwrap::wrap(text, textwrap::Options::new(width).word_splitter(textwrap::WordSplitter::NoHyphenation))
}

fn is_number(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|character| character.is_ascii_digit() || character == ',')
}

fn columns(text: &str) -> usize {
    textwrap::core::display_width(text)
}

/// The beginning of a text that fits, with an ellipsis where something was left out.
fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut kept = String::new();
    let mut used = 0;
    for character in text.chars() {
        let step = columns(character.encode_utf8(&mut [0; 4]));
        if used + step + 1 > width {
            break;
        }
        used += step;
        kept.push(character);
    }
    if width > 0 {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(style: TextStyle, write: impl FnOnce(&mut Page<'_>) -> io::Result<()>) -> String {
        let mut bytes = Vec::new();
        write(&mut Page::new(&mut bytes, style)).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn hostile_text_cannot_act_on_the_terminal() {
        let style = TextStyle { width: 80, colour: true };
        let text = page(style, |page| {
            page.line(0, &[(Tone::Plain, "a\u{1b}[2Jb")])?;
            page.paragraph(2, "why ", Tone::Plain, "c\u{1b}]0;title\u{7}\u{202e}d")?;
            page.table(0, &["one"], &[vec!["e\u{1b}[31mf\nnew row".to_owned()]])
        });
        // The only escapes are those of the page's own colours.
        let own = text.matches('\u{1b}').count();
        assert_eq!(own, text.matches("\u{1b}[2m").count() + text.matches("\u{1b}[0m").count());
        assert!(text.contains("a\\u{1b}[2Jb") && text.contains("\\u{202e}d") && text.contains("f\\nnew row"));
    }

    #[test]
    fn lines_keep_to_the_width() {
        let style = TextStyle { width: 50, colour: false };
        let long = "word ".repeat(60);
        let text = page(style, |page| {
            page.line(4, &[(Tone::Strong, &long), (Tone::Plain, &long)])?;
            page.paragraph(4, "why  ", Tone::Plain, &long)?;
            page.table(2, &["a", "b", "c"], &[vec![long.clone(), "1,000".to_owned(), long.clone()]])
        });
        for line in text.lines() {
            assert!(columns(line) <= 50, "{line}");
        }
        assert!(text.contains('…'));
    }
}
