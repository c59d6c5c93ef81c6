//! Parsing `upcast.toml`. `docs/change.md` describes its content.

use toml::de::{DeTable, DeValue};

use super::convert::{Convert, Factor, Sort};
use super::near::suggestion;
use super::op::{Op, Wrapping};
use super::pointer::Pointer;
use super::table::{Source, Table};
use super::upcaster::{Shape, Target, Upcaster};
use crate::event::Invalid;
use crate::event::nearest;
use crate::limits::{MAX_UPCAST_FILE_BYTES, MAX_UPCAST_OPERATIONS, MAX_UPCASTERS};

const STEP: [&str; 7] = ["type", "version", "to", "to_version", "split", "mark", "do"];
const SPLIT: [&str; 3] = ["by", "cases", "otherwise"];
/// Every operation, by its name, with its other keys.
const OPERATIONS: [(&str, &[&str]); 6] = [
    ("rename", &["rename", "to"]),
    ("default", &["default", "value"]),
    ("remove", &["remove"]),
    ("move", &["move", "to"]),
    ("convert", &["convert", "values", "otherwise", "multiply", "divide", "to", "round"]),
    ("wrap", &["wrap", "key", "list"]),
];

/// The upcasters of one file, each a `[[step]]`.
pub(in crate::schema) fn steps(name: &str, text: &str) -> Result<Vec<Upcaster>, Invalid> {
    let source = Source { name, text };
    if text.len() > MAX_UPCAST_FILE_BYTES {
        let reason = format!("{name}: has {} bytes; the limit is {MAX_UPCAST_FILE_BYTES}", text.len());
        return Err(Invalid::new("upcast", reason));
    }
    let document = DeTable::parse(text).map_err(|e| {
        let start = e.span().map_or(0, |span| span.start);
        source.refused(start, format!("is not TOML: {}", e.message()))
    })?;
    let file = Table::new(source, 0, "a file of steps", document.get_ref(), &["step"])?;
    let found = file.list("step")?;
    if found.is_empty() {
        return Err(Invalid::new("upcast", format!("{name}: has no `[[step]]`")));
    }
    let mut steps = Vec::new();
    for value in found {
        let table = Table::of(source, value, "a step", &STEP)?;
        for kind in table.texts("type")? {
            if steps.len() >= MAX_UPCASTERS {
                return Err(table.refused(format!("has more than {MAX_UPCASTERS} steps")));
            }
            steps.push(step(&table, kind)?);
        }
    }
    Ok(steps)
}

fn step(table: &Table<'_>, kind: &str) -> Result<Upcaster, Invalid> {
    table.needed("version")?;
    let version = table.version("version")?.unwrap_or_default();
    let next = version
        .checked_add(1)
        .ok_or_else(|| table.refused(format!("there is no version after {version}")))?;
    let to_version = table.version("to_version")?;
    // Another type starts at version 1 by default; the same type continues with the next version.
    let shape = |to: &str| {
        let usual = if to == kind { next } else { 1 };
        Shape { kind: to.into(), version: to_version.unwrap_or(usual) }
    };
    let target = match (table.text("to")?, table.get("split")) {
        (Some(_), Some(_)) => return Err(table.refused("a step has `to` or `split`, not both")),
        (to, None) => Target::One(shape(to.unwrap_or(kind))),
        (None, Some(value)) => {
            let split = Table::of(table.source, value, "`split`", &SPLIT)?;
            let by = split.needed_pointer("by")?;
            let mut cases = Vec::new();
            for (value, to) in split.pairs("cases")?.unwrap_or_default() {
                let Some(to) = to.get_ref().as_str() else {
                    return Err(split.refused(format!("the case `{value}` names no type")));
                };
                cases.push((value.to_owned(), shape(to)));
            }
            if cases.is_empty() {
                return Err(split.refused("`split` needs `cases`: which value leads to which type"));
            }
            Target::Split { by, cases, otherwise: split.text("otherwise")?.map(shape) }
        }
    };
    let mut operations = Vec::new();
    if let Some(at) = table.pointer("mark")? {
        operations.push(Op::Mark { at, kind: kind.to_owned() });
    }
    for value in table.list("do")? {
        if operations.len() >= MAX_UPCAST_OPERATIONS {
            return Err(table.refused(format!("has more than {MAX_UPCAST_OPERATIONS} operations")));
        }
        let start = value.span().start;
        let DeValue::Table(entries) = value.get_ref() else {
            let reason = "an operation is a table, such as { rename = \"/old\", to = \"new\" }";
            return Err(table.source.refused(start, reason));
        };
        operations.push(operation(table.source, start, entries)?);
    }
    Ok(Upcaster::new(kind, version)
        .target(target)
        .operations(operations)
        .origin(&table.source.place(table.start)))
}

