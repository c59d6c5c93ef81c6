//! The parameters of a request for events.

use retold::event::Catalogue;
use retold::limits::MAX_METADATA_ENTRIES;
use retold::{Error, Timestamp};

use super::form::Form;
use super::pick::{Pick, PickText};
use crate::input::invalid;
use crate::limits::{MAX_PAGE, PAGE};
use crate::problem::Problem;

/// What is asked for.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) pick: Pick,
    text: PickText,
    pub(super) from: Option<From>,
    pub(super) to: Option<u64>,
    limit: Option<usize>,
    pub(super) reverse: bool,
    pub(super) raw: bool,
    pub(super) cursor: Option<String>,
    pub(super) form: Form,
    /// `follow=sse`: for programs that can't set the Accept header.
    pub(super) is_followed: bool,
    /// All that a page's cursor holds good for.
    pub(super) question: String,
}

/// Where to begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum From {
    Start,
    End,
    Number(u64),
}

impl From {
    /// `start`, `end` or a number.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        match text {
            "start" => Ok(Self::Start),
            "end" => Ok(Self::End),
            _ => number("from", text).map(Self::Number),
        }
    }
}

impl Asked {
    /// Reads the parameters. Unknown ones are refused, and those that come twice though they are no lists.
    pub(super) fn parse(pairs: Vec<(String, String)>, catalogue: &Catalogue) -> Result<Self, Problem> {
        let mut text = PickText::default();
        let (mut from, mut to, mut limit, mut cursor) = (None, None, None, None);
        let (mut reverse, mut raw, mut form, mut follow) = (None, None, None, None);
        let mut question: Vec<String> = Vec::new();
        for (name, value) in pairs {
            if !matches!(name.as_str(), "cursor" | "limit" | "style" | "follow") {
                question.push(format!("{name}={value}"));
            }
            match name.as_str() {
                "type" => text.kinds.push(value),
                "except" => text.except.push(value),
                "where" => text.tests.push(value),
                "meta" => {
                    let (key, value) = value
                        .split_once('=')
                        .filter(|(key, _)| !key.is_empty())
                        .ok_or_else(|| invalid("meta", "is not KEY=VALUE"))?;
                    let before = text.meta.insert(key.to_owned(), value.to_owned());
                    if before.is_some_and(|before| before != value) || text.meta.len() > MAX_METADATA_ENTRIES
                    {
                        return Err(invalid("meta", "asks for more than an event can have"));
                    }
                }
                "source" => once(&mut text.source, "source", value)?,
                "actor" => once(&mut text.actor, "actor", value)?,
                "correlation" => once(&mut text.correlation, "correlation", value)?,
                "since" => once(&mut text.since, "since", value)?,
                "until" => once(&mut text.until, "until", value)?,
                "priority" => {
                    let priority =
                        value.parse().map_err(|_| invalid("priority", "is not a number from 0 to 255"))?;
                    once(&mut text.priority, "priority", priority)?;
                }
                "from" => once(&mut from, "from", From::parse(&value)?)?,
                "to" => once(&mut to, "to", number("to", &value)?)?,
                "limit" => once(&mut limit, "limit", number("limit", &value)?)?,
                "cursor" => once(&mut cursor, "cursor", value)?,
                "reverse" => once(&mut reverse, "reverse", flag("reverse", &value)?)?,
                "raw" => once(&mut raw, "raw", flag("raw", &value)?)?,
                "style" => once(&mut form, "style", Form::parse(&value)?)?,
                "follow" if value == "sse" => once(&mut follow, "follow", ())?,
                "follow" => return Err(invalid("follow", "is not `sse`")),
                _ => return Err(invalid("query", format!("has an unknown parameter {name:?}"))),
            }
        }
        question.sort_unstable();
        Ok(Self {
            pick: text.pick(catalogue, Timestamp::now())?,
            text,
            from,
            to,
            limit: limit.map(|limit| usize::try_from(limit).unwrap_or(usize::MAX)),
            reverse: reverse.unwrap_or_default(),
            raw: raw.unwrap_or_default(),
            cursor,
            form: form.unwrap_or_default(),
            is_followed: follow.is_some(),
            question: question.join("\n"),
        })
    }

    /// The same, with spans that are before this time.
    pub(super) fn as_of(&self, began: Timestamp, catalogue: &Catalogue) -> Result<Self, Error> {
        Ok(Self { pick: self.text.pick(catalogue, began)?, ..self.clone() })
    }

    /// The filters as they were written.
    pub(super) fn text(&self) -> &PickText {
        &self.text
    }

    /// How many events a page has.
    pub(super) fn page_limit(&self) -> Result<usize, Problem> {
        match self.limit {
            None => Ok(PAGE),
            Some(limit @ 1..=MAX_PAGE) => Ok(limit),
            Some(_) => Err(invalid("limit", format!("is not a number from 1 to {MAX_PAGE}"))),
        }
    }

    /// How many lines are streamed at most.
    pub(super) fn line_limit(&self) -> Result<usize, Problem> {
        match self.limit {
            Some(0) => Err(invalid("limit", "is 0; ask for at least one event")),
            limit => Ok(limit.unwrap_or(usize::MAX)),
        }
    }

    /// Nothing is asked that only pages have.
    pub(super) fn is_for_a_stream(&self) -> Result<(), Problem> {
        let given = [("to", self.to.is_some()), ("limit", self.limit.is_some()), ("reverse", self.reverse)];
        match given.into_iter().find(|(_, is_given)| *is_given) {
            Some((name, _)) => Err(invalid(name, "is not for live streams; leave it out, or read a page")),
            None => Ok(()),
        }
    }
}

fn once<T>(to: &mut Option<T>, name: &'static str, value: T) -> Result<(), Problem> {
    match to.replace(value) {
        None => Ok(()),
        Some(_) => Err(invalid(name, "is given more than once")),
    }
}

fn number(name: &'static str, text: &str) -> Result<u64, Problem> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let parsed = digits.then(|| text.parse().ok()).flatten();
    parsed.ok_or_else(|| invalid(name, format!("`{}` is not a whole number", text.escape_debug())))
}

fn flag(name: &'static str, text: &str) -> Result<bool, Problem> {
    match text {
        "" | "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(name, "is neither `true` nor `false`")),
    }
}
