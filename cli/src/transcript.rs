//! What was said, for people: texts wrapped, each call of a tool on one line with what came of it.

use std::collections::{HashSet, VecDeque};

use textwrap::{Options, wrap};
use unicode_width::UnicodeWidthStr;

use super::failure::{Failure, Outcome};
use super::output::Out;
use super::span::amount;
use super::style::{BAD, DIM, HEADER, NAME, NOTICE, PLAIN, paint};
use super::table::{clean, shorten};
use super::view::{count, short};
use anstyle::Style;
use retold::agents::readable::{EventUsage, Part, Readable};
use retold::event::payload::message::MessageDelta;
use retold::event::roles::{Role, Speaker};
use retold::event::{Event, Payload, Sequence, Timestamp};

/// Columns of a text: longer lines are hard to read, however wide the terminal is.
const WIDEST: usize = 120;
/// … and those of a file or a pipe.
const PLAIN_WIDTH: usize = 100;
const NARROWEST: usize = 20;
const INDENT: &str = "  ";
/// Calls that wait for their results.
const WAITING: usize = 64;
/// Calls and results that are remembered.
const SEEN: usize = 4_096;
/// Bytes of pieces that are put together.
const PIECES: usize = 1 << 20;

/// How much is shown.
#[derive(Clone, Copy, Debug)]
pub(super) struct Detail {
    /// Arguments, results and thoughts in full.
    pub(super) full: bool,
    /// Events that nobody says.
    pub(super) events: bool,
    /// Nobody was chosen: changes of state and errors come along.
    pub(super) everybody: bool,
}

/// Prints a transcript, event by event.
pub(super) struct Transcript<'a> {
    out: &'a mut Out,
    detail: Detail,
    width: usize,
    /// Who spoke last.
    last: Option<Speaker>,
    /// Calls of which the result has not come yet, or that wait for an earlier one.
    calls: VecDeque<Call>,
    /// Calls that were shown, and of which the result was: some programs write a message again when it has grown.
    seen: HashSet<(String, bool)>,
    /// What came in pieces, and from where on.
    pieces: Option<(Part, Sequence, Timestamp)>,
    /// What was said last.
    said: String,
    has_said: bool,
}

struct Call {
    part: Part,
    at: Sequence,
    result: Option<CallResult>,
}

/// What came of a call, on one line.
struct CallResult {
    line: String,
    is_error: bool,
}

impl<'a> Transcript<'a> {
    pub(super) fn new(out: &'a mut Out, detail: Detail) -> Self {
        let width = out.width().map_or(PLAIN_WIDTH, |width| width.min(WIDEST)).max(NARROWEST);
        Self {
            out,
            detail,
            width,
            last: None,
            calls: VecDeque::new(),
            seen: HashSet::new(),
            pieces: None,
            said: String::new(),
            has_said: false,
        }
    }

    pub(super) fn event(&mut self, event: &Event, readable: Readable, role: Option<&Role>) -> Outcome {
        if event.kind() == MessageDelta::NAME {
            return self.piece(event, &readable);
        }
        // The whole message follows its pieces.
        if readable.speaker == Some(Speaker::Assistant) {
            self.pieces = None;
        }
        self.flush_pieces()?;
        if readable.parts.is_empty() {
            let is_told = self.detail.everybody
                && readable.speaker.is_none()
                && role.is_some_and(|role| !role.error.is_empty() || changes_the_session(role, &readable));
            if self.detail.events || is_told {
                self.flush()?;
                self.other(event, &readable.summary, role)?;
            }
            return Ok(());
        }
        self.has_said = true;
        let mut usage = Some(&readable.usage).filter(|usage| !usage.is_empty());
        for part in &readable.parts {
            match part.speaker {
                Speaker::ToolCall | Speaker::ToolResult if self.was_seen(part) => {}
                Speaker::ToolCall => {
                    self.calls.push_back(Call { part: part.clone(), at: event.sequence(), result: None });
                    if self.detail.full || self.calls.len() > WAITING {
                        self.flush()?;
                    }
                }
                Speaker::ToolResult => self.result(part, event.sequence())?,
                _ => {
                    self.flush()?;
                    self.said(part, event, usage.take())?;
                }
            }
        }
        Ok(())
    }

    /// Prints what waits. Answers whether somebody said something.
    pub(super) fn finish(&mut self) -> Result<bool, Failure> {
        self.flush_pieces()?;
        self.flush()?;
        Ok(self.has_said)
    }

    /// Whether this call, or its result, was shown. Only as many as a program writes at once are kept.
    fn was_seen(&mut self, part: &Part) -> bool {
        let Some(call) = &part.call else { return false };
        if self.seen.len() > SEEN {
            self.seen.clear();
        }
        !self.seen.insert((call.clone(), part.speaker == Speaker::ToolCall))
    }

