use super::convert::{Convert, Factor};
use super::pointer::Pointer;
use super::tree::{Tree, quoted};

/// One operation of an upcaster on a payload. Missing fields are skipped, unless it says otherwise.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Op {
    Rename {
        at: Pointer,
        to: String,
    },
    Default {
        at: Pointer,
        value: String,
    },
    Remove {
        at: Pointer,
    },
    Move {
        from: Pointer,
        to: Pointer,
    },
    Convert {
        at: Pointer,
        how: Convert,
    },
    Wrap {
        at: Pointer,
        in_: Wrapping,
    },
    /// Keeps the type that an event had.
    Mark {
        at: Pointer,
        kind: String,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// `{"name": value}`
    Object(String),
    /// `[value]`
    List,
}

impl Op {
    pub(super) fn apply<'a>(&'a self, tree: &mut Tree<'a>) -> Result<(), String> {
        match self {
            Self::Rename { at, to } => tree.rename(at, to),
            Self::Default { at, value } => match tree.get(at)? {
                Some(_) => Ok(()),
                None => tree.put(at, Tree::Raw(value)),
            },
            Self::Remove { at } => tree.take(at).map(drop),
            Self::Move { from, to } => match tree.take(from)? {
                Some(value) => tree.put(to, value),
                None => Ok(()),
            },
            Self::Convert { at, how } => {
                let Some(value) = tree.get(at)? else { return Ok(()) };
                match how.apply(value) {
                    Ok(Some(made)) => *value = made,
                    Ok(None) => {}
                    Err(why) => return Err(format!("{at} {why}")),
                }
                Ok(())
            }
            Self::Wrap { at, in_ } => {
                let Some(place) = tree.get(at)? else { return Ok(()) };
                let value = std::mem::replace(place, Tree::Raw("null"));
                *place = match in_ {
                    Wrapping::Object(name) => Tree::Object(vec![(name.as_str().into(), value)]),
                    Wrapping::List => Tree::Array(vec![value]),
                };
                Ok(())
            }
            Self::Mark { at, kind } => tree.put(at, Tree::Made(quoted(kind))),
        }
    }

    /// A canonical text, from which fingerprints are computed. A change here makes projections rebuild.
    pub(super) fn canonical(&self, out: &mut String) {
        let texts: Vec<String> = match self {
            Self::Rename { at, to } => vec!["rename".into(), at.to_string(), to.clone()],
            Self::Default { at, value } => vec!["default".into(), at.to_string(), value.clone()],
            Self::Remove { at } => vec!["remove".into(), at.to_string()],
            Self::Move { from, to } => vec!["move".into(), from.to_string(), to.to_string()],
            Self::Convert { at, how } => {
                let mut texts = vec!["convert".into(), at.to_string()];
                for (from, to) in how.values.iter().flatten() {
                    texts.extend(["value".into(), from.clone(), to.clone()]);
                }
                texts.extend(how.otherwise.iter().flat_map(|to| ["otherwise".to_owned(), to.clone()]));
                match how.factor {
                    Some(Factor::Multiply(n)) => texts.extend(["multiply".into(), n.text()]),
                    Some(Factor::Divide(n)) => texts.extend(["divide".into(), n.text()]),
                    None => {}
                }
                texts.extend(how.to.map(|sort| sort.name().to_owned()));
                texts.extend(how.round.then(|| "round".to_owned()));
                texts
            }
            Self::Wrap { at, in_: Wrapping::Object(name) } => {
                vec!["wrap".into(), at.to_string(), name.clone()]
            }
            Self::Wrap { at, in_: Wrapping::List } => vec!["list".into(), at.to_string()],
            Self::Mark { at, kind } => vec!["mark".into(), at.to_string(), kind.clone()],
        };
        out.push_str(&serde_json::Value::from(texts).to_string());
    }
}
