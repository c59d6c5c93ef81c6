//! Events for people: one row each.

use super::failure::Outcome;
use super::output::Out;
use super::style::{DIM, of_kind};
use super::table::{Cell, Table, cell};
use super::template::Template;
use retold::agents::readable::Readable;
use retold::event::{Address, Catalogue, Event, Timestamp};

/// Which columns identify events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum View {
    /// One branch without ancestors: the sequence is enough.
    Branch,
    /// A branch that inherits: also the branch that recorded the event.
    Fork,
    /// Several branches, in global order.
    All,
}

impl View {
    fn table(self, time: &str, width: Option<usize>) -> Table {
        let names: &[&str] = match self {
            Self::Branch => &["#SEQ", time, "TYPE", "SUMMARY"],
            Self::Fork => &["#SEQ", "BRANCH", time, "TYPE", "SUMMARY"],
            Self::All => &["#POSITION", "EVENT", time, "TYPE", "SUMMARY"],
        };
        Table::new(names, width).spare(&["TIME", "RECORDED"])
    }
}

/// Prints events in the requested format.
pub(super) struct Events<'a> {
    out: &'a mut Out,
    table: Option<Table>,
    template: Option<Template>,
    view: View,
    recorded: bool,
    catalogue: Catalogue,
}

impl<'a> Events<'a> {
    pub(super) fn new(
        out: &'a mut Out,
        view: View,
        catalogue: Catalogue,
    ) -> Result<Self, super::failure::Failure> {
        let table = out.is_table().then(|| view.table("TIME", out.width()));
        out.begin_list()?;
        Ok(Self { out, table, template: None, view, recorded: false, catalogue })
    }

    /// Shows when events were recorded, if that is asked for, instead of when they happened.
    pub(super) fn recorded(mut self, recorded: bool) -> Self {
        self.recorded = recorded;
        if recorded && self.table.is_some() {
            self.table = Some(self.view.table("RECORDED", self.out.width()));
        }
        self
    }

    /// Prints each event with a template instead, if there is one.
    pub(super) fn with(mut self, template: Option<Template>) -> Self {
        if template.is_some() {
            self.table = None;
        }
        self.template = template;
        self
    }

    pub(super) fn event(&mut self, event: &Event) -> Outcome {
        if let Some(template) = &self.template {
            return self.out.filled(&template.fill(event, &self.catalogue));
        }
        let Some(table) = &mut self.table else {
            return self.out.event(event);
        };
        let mut cells = match self.view {
            View::Branch => vec![cell(event.sequence())],
            View::Fork => vec![cell(event.sequence()), cell(event.branch())],
            View::All => vec![cell(event.position()), cell(event.address())],
        };
        let kind = cell(event.kind()).style(of_kind(event.kind()));
        let time = if self.recorded { event.recorded() } else { event.occurred() };
        cells.extend([cell(short(time)).style(DIM), kind, summary(event, &self.catalogue)]);
        let lines = table.row(cells);
        self.out.lines(lines)
    }

    /// Shows the rows that were held back to measure the columns.
    pub(super) fn flush(&mut self) -> Outcome {
        if let Some(table) = &mut self.table {
            let lines = table.lines();
            self.out.lines(lines)?;
        }
        self.out.flush()
    }

    pub(super) fn out(&mut self) -> &mut Out {
        self.out
    }
}

/// A time to the second.
pub(super) fn short(time: Timestamp) -> String {
    let text = time.to_string();
    match text.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => text,
    }
}

/// What an event says, on one line.
pub(super) fn summary(event: &Event, catalogue: &Catalogue) -> Cell {
    cell(Readable::of(event, catalogue).summary)
}

/// A count with its noun.
pub(super) fn count(n: u64, noun: &str) -> String {
    let plural = match noun.strip_suffix("ch") {
        _ if n == 1 => noun.to_owned(),
        Some(_) => format!("{noun}es"),
        None => format!("{noun}s"),
    };
    format!("{} {plural}", grouped(n))
}

/// A number with grouped thousands.
pub(super) fn grouped(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Whether reading this address involves ancestors.
pub(super) fn of_branch(
    store: &retold::store::Store,
    address: &Address,
) -> Result<View, retold::error::Error> {
    let lines = store.ancestry(Address::from(address.place().clone()))?;
    Ok(if lines.len() > 1 { View::Fork } else { View::Branch })
}
