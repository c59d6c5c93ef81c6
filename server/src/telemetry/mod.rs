//! What a server tells over OpenTelemetry, with the feature `otel`: traces, metrics and logs, by OTLP over HTTP.
//!
//! `client` sends, `metrics` is what is measured. Sending is done by threads of its own, from queues that have an end: a collector that
//! is slow or away costs telemetry and nothing else. The spans are those of `tracing`, made in [`crate::spans`].

mod bad_collector;
mod client;
mod metrics;

use std::fmt;
use std::sync::mpsc;
use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::trace::TracerProvider;
use opentelemetry_appender_tracing::layer::OpenTelemetryTracingBridge;
use opentelemetry_otlp::{LogExporter, MetricExporter, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::logs::SdkLoggerProvider;
use opentelemetry_sdk::metrics::{Aggregation, Instrument, SdkMeterProvider, Stream};
use opentelemetry_sdk::trace::SdkTracerProvider;
use tracing::Level;
use tracing_opentelemetry::{MetricsLayer, OpenTelemetryLayer};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::{Layer, Registry};

use crate::app::App;
use crate::metrics::BUCKETS;
use crate::spans::{DURATION, TARGET};
pub use bad_collector::BadCollector;
pub use client::Collector;

/// The name of a service that has none in `OTEL_SERVICE_NAME`.
const SERVICE: &str = "retold";
/// How long the last telemetry may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Traces, metrics and logs on their way to a collector.
pub struct Telemetry {
    traces: SdkTracerProvider,
    metrics: SdkMeterProvider,
    logs: SdkLoggerProvider,
}

impl Telemetry {
    /// Begins to send to the collector at this URL, which is without `/v1/…`; without one, to where the variables
    /// `OTEL_EXPORTER_OTLP_*` say. The collector need not be there.
    ///
    /// # Errors
    ///
    /// [`BadCollector`] if the URL or a variable can't be used.
    pub fn start(url: Option<&str>) -> Result<Self, BadCollector> {
        let client = client::Client::new();
        let base = url.map(client::checked).transpose()?;
        let at = |path: &str| base.as_ref().map(|base| format!("{base}/v1/{path}"));
        let spans = SpanExporter::builder().with_http().with_http_client(client.clone());
        let spans = match at("traces") {
            Some(url) => spans.with_endpoint(url),
            None => spans,
        };
        let metrics = MetricExporter::builder().with_http().with_http_client(client.clone());
        let metrics = match at("metrics") {
            Some(url) => metrics.with_endpoint(url),
            None => metrics,
        };
        let logs = LogExporter::builder().with_http().with_http_client(client);
        let logs = match at("logs") {
            Some(url) => logs.with_endpoint(url),
            None => logs,
        };
        let resource = resource();
        Ok(Self {
            traces: SdkTracerProvider::builder()
                .with_resource(resource.clone())
                .with_batch_exporter(spans.build()?)
                .build(),
            metrics: SdkMeterProvider::builder()
                .with_resource(resource.clone())
                .with_periodic_exporter(metrics.build()?)
                .with_view(seconds)
                .build(),
            logs: SdkLoggerProvider::builder()
                .with_resource(resource)
                .with_batch_exporter(logs.build()?)
                .build(),
        })
    }

    /// Whether the environment names a collector, and does not turn all of this off.
    pub fn is_asked_for() -> bool {
        let has = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let is_off = std::env::var("OTEL_SDK_DISABLED").is_ok_and(|off| off.eq_ignore_ascii_case("true"));
        let signals = ["", "TRACES_", "METRICS_", "LOGS_"];
        !is_off && signals.iter().any(|signal| has(&format!("OTEL_EXPORTER_OTLP_{signal}ENDPOINT")))
    }

    /// What makes telemetry of what `tracing` is told.
    pub fn layer(&self) -> Box<dyn Layer<Registry> + Send + Sync> {
        let is_ours = filter_fn(|of| of.is_span() && of.target() == TARGET);
        // Nothing of what sends it, or it would never end.
        let is_log = filter_fn(|of| {
            of.is_event()
                && of.target() != TARGET
                && of.target().starts_with("retold")
                && *of.level() <= Level::INFO
        });
        let tracer = self.traces.tracer(SERVICE);
        let spans =
            OpenTelemetryLayer::new(tracer).with_location(false).with_threads(false).with_target(false);
        let spans = spans.with_tracked_inactivity(false).with_level(false);
        let logs = OpenTelemetryTracingBridge::new(&self.logs).with_filter(is_log);
        // It takes what is measured and nothing else.
        let metrics = MetricsLayer::new(self.metrics.clone());
        Box::new(spans.with_filter(is_ours).and_then(metrics).and_then(logs))
    }

    /// Measures a server from now on.
    pub fn measure(&self, app: &App) {
        metrics::measure(&self.metrics.meter(SERVICE), app);
    }

    /// Sends what is left, and waits a few seconds for that at most. Ends the measuring: do this before the store is closed.
    pub fn close(self) {
        let (done, is_done) = mpsc::channel();
        std::thread::spawn(move || {
            // A collector that is away is no error of ours.
            let _ = self.traces.shutdown_with_timeout(LAST_WORDS);
            let _ = self.logs.shutdown_with_timeout(LAST_WORDS);
            let _ = self.metrics.shutdown();
            drop(self);
            let _ = done.send(());
        });
        let _ = is_done.recv_timeout(LAST_WORDS);
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Telemetry").finish_non_exhaustive()
    }
}

fn resource() -> Resource {
    let version = opentelemetry::KeyValue::new("service.version", env!("CARGO_PKG_VERSION"));
    let resource = Resource::builder().with_attribute(version);
    // What the variables say counts.
    let is_named = std::env::var_os("OTEL_SERVICE_NAME").is_some_and(|name| !name.is_empty())
        || std::env::var("OTEL_RESOURCE_ATTRIBUTES").is_ok_and(|all| all.contains("service.name="));
    if is_named { resource } else { resource.with_service_name(SERVICE) }.build()
}

/// Times of requests are in seconds, in the buckets that `/metrics` has.
fn seconds(instrument: &Instrument) -> Option<Stream> {
    if instrument.name() != DURATION {
        return None;
    }
    let buckets = Aggregation::ExplicitBucketHistogram { boundaries: BUCKETS.to_vec(), record_min_max: true };
    Stream::builder().with_aggregation(buckets).with_unit("s").build().ok()
}
