//! JSON that is compared as it is written. What has no value in Rust has its place too: half of a surrogate pair, a number
//! beyond every range.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::fmt;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::pointer_item;

/// A text in UTF-8, where half of a surrogate pair has the three bytes that UTF-8 would give it. The order of the bytes is
/// that of the characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct JsonText<'v>(pub(super) Cow<'v, [u8]>);

/// What a value is made of, one level deep.
#[derive(Debug)]
pub(super) enum Level<'v> {
    /// Of two members with one name the last one counts.
    Members(BTreeMap<JsonText<'v>, &'v RawValue>),
    Items(Vec<&'v RawValue>),
    Leaf,
}

impl<'v> Level<'v> {
    pub(super) fn of(json: &'v RawValue) -> Self {
        match json.get().as_bytes().first() {
            Some(b'{' | b'[') => serde_json::from_str(json.get()).unwrap_or(Self::Leaf),
            _ => Self::Leaf,
        }
    }

    /// The member or item with this name.
    pub(super) fn get(&self, name: &str) -> Option<&'v RawValue> {
        match self {
            Self::Members(members) => members.get(&JsonText(Cow::Borrowed(name.as_bytes()))).copied(),
            Self::Items(items) => items.get(pointer_item(name)?).copied(),
            Self::Leaf => None,
        }
    }

    /// Every member or item.
    pub(super) fn all(&self) -> Vec<&'v RawValue> {
        match self {
            Self::Members(members) => members.values().copied().collect(),
            Self::Items(items) => items.clone(),
            Self::Leaf => Vec::new(),
        }
    }
}

/// The text of a JSON string.
pub(super) fn text(json: &RawValue) -> Option<JsonText<'_>> {
    json.get().starts_with('"').then(|| serde_json::from_str(json.get()).ok()).flatten()
}

/// Whether it is nested no deeper than this.
pub(super) fn is_within(json: &RawValue, depth: usize) -> bool {
    match Level::of(json) {
        Level::Leaf => true,
        level => depth > 0 && level.all().into_iter().all(|inner| is_within(inner, depth - 1)),
    }
}

/// Whether two values are equal, with numbers by what they are worth. It goes no deeper than the second one.
pub(super) fn is_same(a: &RawValue, b: &RawValue) -> bool {
    match (Level::of(a), Level::of(b)) {
        (Level::Members(a), Level::Members(b)) => {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && is_same(a.1, b.1))
        }
        (Level::Items(a), Level::Items(b)) => {
            a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| is_same(a, b))
        }
        (Level::Leaf, Level::Leaf) => match order(a, b) {
            Some(order) => order == Ordering::Equal,
            None => matches!(a.get(), "true" | "false" | "null") && a.get() == b.get(),
        },
        _ => false,
    }
}

/// How two texts or two numbers compare.
pub(super) fn order(a: &RawValue, b: &RawValue) -> Option<Ordering> {
    match (text(a), text(b)) {
        (Some(a), Some(b)) => Some(a.cmp(&b)),
        (None, None) => Some(Decimal::of(a.get())?.order(&Decimal::of(b.get())?)),
        _ => None,
    }
}

/// A number: 0.digits times a power of ten.
struct Decimal {
    is_negative: bool,
    /// Neither the first nor the last is zero; there are none if the number is.
    digits: Vec<u8>,
    exponent: i64,
}

impl Decimal {
    /// `None` for what is no number, and for one whose exponent is out of range.
    fn of(text: &str) -> Option<Self> {
        let (is_negative, text) = text.strip_prefix('-').map_or((false, text), |rest| (true, rest));
        if !text.starts_with(|c: char| c.is_ascii_digit()) {
            return None;
        }
        let (mantissa, exponent) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let mut digits = [whole, fraction].concat().into_bytes();
        let zeros = digits.iter().take_while(|digit| **digit == b'0').count();
        digits.drain(..zeros);
        while digits.last() == Some(&b'0') {
            digits.pop();
        }
        if digits.is_empty() {
            return Some(Self { is_negative: false, digits, exponent: 0 });
        }
        let point = i64::try_from(whole.len()).ok()?.checked_sub(i64::try_from(zeros).ok()?)?;
        let exponent = exponent.parse::<i64>().ok()?.checked_add(point)?;
        Some(Self { is_negative, digits, exponent })
    }

