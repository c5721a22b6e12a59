//! A tolerant reader of protobuf's text forms, as etcd prints requests.
//!
//! Old proto text nests with `<…>`, prototext with `{…}`; 3.7 mixes both in one line, and prototext puts one or two
//! spaces between fields at random. So the text is read as tokens, and spacing means nothing.

use super::escape::split_quoted;

/// The value of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Value<'t> {
    /// A message begins: its fields come next, then [`Item::End`].
    Message,
    /// Quoted text, still escaped.
    Text(&'t str),
    /// A number, an enum's name or a truth value.
    Word(&'t str),
}

/// What comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Item<'t> {
    /// A field; its name is empty where the text has a value without one.
    Field(&'t str, Value<'t>),
    /// The message that was begun ends here.
    End,
    /// Nothing more.
    Done,
}

/// Reads fields one after the other.
#[derive(Clone, Debug)]
pub(crate) struct Tokens<'t> {
    rest: &'t str,
}

impl<'t> Tokens<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Self { rest: text }
    }

    /// The next field, or an end.
    pub(crate) fn next(&mut self) -> Item<'t> {
        self.skip_spacing();
        match self.rest.as_bytes().first() {
            None => Item::Done,
            Some(b'>' | b'}') => {
                self.rest = &self.rest[1..];
                Item::End
            }
            Some(b'<' | b'{' | b'"') => Item::Field("", self.value()),
            Some(_) => {
                let name = self.word();
                self.skip_spacing();
                match self.rest.as_bytes().first() {
                    None | Some(b'>' | b'}') => Item::Field("", Value::Word(name)),
                    Some(_) => Item::Field(name, self.value()),
                }
            }
        }
    }

    /// The next field of the message that was begun; `None` at its end. A text that breaks off ends every message.
    pub(crate) fn field(&mut self) -> Option<(&'t str, Value<'t>)> {
        match self.next() {
            Item::Field(name, value) => Some((name, value)),
            Item::End | Item::Done => None,
        }
    }

    /// Leaves out the message that was begun, with all that it nests.
    pub(crate) fn skip_message(&mut self) {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.next() {
                Item::Field(_, Value::Message) => depth += 1,
                Item::Field(..) => {}
                Item::End => depth -= 1,
                Item::Done => return,
            }
        }
    }

    fn value(&mut self) -> Value<'t> {
        if let Some((inside, rest)) = split_quoted(self.rest) {
            self.rest = rest;
            return Value::Text(inside);
        }
        if self.rest.starts_with(['<', '{']) {
            self.rest = &self.rest[1..];
            return Value::Message;
        }
        Value::Word(self.word())
    }

    fn word(&mut self) -> &'t str {
        let end = self.rest.find(is_delimiter).unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn skip_spacing(&mut self) {
        self.rest = self.rest.trim_start_matches(|c: char| is_spacing(c));
    }
}

fn is_spacing(c: char) -> bool {
    c.is_ascii_whitespace() || matches!(c, ':' | ',' | ';')
}

fn is_delimiter(c: char) -> bool {
    is_spacing(c) || matches!(c, '<' | '>' | '{' | '}' | '"')
}
