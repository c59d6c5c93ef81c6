//! The one place that prints: data to stdout, in the requested format; messages to stderr.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this is the place")]

use std::io::{self, BufWriter, IsTerminal, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anstream::{AutoStream, ColorChoice, StripStream};
use serde::Serialize;

use super::escape::{is_hidden, visible, visible_file, visible_json, visible_lines};
use super::failure::{Failure, Outcome};
use super::interrupt;
use super::pager::Pager;
use super::style::{ERROR, HINT, paint, shown};
use retold::event::Event;
use retold::wire;

/// How data is printed: a table, one JSON document, one document per line, or events as CloudEvents 1.0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Format {
    Table,
    Json,
    Jsonl,
    Cloudevents,
}

/// When to use colours: on a terminal unless `NO_COLOR` is set, also in a pipe, or not at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum Color {
    Auto,
    Always,
    Never,
}

impl Color {
    /// Applies it to everything that prints, including the parser's help.
    pub(super) fn apply(self) {
        match self {
            Self::Auto => ColorChoice::Auto,
            Self::Always => ColorChoice::Always,
            Self::Never => ColorChoice::Never,
        }
        .write_global();
    }
}

pub(super) struct Out {
    pub(super) format: Format,
    pub(super) quiet: bool,
    data: BufWriter<Data>,
    words: AutoStream<io::Stderr>,
    /// What is said goes to the log.
    in_log: bool,
    width: Option<usize>,
    list: Option<List>,
    pager_failed: Arc<AtomicBool>,
}

/// The JSON list that is open.
struct List {
    items: usize,
    end: &'static [u8],
}

/// Lines for people lose their colors if colors are off; documents are printed as they are.
enum Data {
    Lines(AutoStream<io::Stdout>),
    Documents(io::Stdout),
    Paged(Pager),
    PagedPlain(StripStream<Box<dyn Write + Send>>),
}

impl Write for Data {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Lines(to) => to.write(bytes),
            Self::Documents(to) => to.write(bytes),
            Self::Paged(to) => to.write(bytes),
            Self::PagedPlain(to) => to.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Lines(to) => to.flush(),
            Self::Documents(to) => to.flush(),
            Self::Paged(to) => to.flush(),
            Self::PagedPlain(to) => to.flush(),
        }
    }
}

/// Writes a user's file: byte for byte to a pipe or a file, escaped on a terminal.
pub(super) struct FileWriter<'a> {
    terminal: bool,
    data: &'a mut BufWriter<Data>,
}

impl Write for FileWriter<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.terminal {
            true => self.data.write_all(visible_file(&String::from_utf8_lossy(bytes)).as_bytes())?,
            false => self.data.write_all(bytes)?,
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.data.flush()
    }
}

impl Out {
    pub(super) fn new(format: Option<Format>, quiet: bool) -> Self {
        let terminal = io::stdout().is_terminal();
        let format = format.unwrap_or(if terminal { Format::Table } else { Format::Jsonl });
        let data = match format {
            Format::Table => Data::Lines(AutoStream::auto(io::stdout())),
            _ => Data::Documents(io::stdout()),
        };
        Self {
            format,
            quiet,
            data: BufWriter::with_capacity(64 * 1_024, data),
            words: AutoStream::auto(io::stderr()),
            in_log: false,
            width: if terminal { terminal_width() } else { asked_width() },
            list: None,
            pager_failed: Arc::default(),
        }
    }

    /// For a verb that tells a story: lines for people, whatever the format.
    pub(super) fn for_people(&mut self) {
        self.format = Format::Table;
        self.data = BufWriter::new(Data::Lines(AutoStream::auto(io::stdout())));
    }

    /// Lines go through a pager from here on, if they go to a terminal.
    pub(super) fn page(&mut self) -> Outcome {
        if !self.is_table() || !self.is_terminal() {
            return Ok(());
        }
        self.flush()?;
        let has_colors = self.has_colors();
        if let Some(pager) = Pager::start(self.pager_failed.clone()) {
            // It is the pager's: it goes back to its prompt.
            interrupt::ignore();
            self.data = BufWriter::new(match has_colors {
                true => Data::Paged(pager),
                false => Data::PagedPlain(StripStream::new(Box::new(pager))),
            });
        }
        Ok(())
    }