    /// A piece of a message: pieces are put together.
    fn piece(&mut self, event: &Event, readable: &Readable) -> Outcome {
        for part in &readable.parts {
            match &mut self.pieces {
                Some((pieces, ..)) if pieces.speaker == part.speaker && pieces.text.len() < PIECES => {
                    pieces.text.push_str(&part.text);
                }
                _ => {
                    self.flush_pieces()?;
                    self.pieces = Some((part.clone(), event.sequence(), event.occurred()));
                }
            }
        }
        Ok(())
    }

    fn flush_pieces(&mut self) -> Outcome {
        let Some((part, at, time)) = self.pieces.take() else { return Ok(()) };
        self.flush()?;
        self.has_said = true;
        self.message(&part, &part.speaker.to_string(), (at, time), None)
    }

    fn said(&mut self, part: &Part, event: &Event, usage: Option<&EventUsage>) -> Outcome {
        let name = match event.actor() {
            Some(actor) if part.speaker == Speaker::User && actor != part.speaker.as_str() => clean(actor),
            _ => part.speaker.to_string(),
        };
        self.message(part, &name, (event.sequence(), event.occurred()), usage)
    }

    fn message(
        &mut self,
        part: &Part,
        name: &str,
        (at, time): (Sequence, Timestamp),
        usage: Option<&EventUsage>,
    ) -> Outcome {
        let text = part.text.trim();
        let is_repeated = self.said == text && self.last == Some(part.speaker);
        if text.is_empty() || (is_repeated && part.speaker == Speaker::Assistant) {
            return Ok(());
        }
        self.said = text.to_owned();
        let is_aside = part.speaker == Speaker::System || part.is_injected();
        if !self.detail.full && (part.speaker == Speaker::Thinking || is_aside) {
            let sign = if part.speaker == Speaker::Thinking { "✻" } else { "·" };
            if is_aside && !matches!(self.last, None | Some(Speaker::System)) {
                self.out.line("")?;
            }
            if is_aside {
                self.last = Some(Speaker::System);
            }
            let line = first_line(text);
            let place = format!("@{at}");
            let room = self.room(INDENT.len() + place.len() + 2);
            let line = shorten(&format!("{sign} {line}"), room);
            return self.out.line(format!("{INDENT}{}  {}", paint(DIM, line), paint(DIM, place)));
        }
        if self.last != Some(part.speaker) || part.speaker == Speaker::User {
            self.heading(part.speaker, name, (at, time), usage)?;
        } else {
            self.out.line("")?;
        }
        let style = if part.speaker == Speaker::Thinking { DIM } else { PLAIN };
        self.text(&part.text, INDENT, style)
    }

    fn heading(
        &mut self,
        speaker: Speaker,
        name: &str,
        (at, time): (Sequence, Timestamp),
        usage: Option<&EventUsage>,
    ) -> Outcome {
        if self.last.is_some() {
            self.out.line("")?;
        }
        self.last = Some(speaker);
        let mut facts = vec![format!("@{at}"), short(time)];
        if let Some(usage) = usage {
            facts.extend(usage.model.as_deref().map(clean));
            facts.extend(tokens(usage));
            facts.extend(usage.cost_usd.map(|cost| format!("${cost:.4}")));
        }
        let facts = shorten(&facts.join("  "), self.room(name.width() + 2));
        self.out.line(format!("{}  {}", paint(of_speaker(speaker), name), paint(DIM, facts)))
    }

    /// A result goes to its call, if that is known.
    fn result(&mut self, part: &Part, at: Sequence) -> Outcome {
        if !self.detail.full {
            let is_answer = |call: &&mut Call| {
                call.result.is_none()
                    && match (&call.part.call, &part.call) {
                        (Some(one), Some(other)) => one == other,
                        _ => call.part.tool == part.tool || part.tool.is_none(),
                    }
            };
            if let Some(call) = self.calls.iter_mut().find(is_answer) {
                call.result = Some(CallResult { line: outcome(part), is_error: part.is_error });
                return self.flush_answered();
            }
        }
        self.flush()?;
        self.last = Some(Speaker::ToolResult);
        if self.detail.full {
            let name = part.tool.as_deref().map(clean).unwrap_or_default();
            let failed = if part.is_error { paint(BAD, " failed") } else { String::new() };
            self.out.line(format!(
                "{INDENT}⎿ {}{failed} {}",
                paint(NAME, name),
                paint(DIM, format!("@{at}"))
            ))?;
            return self.text(&part.text, "    ", DIM);
        }
        let line = outcome(part);
        let style = if part.is_error { BAD } else { DIM };
        let text = shorten(&format!("⎿ {line}"), self.room(INDENT.len()));
        self.out.line(format!("{INDENT}{}", paint(style, text)))
    }

    /// Prints the calls that have their results, as far as none before them waits.
    fn flush_answered(&mut self) -> Outcome {
        let answered = self.calls.iter().take_while(|call| call.result.is_some()).count();
        self.flush_first(answered)
    }

    fn flush(&mut self) -> Outcome {
        self.flush_first(self.calls.len())
    }

