//! OpenTelemetry, in a program that was built with the feature `otel`.

use super::failure::Failure;

#[cfg(feature = "otel")]
pub(super) use with::{Telemetry, collector, start};
#[cfg(not(feature = "otel"))]
pub(super) use without::{Telemetry, collector, start};

#[cfg(feature = "otel")]
mod with {
    use std::io;

    use retold_server::Collector;
    use tracing_subscriber::{Layer, Registry};

    use super::Failure;

    /// What is sent to a collector, if anything is.
    #[derive(Debug, Default)]
    pub(crate) struct Telemetry(Option<retold_server::Telemetry>);

    /// Begins to send what a server does to this collector, or to the one that the environment names.
    pub(crate) fn start(url: Option<&str>) -> Result<Telemetry, Failure> {
        if url.is_none() && !retold_server::Telemetry::is_asked_for() {
            return Ok(Telemetry(None));
        }
        let started = retold_server::Telemetry::start(url).map_err(|bad| Failure::Usage(bad.to_string()))?;
        Ok(Telemetry(Some(started)))
    }

    impl Telemetry {
        pub(crate) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
            self.0.as_ref().map(retold_server::Telemetry::layer)
        }

        pub(crate) fn measure(&self, server: &retold_server::App) {
            if let Some(started) = &self.0 {
                started.measure(server);
            }
        }

        /// Sends what is left, before the store is closed.
        pub(crate) fn close(&mut self) {
            if let Some(started) = self.0.take() {
                started.close();
            }
        }
    }

    /// Sends each line that is written to it to the collector at this URL.
    pub(crate) fn collector(url: &str) -> Result<impl io::Write, Failure> {
        let collector = Collector::new(url).map_err(|bad| Failure::Usage(bad.to_string()))?;
        Ok(Lines { collector, line: Vec::new() })
    }

    struct Lines {
        collector: Collector,
        line: Vec<u8>,
    }

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            for byte in bytes {
                if *byte != b'\n' {
                    self.line.push(*byte);
                    continue;
                }
                let line = std::mem::take(&mut self.line);
                let line = String::from_utf8(line).map_err(io::Error::other)?;
                self.collector.send(&line).map_err(io::Error::other)?;
            }
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
}

#[cfg(not(feature = "otel"))]
mod without {
    use std::io;

    use tracing_subscriber::{Layer, Registry};

    use super::Failure;

    /// Nothing.
    #[derive(Debug, Default)]
    pub(crate) struct Telemetry;

    pub(crate) fn start(url: Option<&str>) -> Result<Telemetry, Failure> {
        if url.is_some() { Err(missing()) } else { Ok(Telemetry) }
    }

    impl Telemetry {
        #[allow(clippy::unused_self, reason = "the same as with the feature")]
        pub(crate) fn layer(&self) -> Option<Box<dyn Layer<Registry> + Send + Sync>> {
            None
        }

        #[allow(clippy::unused_self, reason = "the same as with the feature")]
        pub(crate) fn measure(&self, _: &retold_server::App) {}

        #[allow(clippy::unused_self, reason = "the same as with the feature")]
        pub(crate) fn close(&mut self) {}
    }

    pub(crate) fn collector(_: &str) -> Result<io::Sink, Failure> {
        Err(missing())
    }

    fn missing() -> Failure {
        Failure::Usage("--otlp needs a program with OpenTelemetry: build it with --features otel".to_owned())
    }
}