    fn order(&self, other: &Self) -> Ordering {
        let sign = |n: &Self| match (n.digits.is_empty(), n.is_negative) {
            (true, _) => 0,
            (false, true) => -1,
            (false, false) => 1,
        };
        let size = |n: &Self| (n.exponent, n.digits.clone());
        sign(self).cmp(&sign(other)).then_with(|| match self.is_negative {
            true => size(other).cmp(&size(self)),
            false => size(self).cmp(&size(other)),
        })
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = JsonText<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_borrowed_bytes<E>(self, v: &'de [u8]) -> Result<JsonText<'de>, E> {
        Ok(JsonText(Cow::Borrowed(v)))
    }

    fn visit_bytes<E>(self, v: &[u8]) -> Result<JsonText<'de>, E> {
        Ok(JsonText(Cow::Owned(v.to_owned())))
    }
}

impl<'de> Deserialize<'de> for JsonText<'de> {
    /// As bytes: as a text, half of a surrogate pair would be an error.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_bytes(TextVisitor)
    }
}

struct LevelVisitor;

impl<'de> Visitor<'de> for LevelVisitor {
    type Value = Level<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or a list")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Level<'de>, A::Error> {
        let mut members = BTreeMap::new();
        while let Some((name, value)) = map.next_entry()? {
            members.insert(name, value);
        }
        Ok(Level::Members(members))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Level<'de>, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Level::Items(items))
    }
}

impl<'de> Deserialize<'de> for Level<'de> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LevelVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn raw(text: &str) -> Box<RawValue> {
        RawValue::from_string(text.to_owned()).unwrap()
    }

    fn compared(a: &str, b: &str) -> Option<Ordering> {
        order(&raw(a), &raw(b))
    }

    #[test]
    fn numbers_are_compared_by_what_they_are_worth() {
        for same in [
            ["1", "1.0"],
            ["-0", "0e5"],
            ["100", "1e2"],
            ["0.001", "1E-3"],
            ["1e400", "10e399"],
            ["0e99999999999999999999", "0"],
            ["123456789012345678901234567890", "1.2345678901234567890123456789e+29"],
        ] {
            assert_eq!(compared(same[0], same[1]), Some(Ordering::Equal), "{same:?}");
        }
        let rising = [
            "-1e400",
            "-100",
            "-99.5",
            "-1",
            "-0.1",
            "0",
            "1e-400",
            "0.1",
            "0.11",
            "1",
            "2",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e399",
            "1e400",
        ];
        for (n, a) in rising.iter().enumerate() {
            for (m, b) in rising.iter().enumerate() {
                assert_eq!(compared(a, b), Some(n.cmp(&m)), "{a} {b}");
            }
        }
        assert_eq!(compared("1e99999999999999999999", "1"), None);
        assert_eq!(compared("1", "\"1\""), None);
    }

    #[test]
    fn half_a_surrogate_pair_is_a_character_of_its_own() {
        assert!(is_same(&raw(r#""\ud800x""#), &raw(r#""\uD800\u0078""#)));
        assert!(!is_same(&raw(r#""\ud800""#), &raw(r#""\ufffd""#)));
        assert!(is_same(&raw(r#""\ud83e\udd80""#), &raw("\"🦀\"")));
        assert_eq!(compared(r#""\ud800""#, r#""a""#), Some(Ordering::Greater));
        let object = raw(r#"{"\udc00":1,"a":2,"a":3}"#);
        let level = Level::of(&object);
        assert_eq!((level.get("a").unwrap().get(), level.all().len()), ("3", 2));
    }

    proptest! {
            #[test]
            fn whole_and_floating_point_numbers_compare_as_in_rust(a in -1_000i64..1_000, b in -1_000i64..1_000, x in any::<f64>(), y in any::<f64>()) {
                prop_assert_eq!(compared(&a.to_string(), &b.to_string()), Some(a.cmp(&b)));
                if x.is_finite() && y.is_finite() {
                    let text = |n: f64| serde_json::Value::from(n).to_string();
                    prop_assert_eq!(compared(&text(x), &text(y)), x.partial_cmp(&y));
    prop_assert_eq!(compared(&text(x), &format!("{x:e}")), Some(Ordering::Equal));
                }
            }
        }
}