fn operation<'a>(source: Source<'a>, start: usize, entries: &'a DeTable<'a>) -> Result<Op, Invalid> {
    let named = |(name, _): &&(&str, &[&str])| entries.contains_key(*name);
    let Some((name, names)) = OPERATIONS.iter().find(named) else {
        let known: Vec<&str> = OPERATIONS.iter().map(|(name, _)| *name).collect();
        // The key closest to a known operation was probably meant to be the operation.
        let given = entries.keys().find(|k| !nearest(k.get_ref(), known.iter().copied(), 1).is_empty());
        let reason = match given.or_else(|| entries.keys().next()) {
            Some(key) => {
                format!("there is no operation `{}`; {}", key.get_ref(), suggestion(key.get_ref(), &known))
            }
            None => format!("an operation is one of {}", known.join(", ")),
        };
        return Err(source.refused(start, reason));
    };
    let table = Table::new(source, start, "this operation", entries, names)?;
    let at = table.needed_pointer(name)?;
    Ok(match *name {
        "rename" => {
            let to = table.needed_text("to")?;
            if at.beside(to).is_none() {
                return Err(table.refused("the whole payload has no name to change"));
            }
            Op::Rename { at, to: to.to_owned() }
        }
        "default" => Op::Default { at, value: table.json(table.needed("value")?)? },
        "remove" if at == Pointer::default() => {
            return Err(table.refused("the whole payload cannot be removed"));
        }
        "remove" => Op::Remove { at },
        "move" => {
            let to = table.needed_pointer("to")?;
            if at.holds(&to) {
                return Err(table.refused(format!("{at} cannot be moved into itself")));
            }
            Op::Move { from: at, to }
        }
        "convert" => Op::Convert { at, how: convert(&table)? },
        _ => Op::Wrap { at, in_: wrapping(&table)? },
    })
}

fn wrapping(table: &Table<'_>) -> Result<Wrapping, Invalid> {
    match (table.text("key")?, table.flag("list")?) {
        (Some(key), false) => Ok(Wrapping::Object(key.to_owned())),
        (None, true) => Ok(Wrapping::List),
        _ => Err(table.refused("`wrap` needs `key`, for an object, or `list = true`, and not both")),
    }
}

fn convert(table: &Table<'_>) -> Result<Convert, Invalid> {
    let factor = match (table.number("multiply")?, table.number("divide")?) {
        (Some(_), Some(_)) => return Err(table.refused("`convert` has `multiply` or `divide`, not both")),
        (Some(n), None) => Some(Factor::Multiply(n)),
        (None, Some(n)) if n.text().parse() == Ok(0.0) => {
            return Err(table.refused("nothing is divided by 0"));
        }
        (None, Some(n)) => Some(Factor::Divide(n)),
        (None, None) => None,
    };
    let to = match table.text("to")? {
        None => None,
        Some(name) => {
            let found = Sort::NAMES.iter().find(|(n, _)| *n == name).map(|(_, sort)| *sort);
            let known: Vec<&str> = Sort::NAMES.iter().map(|(n, _)| *n).collect();
            let reason = || format!("a value is not converted to `{name}`; {}", suggestion(name, &known));
            Some(found.ok_or_else(|| table.refused(reason()))?)
        }
    };
    let values = match table.pairs("values")? {
        None => None,
        Some(pairs) => {
            let json = |(old, new): (&str, _)| Ok((old.to_owned(), table.json(new)?));
            Some(pairs.into_iter().map(json).collect::<Result<Vec<_>, Invalid>>()?)
        }
    };
    let otherwise = table.get("otherwise").map(|value| table.json(value)).transpose()?;
    let round = table.flag("round")?;
    if otherwise.is_some() && values.is_none() {
        return Err(table.refused("`otherwise` belongs to `values`"));
    }
    if values.is_some() && (factor.is_some() || to.is_some()) {
        return Err(table.refused("`values` stands alone; add a second `convert` for a factor or a type"));
    }
    if values.is_none() && factor.is_none() && to.is_none() {
        return Err(table.refused("`convert` needs `values`, `multiply`, `divide` or `to`"));
    }
    if round && to != Some(Sort::Integer) {
        return Err(table.refused("`round` belongs to `to = \"integer\"`"));
    }
    Ok(Convert { values, otherwise, factor, to, round })
}
