//! What is measured when it is asked for: the figures of `/metrics`. Times of requests come as the requests do.

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;
use retold::ConsumerInfo;
use retold::project::ProjectionInfo;

use crate::app::App;

/// Measures a server until the provider shuts down.
pub(super) fn measure(meter: &Meter, app: &App) {
    let gauge = |name: &'static str, unit: &'static str, about: &'static str, read: fn(&App) -> u64| {
        let app = app.clone();
        let built = meter.u64_observable_gauge(name).with_unit(unit).with_description(about);
        let _ = built.with_callback(move |to| to.observe(read(&app), &[])).build();
    };
    gauge("retold.connections", "{connection}", "Open connections.", |app| app.metrics().connections().open);
    gauge("retold.streams", "{stream}", "Open streams.", |app| app.streams().open() as u64);
    gauge("retold.committed.position", "{event}", "Position of the last committed event.", |app| {
        app.store().committed().get()
    });
    let counter = |name: &'static str, unit: &'static str, about: &'static str, read: fn(&App) -> u64| {
        let app = app.clone();
        let built = meter.u64_observable_counter(name).with_unit(unit).with_description(about);
        let _ = built.with_callback(move |to| to.observe(read(&app), &[])).build();
    };
    counter("retold.connections.accepted", "{connection}", "Connections that were accepted.", |app| {
        app.metrics().connections().accepted
    });
    counter("retold.connections.refused", "{connection}", "Connections that were one too many.", |app| {
        app.metrics().connections().turned_away
    });
    counter("retold.received", "By", "Bytes that were received.", |app| app.metrics().connections().received);
    counter("retold.sent", "By", "Bytes that were sent.", |app| app.metrics().connections().sent);
    requests(meter, app);
    projections(meter, app);
    consumers(meter, app);
}

fn requests(meter: &Meter, app: &App) {
    let app = app.clone();
    let built = meter.u64_observable_counter("retold.http.requests").with_unit("{request}");
    let built = built.with_description("Requests by method, route and status.");
    let _ = built
        .with_callback(move |to| {
            for ((method, route, status), count) in app.metrics().requests().answered {
                let attributes = [
                    KeyValue::new("http.request.method", method),
                    KeyValue::new("http.route", route),
                    KeyValue::new("http.response.status_code", i64::from(status)),
                ];
                to.observe(count, &attributes);
            }
        })
        .build();
}

/// What can't be read just now is left out.
fn projections(meter: &Meter, app: &App) {
    let of = |name: &'static str, about: &'static str, read: fn(&ProjectionInfo) -> u64| {
        let app = app.clone();
        let built = meter.u64_observable_gauge(name).with_description(about);
        let _ = built
            .with_callback(move |to| {
                for info in app.store().projections().list().unwrap_or_default() {
                    to.observe(read(&info), &[KeyValue::new("projection", info.name.clone())]);
                }
            })
            .build();
    };
    of("retold.projection.lag", "Events that a projection has not seen yet.", |info| info.lag);
    of("retold.projection.parked", "States of a projection that are parked at an event.", |info| {
        info.parked.len() as u64
    });
}

fn consumers(meter: &Meter, app: &App) {
    let of = |name: &'static str, about: &'static str, read: fn(&ConsumerInfo) -> u64| {
        let app = app.clone();
        let built = meter.u64_observable_gauge(name).with_description(about);
        let _ = built
            .with_callback(move |to| {
                for info in app.store().consumers().list().unwrap_or_default() {
                    to.observe(read(&info), &[KeyValue::new("consumer", info.name.clone())]);
                }
            })
            .build();
    };
    of("retold.consumer.lag", "Events that a consumer has not acknowledged yet.", |info| info.lag);
    of("retold.consumer.dead_letters", "Dead letters of a consumer.", |info| info.dead_letters as u64);
}
