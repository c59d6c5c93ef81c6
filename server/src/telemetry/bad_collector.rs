use std::fmt;

use opentelemetry_otlp::ExporterBuildError;

/// Telemetry can't be sent there.
#[derive(Debug)]
pub struct BadCollector(pub(super) String);

impl fmt::Display for BadCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadCollector {}

impl From<ExporterBuildError> for BadCollector {
    fn from(error: ExporterBuildError) -> Self {
        Self(format!("telemetry can't be sent as it is set: {error}"))
    }
}