    /// For lines that the user has given the form of.
    pub(super) fn for_templates(&mut self) {
        self.format = Format::Table;
        self.data = BufWriter::new(Data::Documents(io::stdout()));
    }

    /// A line of a template: as it is in a pipe or a file, escaped on a terminal.
    pub(super) fn filled(&mut self, text: &str) -> Outcome {
        let line = if self.is_terminal() { visible_file(text) } else { text.into() };
        writeln!(self.data, "{line}").map_err(printing)
    }

    pub(super) fn is_table(&self) -> bool {
        self.format == Format::Table
    }

    /// Columns of the terminal, if data goes to one; else those of `COLUMNS`, if that is set.
    pub(super) fn width(&self) -> Option<usize> {
        self.width
    }

    /// Whether colors are shown.
    pub(super) fn has_colors(&self) -> bool {
        AutoStream::choice(&io::stdout()) != ColorChoice::Never
    }

    /// Whether progress bars are wanted and visible.
    pub(super) fn may_draw(&self) -> bool {
        !self.quiet && io::stderr().is_terminal()
    }

    /// Whether data goes to a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// A line for people.
    pub(super) fn line(&mut self, text: impl std::fmt::Display) -> Outcome {
        writeln!(self.data, "{}", shown(&text.to_string())).map_err(printing)
    }

    pub(super) fn lines(&mut self, lines: Vec<String>) -> Outcome {
        lines.into_iter().try_for_each(|line| self.line(line))
    }

    /// Bytes as they are.
    fn bytes(&mut self, bytes: &[u8]) -> Outcome {
        self.data.write_all(bytes).map_err(printing)
    }

    /// A file: unchanged, unless it goes to a terminal.
    pub(super) fn file(&mut self, bytes: &[u8]) -> Outcome {
        self.writer().write_all(bytes).map_err(printing)
    }

    /// The destination of a file, written in whole lines.
    pub(super) fn writer(&mut self) -> FileWriter<'_> {
        FileWriter { terminal: self.is_terminal(), data: &mut self.data }
    }

    /// One document, in both JSON formats on one line.
    pub(super) fn document(&mut self, value: &impl Serialize) -> Outcome {
        self.bytes(&json(value)?)?;
        self.bytes(b"\n")
    }

    /// Starts a list: in `json` it is one document.
    pub(super) fn begin_list(&mut self) -> Outcome {
        if self.format == Format::Json {
            self.list = Some(List { items: 0, end: b"]\n" });
            self.bytes(b"[")?;
        }
        Ok(())
    }

    /// Starts an object with the members of `head` and, as its last member, a list.
    pub(super) fn begin_list_in(&mut self, head: &impl Serialize, member: &str) -> Outcome {
        let head = json(head)?;
        self.list = Some(List { items: 0, end: b"]}\n" });
        self.bytes(head.strip_suffix(b"}").unwrap_or(&head))?;
        self.bytes(format!(",\"{member}\":[").as_bytes())
    }

    pub(super) fn item(&mut self, value: &impl Serialize) -> Outcome {
        self.item_bytes(&json(value)?)
    }

    /// An event as an item.
    pub(super) fn event(&mut self, event: &Event) -> Outcome {
        let mut line = Vec::new();
        if self.format == Format::Cloudevents {
            wire::cloud_event(event, &mut line);
        } else {
            wire::event(event, &mut line);
        }
        self.item_bytes(&visible_json(&line))
    }

    fn item_bytes(&mut self, json: &[u8]) -> Outcome {
        if let Some(list) = &mut self.list {
            let before: &[u8] = if list.items == 0 { b"\n" } else { b",\n" };
            list.items += 1;
            self.bytes(before)?;
            return self.bytes(json);
        }
        self.bytes(json)?;
        self.bytes(b"\n")
    }

    /// Ends what is open and flushes it. A list that an error cut short is still one document.
    pub(super) fn finish(&mut self) -> Outcome {
        if let Some(list) = self.list.take() {
            if list.items > 0 {
                self.bytes(b"\n")?;
            }
            self.bytes(list.end)?;
        }
        self.flush()?;
        // What is said after it comes once the pager is gone.
        self.data = BufWriter::new(Data::Documents(io::stdout()));
        if self.pager_failed.swap(false, Ordering::Relaxed) {
            self.say("the pager of RETOLD_PAGER or PAGER cannot be run; --no-pager prints without one");
        }
        Ok(())
    }

    pub(super) fn flush(&mut self) -> Outcome {
        self.data.flush().map_err(printing)
    }

    /// From now on what is said goes to the log, which is JSON.
    pub(super) fn say_in_log(&mut self) {
        self.in_log = true;
    }

    /// Something that people may want to know, unless `-q` was given.
    pub(super) fn note(&mut self, text: impl std::fmt::Display) {
        if self.in_log {
            tracing::info!("{}", plain(&text));
        } else if !self.quiet {
            self.say(text);
        }
    }

    /// Something that people have to know.
    pub(super) fn say(&mut self, text: impl std::fmt::Display) {
        // There is nowhere to report that stderr is gone.
        let _ = self.data.flush();
        if self.in_log {
            tracing::warn!("{}", plain(&text));
        } else {
            let _ = writeln!(self.words, "{}", shown(&text.to_string()));
        }
    }

    /// The message and the hint.
    pub(super) fn failure(&mut self, failure: &Failure) {
        if failure.is_told() {
            return;
        }
        if self.in_log {
            tracing::error!(hint = failure.hint(), "{failure}");
            return;
        }
        self.say(format!("{} {}", paint(ERROR, "error:"), visible(&failure.to_string())));
        if let Some(hint) = failure.hint().filter(|_| !self.quiet) {
            self.say(format!("{} {}", paint(HINT, "hint:"), visible(&hint)));
        }
    }
}

