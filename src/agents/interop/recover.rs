//! Finds complete records in a part of a file that is damaged: two on one line, one written into another, what is
//! left of a file that was cut off. What lies between them is reported and kept, but not read.

use std::ops::Range;

use super::collector::Collector;
use super::scan::{self, BREAKS_OFF, Fault, is_space};

/// Finds the records in the rest of a value that broke here.
pub(super) fn rest(records: &mut Collector<'_>, range: Range<usize>, mut run: usize, fault: &Fault) {
    let (mut reported, mut found) = (false, false);
    let mut end = range.start;
    let mut at = if records.salvages() { range.start } else { range.end };
    let mut searched = range.end;
    loop {
        let mut c = records.content.cursor(at..range.end);
        if c.skip_while(|b| b != b'{').is_none() {
            break;
        }
        let start = c.at;
        let whole = scan::value(&mut c);
        if !records.spend(c.at - start) {
            searched = start;
            break;
        }
        at = start + 1;
        if whole.is_ok() && records.is_salvaged(&(start..c.at)) {
            let (is_reported, begins_another) = between(records, end..start, run, (reported, fault));
            reported |= is_reported;
            if begins_another {
                run = records.new_run(None);
            }
            records.record(start..c.at, run);
            (at, end, found) = (c.at, c.at, true);
        }
    }
    reported |= between(records, end..searched, run, (reported, fault)).0;
    if searched < range.end {
        records.lost(searched..range.end, run, "is too damaged to be searched for records".to_owned());
    } else if !reported && !found && !range.is_empty() {
        records.lost(range, run, fault.what.to_owned());
    } else if !reported && fault.what == BREAKS_OFF {
        records.lost(range.end..range.end, run, BREAKS_OFF.to_owned());
    } else if !reported {
        records.note(fault.at, fault.what);
    }
}

/// Reports what lies between two records, unless it only separates them. Returns whether something was reported, and
/// whether one array of records ends here and another begins.
fn between(
    records: &mut Collector<'_>,
    range: Range<usize>,
    run: usize,
    (reported, fault): (bool, &Fault),
) -> (bool, bool) {
    let is_separator = |b: u8| is_space(b) || matches!(b, b',' | b'[' | b']' | b'}');
    let mut c = records.content.cursor(range.clone());
    let ends_array = c.skip_while(is_space) == Some(b']');
    let start = c.at;
    let mut c = records.content.cursor(range.clone());
    let is_empty = c.skip_while(is_separator).is_none();
    let mut c = records.content.cursor(range.clone());
    let begins_another = run > 0 && ends_array && c.skip_while(|b| b != b'[').is_some();
    // After the damage, what follows the end of an array is the rest of the objects around it.
    if is_empty || (reported && ends_array) {
        return (false, begins_another);
    }
    let mut c = records.content.cursor(start..range.end);
    let mut end = start;
    while c.skip_while(is_space).is_some() {
        let _ = c.skip_while(|b| !is_space(b));
        end = c.at;
    }
    let mut c = records.content.cursor(start..end);
    let what = match c.skip_while(|b| b == 0) {
        None => format!("is damaged: {} NUL bytes", end - start),
        Some(_) if reported => "is no whole record".to_owned(),
        Some(_) if fault.at > start => format!("{} at byte {} of the file", fault.what, fault.at + 1),
        Some(_) => fault.what.to_owned(),
    };
    records.lost(start..end, run, what);
    (true, begins_another)
}
