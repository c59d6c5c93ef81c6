//! The text format of Prometheus.

use std::fmt::{Display, Write};

use crate::app::App;
use crate::metrics::{BUCKETS, Requests};
use crate::problem::Problem;

/// What the server counts, and how the store is.
pub(crate) async fn exposition(app: &App) -> Result<String, Problem> {
    let mut text = Text::default();
    requests(&mut text, &app.metrics().requests());
    let of = app.metrics().connections();
    text.one("retold_connections", "gauge", "Open connections.", of.open);
    text.one("retold_connections_accepted_total", "counter", "Connections that were accepted.", of.accepted);
    text.one(
        "retold_connections_refused_total",
        "counter",
        "Connections that were one too many.",
        of.turned_away,
    );
    text.one("retold_received_bytes_total", "counter", "Bytes that were received.", of.received);
    text.one("retold_sent_bytes_total", "counter", "Bytes that were sent.", of.sent);
    text.one("retold_streams", "gauge", "Open streams.", app.streams().open());
    let committed = app.store().committed().get();
    text.one("retold_committed_position", "gauge", "Position of the last committed event.", committed);
    let projections = app.store().projections().list_async().await?;
    text.head("retold_projection_lag_events", "gauge", "Events that a projection has not seen yet.");
    for info in &projections {
        text.line("retold_projection_lag_events", &[("projection", &info.name)], info.lag);
    }
    text.head("retold_projection_parked", "gauge", "States of a projection that are parked at an event.");
    for info in &projections {
        text.line("retold_projection_parked", &[("projection", &info.name)], info.parked.len());
    }
    let consumers = app.store().consumers().list_async().await?;
    text.head("retold_consumer_lag_events", "gauge", "Events that a consumer has not acknowledged yet.");
    for info in &consumers {
        text.line("retold_consumer_lag_events", &[("consumer", &info.name)], info.lag);
    }
    text.head("retold_consumer_dead_letters", "gauge", "Dead letters of a consumer.");
    for info in &consumers {
        text.line("retold_consumer_dead_letters", &[("consumer", &info.name)], info.dead_letters);
    }
    Ok(text.text)
}

fn requests(text: &mut Text, of: &Requests) {
    let name = "retold_http_requests_total";
    text.head(name, "counter", "Requests by method, route and status.");
    for ((method, route, status), count) in &of.answered {
        let status = status.to_string();
        text.line(name, &[("method", method), ("route", route), ("status", &status)], count);
    }
    let name = "retold_http_request_seconds";
    text.head(name, "histogram", "Time until the answer to a request begins.");
    for (route, times) in &of.times {
        let mut so_far = 0;
        for (bound, count) in BUCKETS.iter().zip(times.buckets) {
            so_far += count;
            text.line(&format!("{name}_bucket"), &[("route", route), ("le", &bound.to_string())], so_far);
        }
        text.line(&format!("{name}_bucket"), &[("route", route), ("le", "+Inf")], times.count);
        text.line(&format!("{name}_sum"), &[("route", route)], times.seconds);
        text.line(&format!("{name}_count"), &[("route", route)], times.count);
    }
}

#[derive(Default)]
struct Text {
    text: String,
}

impl Text {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        let _ = writeln!(self.text, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn one(&mut self, name: &str, kind: &str, help: &str, value: impl Display) {
        self.head(name, kind, help);
        let _ = writeln!(self.text, "{name} {value}");
    }

    fn line(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> =
            labels.iter().map(|(label, value)| format!("{label}=\"{}\"", escaped(value))).collect();
        let _ = writeln!(self.text, "{name}{{{}}} {value}", labels.join(","));
    }
}

fn escaped(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut text = Text::default();
        text.line("x", &[("a", "b\"c\\d\ne"), ("f", "g")], 1);
        assert_eq!(text.text, "x{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1\n");
    }
}