/// Without colors.
fn plain(text: &impl std::fmt::Display) -> String {
    anstream::adapter::strip_str(&text.to_string()).to_string()
}

fn json(value: &impl Serialize) -> Result<Vec<u8>, Failure> {
    let json = serde_json::to_vec(value);
    let json = json.map_err(|e| Failure::Io { what: "stdout".into(), source: e.into() })?;
    Ok(visible_json(&json).into_owned())
}

fn printing(e: io::Error) -> Failure {
    match e.kind() {
        io::ErrorKind::BrokenPipe => Failure::ClosedPipe,
        _ => Failure::Io { what: "stdout".into(), source: e },
    }
}

fn terminal_width() -> Option<usize> {
    terminal_size::terminal_size().map(|(width, _)| usize::from(width.0)).filter(|width| *width > 0)
}

/// Whoever pipes a table to something that shows it can say how wide that is, as with other programs.
fn asked_width() -> Option<usize> {
    std::env::var("COLUMNS").ok()?.trim().parse().ok().filter(|width| *width > 0)
}

/// The parser's output: help to stdout, an error to stderr.
pub(super) fn of_parser(e: &clap::Error) {
    // It repeats the input, between its own colors.
    let is_hostile = std::env::args_os().any(|arg| arg.to_string_lossy().chars().any(is_hidden));
    if e.use_stderr() && is_hostile {
        let text = e.render().to_string();
        let _ = write!(AutoStream::auto(io::stderr()), "{}", visible_lines(&text));
    } else {
        let _ = e.print();
    }
}

/// A help that the parser does not write.
pub(super) fn help(text: &str, is_error: bool) {
    let text = shown(text);
    // There is nowhere to report that nobody reads it.
    let _ = match is_error {
        true => writeln!(AutoStream::auto(io::stderr()), "{text}"),
        false => writeln!(AutoStream::auto(io::stdout()), "{text}"),
    };
}

/// A message when there is no [`Out`]: the program has a bug.
pub(super) fn bug(text: &str, in_log: bool) {
    if in_log {
        tracing::error!("{text}");
        return;
    }
    let _ = writeln!(
        AutoStream::auto(io::stderr()),
        "{}",
        shown(&format!("{} {}", paint(ERROR, "error:"), visible(text)))
    );
}
