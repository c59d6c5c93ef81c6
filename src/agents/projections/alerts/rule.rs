//! When an alert is raised: rules, as data.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::{AlertKind, Filter, Invalid, Pattern, Pointers, check_kind};
use crate::limits::{MAX_ALERT_COUNT, MAX_ALERT_RULES};

/// One rule: what triggers it, and what it raises. In TOML:
///
/// ```
/// use retold::agents::projections::alerts::Rule;
/// let rules = Rule::from_toml(r#"
/// [[rule]]
/// name = "cargo_fails"
/// types = ["tool.*"]
/// when = { failures = { count = 5, within = "1h" } }
/// by = "name"                     # of one tool, whichever call: cargo, grep, …
/// severity = "critical"
///
/// [[rule]]
/// name = "long_context"
/// types = ["coder.api_call"]
/// when = { above = { at = "/tokens", value = 100000 } }
/// quiet = "10m"
/// "#)?;
/// assert_eq!((rules.len(), rules[0].alert()), (2, "alert.repeated_failure"));
/// # Ok::<(), retold::event::Invalid>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Rule {
    /// Its name, unique among the rules of a projection. It identifies the rule's alerts.
    pub name: String,
    /// What triggers it.
    pub when: When,
    /// Only events of these types, as patterns that also match aliases; all by default.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// What is counted and silenced together.
    #[serde(default)]
    pub by: By,
    /// The type of the alert, `alert.…`; by default the one that fits `when`.
    #[serde(default, rename = "alert", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// `info`, `warning`, `critical`, or a word of yours; `warning` by default.
    #[serde(default = "warning")]
    pub severity: String,
    /// For how long no further alert is raised for the same thing: `"10m"`, `"1h 30m"`.
    #[serde(default, with = "span", skip_serializing_if = "Duration::is_zero")]
    pub quiet: Duration,
    /// Where the event has the amount.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub value: Pointers,
    /// Where the event has the limit.
    #[serde(default, skip_serializing_if = "Pointers::is_empty")]
    pub threshold: Pointers,
}

/// What triggers a rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum When {
    /// This many failures within this time: events that lead to the phase `failed` or count as an error. The count
    /// then starts over.
    Failures {
        /// How many.
        count: u32,
        /// Within how long a time.
        #[serde(with = "span")]
        within: Duration,
    },
    /// The role of the event's type says that it warns of this.
    Warns(AlertKind),
    /// This many events within this time. For a rule with `types`.
    Happens {
        /// How many.
        count: u32,
        /// Within how long a time.
        #[serde(with = "span")]
        within: Duration,
    },
    /// A number in the payload is above a value.
    Above {
        /// Where it is.
        at: Pointers,
        /// The value.
        value: f64,
    },
    /// Something is running, nothing is waiting or paused, and no event comes for this long.
    Stalled {
        /// How long.
        #[serde(with = "span")]
        after: Duration,
    },
}

/// What a rule counts and silences together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum By {
    /// What happens to one entity: a task, a call of a tool.
    #[default]
    Entity,
    /// What happens to entities of one name: all calls of one tool.
    Name,
    /// Everything in the branch.
    Session,
}

fn warning() -> String {
    "warning".to_owned()
}

impl Rule {
    /// A rule with the severity `warning`, counting by entity, with the alert that fits.
    ///
    /// ```
    /// use std::time::Duration;
    /// use retold::agents::projections::alerts::{By, Rule, When};
    /// let when = When::Failures { count: 5, within: Duration::from_secs(3_600) };
    /// let rule = Rule::new("cargo_fails", when).types("tool.*").by(By::Name).severity("critical");
    /// assert_eq!((rule.alert(), rule.types.len()), ("alert.repeated_failure", 1));
    /// ```
    pub fn new(name: impl Into<String>, when: When) -> Self {
        Self {
            name: name.into(),
            when,
            types: Vec::new(),
            by: By::default(),
            kind: None,
            severity: warning(),
            quiet: Duration::ZERO,
            value: Pointers::default(),
            threshold: Pointers::default(),
        }
    }

    /// Adds a pattern of types to look at; all types are, if there is none.
    #[must_use]
    pub fn types(mut self, pattern: impl Into<String>) -> Self {
        self.types.push(pattern.into());
        self
    }

    /// Sets what is counted and silenced together.
    #[must_use]
    pub fn by(mut self, by: By) -> Self {
        self.by = by;
        self
    }

    /// Sets the type of the alert, `alert.…`; by default the one that fits its trigger.
    #[must_use]
    pub fn kind(mut self, kind: impl Into<String>) -> Self {
        self.kind = Some(kind.into());
        self
    }

    /// Sets the severity: `info`, `warning`, `critical`, or a word of yours.
    #[must_use]
    pub fn severity(mut self, severity: impl Into<String>) -> Self {
        self.severity = severity.into();
        self
    }

