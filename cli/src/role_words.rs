//! A role in words.

use retold::event::roles::{Figure, Mode, Pointers, ProgressRole, Role};

/// What a type means to projections, each part with a short label.
pub(super) fn role_words(role: &Role) -> Vec<(&'static str, String)> {
    let mut out = Vec::new();
    if let Some(entity) = &role.entity
        && entity.whole
        && entity.id.is_empty()
    {
        out.push(("about", "the session itself".to_owned()));
    } else if let Some(entity) = &role.entity {
        let mut text = format!("{} {}", article(&entity.kind), entity.kind);
        let id = places(&entity.id);
        let name = places(&entity.name);
        if !id.is_empty() {
            text.push_str(&format!(" with its id at {id}"));
        }
        if !name.is_empty() {
            text.push_str(&format!(", its name at {name}"));
        }
        if entity.whole {
            text.push_str("; it represents the session");
        }
        out.push(("about", text));
    }
    let phase = role.fixed_phase.map(|p| p.to_string());
    let status = role.status.iter().map(|s| {
        let mut text = format!("what {} says", places(&s.at));
        if let Some(when) = &s.when {
            text.push_str(&format!(" when {} is {}", places(&when.at), when.is));
        }
        text
    });
    let status = status.collect::<Vec<_>>().join(", or ");
    match (phase, status.is_empty()) {
        (Some(phase), true) => out.push(("leads to", phase)),
        (Some(phase), false) => out.push(("leads to", format!("{status}, else {phase}"))),
        (None, false) => out.push(("leads to", status)),
        (None, true) => {}
    }
    for (name, at) in [("why", &role.reason), ("error", &role.error), ("who", &role.by)] {
        if !at.is_empty() {
            out.push((name, format!("at {}", places(at))));
        }
    }
    if let Some(progress) = &role.progress {
        out.push(("progress", of_progress(progress)));
    }
    for figure in &role.usage {
        out.push(("uses", of_figure(figure)));
    }
    if let Some(message) = &role.message {
        out.push(("speaker", message.speaker.to_string()));
    }
    if let Some(alert) = role.alert {
        out.push(("warns of", alert.as_str().to_owned()));
    }
    out
}

fn of_progress(p: &ProgressRole) -> String {
    let parts = [
        ("a fraction", &p.fraction),
        ("percent", &p.percent),
        ("how many are done", &p.done),
        ("of how many", &p.total),
        ("stage", &p.stage),
        ("milestone", &p.milestone),
        ("description", &p.description),
    ];
    let said = parts.iter().filter(|(_, at)| !at.is_empty());
    said.map(|(what, at)| format!("{what} at {}", places(at))).collect::<Vec<_>>().join(", ")
}

fn of_figure(figure: &Figure) -> String {
    let mut text = figure.what.to_string();
    match figure.at.is_empty() {
        true => text.push_str(": each event counts 1"),
        false => text.push_str(&format!(" at {}", places(&figure.at))),
    }
    let of = places(&figure.of);
    let how = match figure.mode {
        Mode::Gauge => ", as it is now".to_owned(),
        Mode::Delta if figure.at.is_empty() => String::new(),
        Mode::Delta => ", added up".to_owned(),
        Mode::Total if of.is_empty() => ", a total so far".to_owned(),
        Mode::Total => format!(", a total of what {of} names"),
        Mode::Sum => ", the sum of the whole".to_owned(),
    };
    text.push_str(&how);
    text
}

/// The first few places, in the order in which they are tried.
fn places(at: &Pointers) -> String {
    const SHOWN: usize = 2;
    let mut shown: Vec<&str> = at.iter().take(SHOWN).map(|p| p.as_str()).collect();
    if at.iter().count() > SHOWN {
        shown.push("…");
    }
    shown.join(", ")
}

fn article(noun: &str) -> &'static str {
    if noun.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
