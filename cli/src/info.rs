//! `retold info`

use super::app::App;
use super::failure::Outcome;
use super::outdated::outdated;
use super::style::{DIM, NAME, paint};
use super::table::{Table, cell, clean};
use super::view::{count, grouped};
use retold::config::Origin;
use retold::event::Timestamp;
use retold::lifecycle::DeadSpace;
use retold::wire::StoreFigures;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print every setting and its source instead
    #[arg(long)]
    config: bool,
}

pub(super) fn run(args: &Args, app: &mut App) -> Outcome {
    if args.config {
        return settings(app);
    }
    let store = app.reading()?;
    let (info, dead) = (store.maintenance().info()?, store.lifecycle().dead_space()?);
    let index = store.search().info()?;
    if !app.out.is_table() {
        return app.out.document(&StoreFigures::from(&info).dead_space(dead).search_index(index.as_ref()));
    }
    let mut rows = vec![
        ("store", info.path.clone()),
        ("id", info.id.to_string()),
        ("created", info.created.to_string()),
        ("format", info.format.to_string()),
        ("size", info.file_bytes.map(size).unwrap_or_default()),
        ("dead space", dead.as_ref().map_or_else(|| "unknown".to_owned(), dead_space)),
        ("payloads", size(info.payload_bytes)),
        ("sessions", grouped(info.sessions)),
        ("branches", grouped(info.branches)),
        ("events", format!("{} ({} in the journal)", grouped(info.events), grouped(info.in_journal))),
        ("chunks", grouped(info.chunks)),
        ("position", grouped(info.committed.get())),
    ];
    if let Some(index) = &index {
        let texts = count(index.texts, "text");
        let behind = match index.behind {
            0 => "up to date".to_owned(),
            behind => format!("{} behind", count(behind, "event")),
        };
        rows.push(("index", format!("{} for search: {texts}, {behind}", size(index.bytes))));
    }
    if let Some(owner) = &info.owner {
        let who = |program: &str, pid: u32, since: Timestamp| {
            format!("{} (pid {pid}) since {since}", clean(program))
        };
        rows.push(("owner", who(&owner.program, owner.pid, owner.since)));
        let clients = owner.clients.iter();
        rows.extend(clients.map(|client| ("client", who(&client.program, client.pid, client.since))));
    }
    rows.extend(outdated(&store, &app.catalogue()?)?.map(|old| ("outdated", old)));
    rows.into_iter()
        .try_for_each(|(name, value)| app.out.line(format!("{}  {value}", paint(DIM, format!("{name:>10}")))))
}

fn settings(app: &mut App) -> Outcome {
    let out = &mut app.out;
    out.begin_list()?;
    let mut table = out.is_table().then(|| Table::new(&["KEY", "VALUE", "FROM"], out.width()));
    for setting in app.settings.all() {
        let Some(table) = &mut table else {
            out.item(setting)?;
            continue;
        };
        let value = cell(setting);
        let is_default = setting.origin == Origin::Default;
        let value = if is_default { value.style(DIM) } else { value };
        let lines = table.row(vec![cell(setting.key).style(NAME), value, cell(&setting.origin).style(DIM)]);
        out.lines(lines)?;
    }
    match table {
        Some(mut table) => out.lines(table.lines()),
        None => Ok(()),
    }
}

/// What the store could do without, and how it is given back.
fn dead_space(dead: &DeadSpace) -> String {
    let least = if dead.is_partial { "at least " } else { "about " };
    let total = format!("{least}{} ({} %)", size(dead.bytes()), dead.percent());
    if dead.unpurged == 0 {
        return total;
    }
    format!("{total}: {} free, {} to be purged", size(dead.free), size(dead.unpurged))
}

/// Bytes, human-readable.
fn size(bytes: u64) -> String {
    let mut value = bytes as f64;
    for unit in ["B", "KiB", "MiB", "GiB"] {
        if value < 1_024.0 {
            return if unit == "B" { format!("{bytes} B") } else { format!("{value:.1} {unit}") };
        }
        value /= 1_024.0;
    }
    format!("{value:.1} TiB")
}