    /// Raises no further alert for the same thing for this long.
    #[must_use]
    pub fn quiet(mut self, time: Duration) -> Self {
        self.quiet = time;
        self
    }

    /// Sets where the event has the amount.
    #[must_use]
    pub fn value(mut self, at: Pointers) -> Self {
        self.value = at;
        self
    }

    /// Sets where the event has the limit.
    #[must_use]
    pub fn threshold(mut self, at: Pointers) -> Self {
        self.threshold = at;
        self
    }

    /// The rules of `[[rule]]` tables in TOML.
    ///
    /// # Errors
    /// [`Invalid`] with the field `rules` and the line of what cannot be read.
    #[cfg(feature = "toml")]
    pub fn from_toml(text: &str) -> Result<Vec<Self>, Invalid> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Rules {
            #[serde(default)]
            rule: Vec<Rule>,
        }
        let read: Result<Rules, toml::de::Error> = toml::from_str(text);
        read.map(|rules| rules.rule).map_err(|e| {
            let before = e.span().and_then(|s| text.get(..s.start));
            let line =
                before.map(|b| format!(" at line {}", b.matches('\n').count() + 1)).unwrap_or_default();
            Invalid::new("rules", format!("cannot be read: {}{line}", e.message().trim_end()))
        })
    }

    /// The built-in rules: three failures of one entity within ten minutes, rate and resource limits, budgets, broken
    /// invariants, escalations, and fifteen minutes of silence while something runs.
    #[must_use]
    pub fn built_in() -> Vec<Self> {
        let minutes = |n: u64| Duration::from_secs(60 * n);
        let warns = |kind: AlertKind, severity: &str, quiet: u64| {
            let at = |text: &[&str]| Pointers::new(text).unwrap_or_default();
            Self {
                severity: severity.to_owned(),
                quiet: minutes(quiet),
                value: at(&["/current", "/used"]),
                threshold: at(&["/limit"]),
                ..Self::new(kind.as_str(), When::Warns(kind))
            }
        };
        let failures = When::Failures { count: 3, within: minutes(10) };
        vec![
            Self { severity: "critical".to_owned(), ..Self::new("repeated_failure", failures) },
            // A provider that is called too often reports it many times.
            warns(AlertKind::RateLimit, "warning", 1),
            warns(AlertKind::ResourceLimit, "warning", 1),
            warns(AlertKind::BudgetWarning, "warning", 0),
            warns(AlertKind::BudgetExceeded, "critical", 0),
            warns(AlertKind::Violation, "critical", 0),
            warns(AlertKind::Escalation, "warning", 0),
            Self::new("stalled", When::Stalled { after: minutes(15) }),
        ]
    }

    /// The type of the event that it raises.
    #[must_use]
    pub fn alert(&self) -> &str {
        match (&self.kind, &self.when) {
            (Some(kind), _) => kind,
            (None, When::Failures { .. }) => "alert.repeated_failure",
            (None, When::Stalled { .. }) => "alert.stalled",
            (None, When::Happens { .. } | When::Above { .. }) => "alert.triggered",
            (None, When::Warns(kind)) => match kind {
                AlertKind::RateLimit => "alert.rate_limit",
                AlertKind::ResourceLimit => "alert.resource_limit",
                AlertKind::BudgetWarning => "alert.budget_warning",
                AlertKind::BudgetExceeded => "alert.budget_exceeded",
                AlertKind::Violation => "alert.violation",
                AlertKind::Escalation => "alert.escalation",
            },
        }
    }

    /// How far back it looks.
    pub(super) fn window(&self) -> Option<Duration> {
        match self.when {
            When::Failures { within, .. } | When::Happens { within, .. } => Some(within),
            When::Stalled { after } => Some(after),
            When::Warns(_) | When::Above { .. } => None,
        }
    }
}

/// A validated rule, ready for events.
#[derive(Clone, Debug)]
pub(super) struct Armed {
    pub(super) rule: Rule,
    pub(super) types: Option<Filter>,
}

/// Validates rules that are used together. Of two with one name the later counts.
pub(super) fn armed(rules: Vec<Rule>) -> Result<Vec<Armed>, Invalid> {
    let mut armed: Vec<Armed> = Vec::new();
    for rule in rules {
        let next = arm(rule)?;
        match armed.iter_mut().find(|a| a.rule.name == next.rule.name) {
            Some(old) => *old = next,
            None => armed.push(next),
        }
    }
    if armed.len() > MAX_ALERT_RULES {
        return Err(Invalid::new("rules", format!("are too many; the limit is {MAX_ALERT_RULES}")));
    }
    Ok(armed)
}