    fn flush_first(&mut self, count: usize) -> Outcome {
        let calls: Vec<Call> = self.calls.drain(..count).collect();
        calls.iter().try_for_each(|call| self.call(call))
    }

    fn call(&mut self, call: &Call) -> Outcome {
        if !matches!(self.last, Some(Speaker::ToolCall | Speaker::ToolResult)) && self.last.is_some() {
            self.out.line("")?;
        }
        self.last = Some(Speaker::ToolCall);
        let tool = clean(call.part.tool.as_deref().unwrap_or("tool"));
        let at = format!("@{}", call.at);
        let room = self.room(INDENT.len() + 2 + tool.width() + 1 + at.width() + 2);
        if self.detail.full {
            self.out.line(format!("{INDENT}● {}  {}", paint(NAME, tool), paint(DIM, at)))?;
            return self.text(&call.part.text, "    ", PLAIN);
        }
        let subject = call.part.subject.as_deref().map(clean).unwrap_or_default();
        let result = call.result.as_ref().map(|result| result.line.clone()).unwrap_or_default();
        // The call keeps what it needs of the line, up to two thirds if there is a result.
        let most = if result.is_empty() {
            room
        } else {
            (room * 2 / 3).max(room.saturating_sub(result.width() + 4))
        };
        let subject = shorten(&subject, most);
        let left = room.saturating_sub(subject.width() + 4);
        let mut line = format!("{INDENT}● {} {subject}", paint(NAME, tool));
        if !result.is_empty() && left > 3 {
            let failed = call.result.as_ref().is_some_and(|result| result.is_error);
            let result = format!("→ {}", shorten(&result, left));
            line.push_str(&format!("  {}", paint(if failed { BAD } else { DIM }, result)));
        }
        self.out.line(format!("{}  {}", line.trim_end(), paint(DIM, at)))
    }

    /// An event that nobody says.
    fn other(&mut self, event: &Event, summary: &str, role: Option<&Role>) -> Outcome {
        let failed = role.is_some_and(|role| !role.error.is_empty());
        let line = format!("· {} {}", event.kind(), clean(summary));
        let at = format!("@{}", event.sequence());
        let line = shorten(line.trim_end(), self.room(INDENT.len() + at.width() + 2));
        if !matches!(self.last, None | Some(Speaker::System | Speaker::ToolCall | Speaker::ToolResult)) {
            self.out.line("")?;
        }
        self.last = Some(Speaker::System);
        self.out.line(format!("{INDENT}{}  {}", paint(if failed { BAD } else { DIM }, line), paint(DIM, at)))
    }

    fn text(&mut self, text: &str, indent: &str, style: Style) -> Outcome {
        let text = text.replace("\r\n", "\n").replace('\t', "    ");
        for line in text.trim_end().trim_start_matches('\n').lines() {
            // What is wrapped goes on as deep as its line begins.
            let deep = line.len() - line.trim_start_matches(' ').len();
            let later = format!("{indent}{}", " ".repeat(deep.min(self.width / 2)));
            let options = Options::new(self.width).initial_indent(indent).subsequent_indent(&later);
            for line in wrap(line, options) {
                let line = line.trim_end();
                self.out.line(if style == PLAIN || line.is_empty() {
                    line.to_owned()
                } else {
                    paint(style, line)
                })?;
            }
        }
        Ok(())
    }

    fn room(&self, used: usize) -> usize {
        self.width.saturating_sub(used).max(10)
    }
}

/// Whether it says in which phase the session is.
fn changes_the_session(role: &Role, readable: &Readable) -> bool {
    readable.phase.is_some() && role.entity.as_ref().is_none_or(|entity| entity.whole)
}

/// The first line of what a tool returned, and how many more there are.
fn outcome(part: &Part) -> String {
    let line = first_line(&part.text);
    if part.is_error && line.is_empty() { "failed".to_owned() } else { line }
}

/// The first line of a text, and how many more there are.
fn first_line(text: &str) -> String {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let first = clean(lines.next().unwrap_or_default());
    match lines.count() {
        0 => first,
        more => format!("{first} (+{})", count(more as u64, "line")),
    }
}

fn tokens(usage: &EventUsage) -> Option<String> {
    let cached = usage.cache_read.filter(|n| *n > 0.0).map(|n| format!(" ({} cached)", amount(n)));
    let read = usage.input.map(|n| format!("{} in{}", amount(n), cached.unwrap_or_default()));
    let written = usage.output.map(|n| format!("{} out", amount(n)));
    let sum = usage.tokens.map(|n| format!("{} tokens", amount(n)));
    let said: Vec<String> = [read, written, sum].into_iter().flatten().collect();
    Some(said.join(" ")).filter(|said| !said.is_empty())
}

fn of_speaker(speaker: Speaker) -> Style {
    match speaker {
        Speaker::User => NAME.bold(),
        Speaker::Assistant => HEADER,
        Speaker::System => NOTICE,
        _ => DIM,
    }
}
