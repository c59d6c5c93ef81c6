use super::tree::{Tree, quoted};

/// Converts a value: by a map of values, then a factor, then a type. `null` stays `null`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Convert {
    /// From old values to the JSON text of the new ones.
    pub(super) values: Option<Vec<(String, String)>>,
    /// The JSON text of the new value for all other old ones.
    pub(super) otherwise: Option<String>,
    pub(super) factor: Option<Factor>,
    pub(super) to: Option<Sort>,
    /// Halves are rounded away from zero.
    pub(super) round: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Factor {
    Multiply(Number),
    Divide(Number),
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Number {
    Whole(i64),
    Real(f64),
}

impl Number {
    fn real(self) -> f64 {
        match self {
            Self::Whole(n) => n as f64,
            Self::Real(x) => x,
        }
    }

    pub(super) fn text(self) -> String {
        match self {
            Self::Whole(n) => n.to_string(),
            Self::Real(x) => format!("{x:?}"),
        }
    }
}

/// A JSON type that a value can be converted to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    Number,
    Integer,
    String,
    Boolean,
}

impl Sort {
    pub(super) const NAMES: [(&'static str, Self); 4] = [
        ("number", Self::Number),
        ("integer", Self::Integer),
        ("string", Self::String),
        ("boolean", Self::Boolean),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, sort)| *sort == self).map_or("", |(name, _)| name)
    }
}

impl Convert {
    /// The new value; `None` leaves it as it is.
    pub(super) fn apply<'a>(&'a self, old: &Tree<'_>) -> Result<Option<Tree<'a>>, String> {
        let Some(text) = old.scalar() else {
            return Err(format!("is {}; only single values are converted", old.sort()));
        };
        if let Some(values) = &self.values {
            let plain = plain(text)?;
            return match values.iter().find(|(from, _)| *from == plain) {
                Some((_, to)) => Ok(Some(Tree::Raw(to))),
                None => match &self.otherwise {
                    Some(to) => Ok(Some(Tree::Raw(to))),
                    None if text == "null" => Ok(None),
                    None => Err(format!("is {}, which has no new value", short(text))),
                },
            };
        }
        if text == "null" {
            return Ok(None);
        }
        let made = match (self.factor, self.to) {
            (None, None) => return Ok(None),
            (None, Some(Sort::String)) => as_string(text)?,
            (None, Some(Sort::Boolean)) => as_boolean(text)?,
            (None, Some(Sort::Number)) => numeral(text)?,
            (None, Some(Sort::Integer)) => self.whole(&numeral(text)?)?,
            (Some(factor), to) => {
                let scaled = scaled(&numeral(text)?, factor)?;
                match to {
                    Some(Sort::Integer) => self.whole(&scaled)?,
                    Some(Sort::String) => quoted(&scaled),
                    Some(Sort::Boolean) => as_boolean(&scaled)?,
                    Some(Sort::Number) | None => scaled,
                }
            }
        };
        Ok(Some(Tree::Made(made)))
    }

    fn whole(&self, numeral: &str) -> Result<String, String> {
        if numeral.bytes().all(|b| b.is_ascii_digit() || b == b'-') {
            return Ok(numeral.to_owned());
        }
        let x = real(numeral)?;
        let whole = if self.round { x.round() } else { x };
        // Beyond this, not every whole number is representable.
        if whole.fract() != 0.0 || whole.abs() >= 9_007_199_254_740_992.0 {
            return Err(format!("is {numeral}, which is not an exact whole number"));
        }
        Ok(format!("{whole:.0}").replace("-0", "0"))
    }
}

/// The content of a text, or the JSON text of another value.
pub(super) fn plain(text: &str) -> Result<String, String> {
    if !text.starts_with('"') {
        return Ok(text.to_owned());
    }
    serde_json::from_str(text).map_err(|e| format!("cannot be read as a text: {e}"))
}

/// The JSON text of a number, with every digit as written.
fn numeral(text: &str) -> Result<String, String> {
    let plain = plain(text)?;
    let trimmed = plain.trim();
    let is_number = trimmed.starts_with(|c: char| c.is_ascii_digit() || c == '-')
        && serde_json::from_str::<&serde_json::value::RawValue>(trimmed).is_ok();
    if is_number { Ok(trimmed.to_owned()) } else { Err(format!("is {}, not a number", short(text))) }
}

fn as_string(text: &str) -> Result<String, String> {
    Ok(if text.starts_with('"') { text.to_owned() } else { quoted(text) })
}