fn arm(rule: Rule) -> Result<Armed, Invalid> {
    let wrong = |reason: String| Invalid::new("rule", format!("`{}` {reason}", rule.name.escape_debug()));
    check_kind(&rule.name).map_err(|e| Invalid::new("rule", e.reason))?;
    check_kind(rule.alert()).map_err(|e| wrong(format!("raises an invalid type: {}", e.reason)))?;
    if !rule.alert().starts_with("alert.") {
        return Err(wrong(format!("raises `{}`; alerts are of a type `alert.…`", rule.alert())));
    }
    if let When::Failures { count, .. } | When::Happens { count, .. } = rule.when
        && !(1..=MAX_ALERT_COUNT).contains(&count)
    {
        return Err(wrong(format!("counts to {count}; it can be 1 to {MAX_ALERT_COUNT}")));
    }
    if rule.window().is_some_and(|window| window.is_zero()) {
        return Err(wrong("looks at no time at all; it has to be longer than nothing".into()));
    }
    if matches!(rule.when, When::Happens { .. }) && rule.types.is_empty() {
        return Err(wrong("has no `types`: it would be set off by every event".into()));
    }
    let mut types = (!rule.types.is_empty()).then(Filter::new);
    for glob in &rule.types {
        let pattern: Pattern = glob
            .parse()
            .map_err(|e: Invalid| wrong(format!("has a type that is not a pattern: {}", e.reason)))?;
        types = types.map(|filter| filter.pattern(pattern));
    }
    Ok(Armed { rule, types })
}

/// Durations in human-readable form.
mod span {
    use std::time::Duration;

    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};

    use crate::event::{parse_span, span_text};

    pub(super) fn serialize<S: Serializer>(span: &Duration, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&span_text(*span))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Duration, D::Error> {
        let text = String::deserialize(from)?;
        parse_span(&text).map_err(|e| D::Error::custom(e.reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        Rule::from_toml(text).and_then(armed).unwrap_err().to_string()
    }

    #[test]
    fn rules_survive_json() {
        let rules = Rule::built_in();
        let json = serde_json::to_string(&rules).unwrap();
        assert_eq!(serde_json::from_str::<Vec<Rule>>(&json).unwrap(), rules, "{json}");
        assert_eq!(armed(rules).unwrap().len(), 8);
    }

    #[test]
    fn what_a_rule_cannot_mean_is_said_in_words() {
        let of = |rest: &str| refused(&format!("[[rule]]\nname = \"r\"\n{rest}"));
        let never = of("when = { stalled = { after = \"0s\" } }");
        assert!(never.contains("`r` looks at no time at all"), "{never}");
        let soon = of("when = { stalled = { after = \"soon\" } }");
        assert!(
            soon.contains("`soon` is not a span; write it like 10m") && soon.contains("line 3"),
            "{soon}"
        );
        let none = of("when = { failures = { count = 0, within = \"1m\" } }");
        assert!(none.contains("counts to 0"), "{none}");
        let all = of("when = { happens = { count = 1, within = \"1m\" } }");
        assert!(all.contains("has no `types`"), "{all}");
        let other = of("when = { warns = \"rate_limit\" }\nalert = \"task.failed\"");
        assert!(other.contains("alerts are of a type `alert.…`"), "{other}");
        let glob = of("when = { warns = \"rate_limit\" }\ntypes = [\"a..b\"]");
        assert!(glob.contains("not a pattern"), "{glob}");
        assert!(of("when = { wanes = 1 }").contains("unknown variant `wanes`"));
        assert!(refused("[[rule]]\nname = \"A b\"\nwhen = { warns = \"violation\" }").contains("A b"));
    }

    #[test]
    fn what_is_set_is_what_toml_says() {
        let text = r#"{"name": "long", "when": {"above": {"at": "/tokens", "value": 5.0}}, "types": ["a.*", "b.*"],
            "by": "session", "alert": "alert.long", "severity": "info", "quiet": "1m", "value": "/tokens",
            "threshold": "/limit"}"#;
        let at = |text: &str| Pointers::new(&[text]).unwrap();
        let rule = Rule::new("long", When::Above { at: at("/tokens"), value: 5.0 })
            .types("a.*")
            .types("b.*")
            .by(By::Session)
            .kind("alert.long")
            .severity("info")
            .quiet(Duration::from_secs(60))
            .value(at("/tokens"))
            .threshold(at("/limit"));
        assert_eq!(rule, serde_json::from_str::<Rule>(text).unwrap());
    }

    #[test]
    fn of_two_rules_with_one_name_the_later_counts() {
        let mut own = Rule::new("stalled", When::Stalled { after: Duration::from_secs(1) });
        own.severity = "info".into();
        let all = armed(Rule::built_in().into_iter().chain([own.clone()]).collect()).unwrap();
        assert_eq!((all.len(), &all[7].rule), (8, &own));
    }
}
