//! Making hostile text harmless without hiding what it says.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Replaces what could act instead of being read: control characters (terminal escapes, NUL), bidirectional
/// overrides, invisible and non-characters. Each is shown by its escape, `\u{202e}`, so that a reader sees that it
/// was there. Line breaks become `\n`; whoever wants lines splits before.
pub fn visible(text: &str) -> Cow<'_, str> {
    let Some(first) = text.find(acts) else { return Cow::Borrowed(text) };
    let mut shown = String::with_capacity(text.len() + 16);
    shown.push_str(&text[..first]);
    for character in text[first..].chars() {
        match character {
            '\n' => shown.push_str("\\n"),
            '\r' => shown.push_str("\\r"),
            '\t' => shown.push_str("\\t"),
            character if acts(character) => {
                // Writing to a String cannot fail.
                let _ = write!(shown, "\\u{{{:x}}}", character as u32);
            }
            character => shown.push(character),
        }
    }
    Cow::Owned(shown)
}

fn acts(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
            // Variation selectors and non-characters: invisible, and of no use in a log.
            | '\u{fe00}'..='\u{fe0f}' | '\u{fffe}' | '\u{ffff}')
}

/// A cell that no spreadsheet takes for a formula: a leading `'` before what would begin one.
pub(super) fn csv_cell(text: &str) -> Cow<'_, str> {
    let cell = visible(text);
    // Spreadsheets skip leading spaces, and read full-width signs as signs.
    match cell.trim_start().chars().next() {
        Some('=' | '+' | '-' | '@' | '\u{ff1d}' | '\u{ff0b}' | '\u{ff0d}' | '\u{ff20}') => {
            Cow::Owned(format!("'{cell}"))
        }
        _ if text.starts_with(['\t', '\r', '\n']) => Cow::Owned(format!("'{cell}")),
        _ => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_is_shown_by_its_name() {
        for (hostile, shown) in [
            ("plain – ünïcode 漢字", "plain – ünïcode 漢字"),
            ("\u{1b}[2Jgone", "\\u{1b}[2Jgone"),
            ("a\u{202e}gnp.exe", "a\\u{202e}gnp.exe"),
            ("two\nlines\tand\0nul", "two\\nlines\\tand\\u{0}nul"),
            ("\u{9b}31m", "\\u{9b}31m"),
            ("zero\u{200b}width", "zero\\u{200b}width"),
        ] {
            assert_eq!(visible(hostile), shown);
        }
    }

    #[test]
    fn no_cell_begins_a_formula() {
        for (hostile, cell) in [
            ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
            ("+1", "'+1"),
            ("-1", "'-1"),
            ("@sum", "'@sum"),
            ("\t=1", "'\\t=1"),
            ("\r=1", "'\\r=1"),
            ("  =1", "'  =1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(csv_cell(hostile), cell);
        }
    }
}