fn as_boolean(text: &str) -> Result<String, String> {
    match plain(text)?.as_str() {
        "true" | "1" => Ok("true".into()),
        "false" | "0" => Ok("false".into()),
        _ => Err(format!("is {}, neither true nor false", short(text))),
    }
}

fn real(numeral: &str) -> Result<f64, String> {
    match numeral.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok(x),
        _ => Err(format!("is {}, too large a number", short(numeral))),
    }
}

/// Exact for whole numbers.
fn scaled(numeral: &str, factor: Factor) -> Result<String, String> {
    let exact = numeral.parse::<i128>().ok().and_then(|n| match factor {
        Factor::Multiply(Number::Whole(f)) => n.checked_mul(i128::from(f)),
        Factor::Divide(Number::Whole(f)) if f != 0 && n % i128::from(f) == 0 => n.checked_div(i128::from(f)),
        _ => None,
    });
    if let Some(n) = exact {
        return Ok(n.to_string());
    }
    let x = real(numeral)?;
    let scaled = match factor {
        Factor::Multiply(f) => x * f.real(),
        Factor::Divide(f) => x / f.real(),
    };
    let number = serde_json::Number::from_f64(scaled);
    number.map(|n| n.to_string()).ok_or_else(|| format!("is {}, too large for its factor", short(numeral)))
}

fn short(text: &str) -> String {
    if text.chars().count() <= 40 {
        return text.to_owned();
    }
    text.chars().take(40).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(convert: &Convert, old: &str) -> Result<String, String> {
        convert.apply(&Tree::Raw(old)).map(|made| {
            let mut out = String::new();
            made.as_ref().unwrap_or(&Tree::Raw(old)).write(&mut out);
            out
        })
    }

    #[test]
    fn units_are_exact_while_they_are_whole() {
        let seconds = Convert { factor: Some(Factor::Divide(Number::Whole(1_000))), ..Convert::default() };
        for (ms, s) in [
            ("1500", "1.5"),
            ("2000", "2"),
            ("-3000", "-3"),
            ("0.5", "0.0005"),
            ("null", "null"),
            ("\"250\"", "0.25"),
        ] {
            assert_eq!(told(&seconds, ms).unwrap(), s);
        }
        let nanos =
            Convert { factor: Some(Factor::Multiply(Number::Whole(1_000_000))), ..Convert::default() };
        assert_eq!(told(&nanos, "9007199254740993").unwrap(), "9007199254740993000000");
        assert!(told(&seconds, "true").is_err());
        assert!(told(&seconds, "{}").is_err());
        assert!(told(&nanos, "1e308").unwrap_err().contains("too large"));
    }

    #[test]
    fn types_change_without_losing_a_digit() {
        let to = |sort| Convert { to: Some(sort), ..Convert::default() };
        assert_eq!(told(&to(Sort::Number), "\"1.10\"").unwrap(), "1.10");
        assert_eq!(
            told(&to(Sort::String), "123456789012345678901234567890").unwrap(),
            "\"123456789012345678901234567890\""
        );
        assert_eq!(told(&to(Sort::Boolean), "\"true\"").unwrap(), "true");
        assert_eq!(told(&to(Sort::Integer), "\"7\"").unwrap(), "7");
        assert_eq!(told(&to(Sort::Integer), "3.0").unwrap(), "3");
        assert_eq!(told(&to(Sort::Integer), "-0.0").unwrap(), "0");
        assert!(told(&to(Sort::Integer), "3.5").is_err());
        let rounded = Convert { round: true, ..to(Sort::Integer) };
        assert_eq!(told(&rounded, "3.5").unwrap(), "4");
        assert!(told(&to(Sort::Number), "\"1x\"").is_err());
        assert!(told(&to(Sort::Number), "\"{}\"").is_err());
    }

    #[test]
    fn values_are_replaced_by_their_list() {
        let convert = Convert {
            values: Some(vec![("ok".into(), "\"completed\"".into()), ("0".into(), "false".into())]),
            ..Convert::default()
        };
        assert_eq!(told(&convert, "\"ok\"").unwrap(), "\"completed\"");
        assert_eq!(told(&convert, "0").unwrap(), "false");
        assert!(told(&convert, "\"other\"").unwrap_err().contains("no new value"));
        let open = Convert { otherwise: Some("null".into()), ..convert };
        assert_eq!(told(&open, "\"other\"").unwrap(), "null");
    }
}
