//! Traces, metrics and logs at a collector, which decodes them; and one that never answers.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use retold::agents::interop::export_otlp;
use retold::{NewEvent, Query, Store};
use retold_server::{Collector, Telemetry};
use serde_json::{Value, json};
use tracing_subscriber::layer::SubscriberExt;

use crate::harness::Served;

/// A request that the collector was sent: its path, its type, its body.
type Sent = (String, String, Vec<u8>);

/// A collector that takes everything.
struct Fake {
    address: SocketAddr,
    sent: Receiver<Sent>,
}

impl Fake {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (to, sent) = mpsc::channel();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (stream, to) = (stream.unwrap(), to.clone());
                std::thread::spawn(move || while serve(&stream, &to).is_some() {});
            }
        });
        Self { address, sent }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    fn all(&self) -> Vec<Sent> {
        self.sent.try_iter().collect()
    }
}

fn serve(mut stream: &TcpStream, to: &Sender<Sent>) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let (mut length, mut kind) = (0, String::new());
    loop {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().unwrap(),
            "content-type" => kind = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    to.send((path, kind, body)).ok()?;
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()
}

fn text(of: &[KeyValue], key: &str) -> Option<String> {
    let value = of.iter().find(|attribute| attribute.key == key)?.value.clone()?.value?;
    Some(match value {
        any_value::Value::StringValue(text) => text,
        any_value::Value::IntValue(number) => number.to_string(),
        other => format!("{other:?}"),
    })
}

fn spans(sent: &[Sent]) -> Vec<Span> {
    let of = sent.iter().filter(|(path, ..)| path == "/v1/traces");
    let requests = of.map(|(_, _, body)| ExportTraceServiceRequest::decode(&body[..]).unwrap());
    let resources = requests.flat_map(|request| request.resource_spans);
    resources
        .flat_map(|of| {
            let service = text(&of.resource.unwrap().attributes, "service.name");
            assert_eq!(service.as_deref(), Some("retold"));
            of.scope_spans
        })
        .flat_map(|of| of.spans)
        .collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn requests_and_appends_are_told_to_a_collector() {
    let fake = Fake::start();
    let telemetry = Telemetry::start(Some(&fake.url())).unwrap();
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    let served = Served::open().await;
    telemetry.measure(&served.app);
    let (trace, caller) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let append = served
        .ask("POST", "/v1/sessions/s/branches/main/events")
        .header("traceparent", &format!("00-{trace}-{caller}-01"))
        .json(&json!([{"type": "step.done"}, {"type": "step.done", "traceparent": "mine"}]));
    assert_eq!(append.send().await.status, 201);
    assert_eq!(served.get("/v1/sessions/none/branches").await.status, 404);
    drop(listening);
    let store = served.store.clone();
    tokio::task::spawn_blocking(move || telemetry.close()).await.unwrap();
    let sent = fake.all();
    assert!(sent.iter().all(|(_, kind, _)| kind == "application/x-protobuf"), "{sent:?}");

    let spans = spans(&sent);
    let named = |name: &str| {
        let found = spans.iter().find(|span| span.name == name);
        found.unwrap_or_else(|| panic!("{name}: {:?}", spans.iter().map(|s| &s.name).collect::<Vec<_>>()))
    };
    let request = named("POST /v1/sessions/{session}/branches/{branch}/events");
    assert_eq!((hex(&request.trace_id), hex(&request.parent_span_id)), (trace.into(), caller.into()));
    assert_eq!(text(&request.attributes, "http.response.status_code").as_deref(), Some("201"));
    assert_eq!(text(&request.attributes, "url.path").as_deref(), Some("/v1/sessions/s/branches/main/events"));
    let append = named("append");
    assert_eq!((&append.trace_id, &append.parent_span_id), (&request.trace_id, &request.span_id));
    assert_eq!(text(&append.attributes, "retold.events").as_deref(), Some("2"));
    let alone = named("GET /v1/sessions/{session}/branches");
    assert!(alone.parent_span_id.is_empty() && alone.trace_id != request.trace_id);
    let events = store.events(Query::branch("s").unwrap()).unwrap();
    let traces: Vec<String> = events.map(|event| event.unwrap().trace().unwrap().to_owned()).collect();
    assert_eq!(traces, [format!("00-{trace}-{}-01", hex(&append.span_id)), "mine".to_owned()]);

    let of = sent.iter().filter(|(path, ..)| path == "/v1/metrics");
    let metrics: Vec<_> = of
        .flat_map(|(_, _, body)| ExportMetricsServiceRequest::decode(&body[..]).unwrap().resource_metrics)
        .flat_map(|of| of.scope_metrics)
        .flat_map(|of| of.metrics)
        .collect();
    let metric =
        |name: &str| metrics.iter().rfind(|metric| metric.name == name).unwrap_or_else(|| panic!("{name}"));
    let times = metric("http.server.request.duration");
    let Some(Data::Histogram(histogram)) = &times.data else { panic!("{times:?}") };
    assert_eq!((times.unit.as_str(), histogram.data_points.len()), ("s", 2));
    assert_eq!(histogram.data_points[0].explicit_bounds.len(), 13);
    let routes: Vec<_> = histogram.data_points.iter().map(|of| text(&of.attributes, "http.route")).collect();
    assert!(routes.contains(&Some("/v1/sessions/{session}/branches".to_owned())), "{routes:?}");
    for name in [
        "retold.committed.position",
        "retold.connections.accepted",
        "retold.received",
        "retold.http.requests",
    ] {
        assert!(metric(name).data.is_some(), "{name}");
    }

    let of = sent.iter().filter(|(path, ..)| path == "/v1/logs");
    let logs: Vec<_> = of
        .flat_map(|(_, _, body)| ExportLogsServiceRequest::decode(&body[..]).unwrap().resource_logs)
        .flat_map(|of| of.scope_logs)
        .flat_map(|of| of.log_records)
        .collect();
    let statuses: Vec<_> = logs.iter().filter_map(|log| text(&log.attributes, "status")).collect();
    assert_eq!(statuses, ["201", "404"], "{logs:?}");
}

#[tokio::test]
async fn a_collector_that_never_answers_costs_nothing_but_telemetry() {
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    let telemetry = Telemetry::start(Some(&format!("http://{}", deaf.local_addr().unwrap()))).unwrap();
    let listening = tracing::subscriber::set_default(tracing_subscriber::registry().with(telemetry.layer()));
    let served = Served::open().await;
    telemetry.measure(&served.app);
    // More than its queues hold.
    for n in 0..3_000_u64 {
        served.store.append("s", NewEvent::new("step.done").data(json!({ "n": n }))).unwrap();
        tracing::info!(target: "retold_server::request", n, "request");
    }
    for _ in 0..20 {
        assert_eq!(served.get("/v1/sessions").await.status, 200);
    }
    drop(listening);
    let began = Instant::now();
    tokio::task::spawn_blocking(move || telemetry.close()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
    assert_eq!(served.get("/health").await.status, 200);
}

#[test]
fn spans_of_a_session_are_sent_as_json() {
    let fake = Fake::start();
    let store = Store::in_memory().unwrap();
    store
        .append("s", NewEvent::new("message.assistant").data(json!({"text": "x", "model": "large-2"})))
        .unwrap();
    let mut lines = Vec::new();
    export_otlp(&store, &"s".parse().unwrap(), false, &mut lines, &mut |_| {}).unwrap();
    let line = String::from_utf8(lines).unwrap();
    Collector::new(&fake.url()).unwrap().send(line.trim_end()).unwrap();
    let [(path, kind, body)] = &fake.all()[..] else { panic!("one request") };
    assert_eq!((path.as_str(), kind.as_str()), ("/v1/traces", "application/json"));
    let spans = &serde_json::from_slice::<Value>(body).unwrap()["resourceSpans"][0]["scopeSpans"][0]["spans"];
    assert_eq!(spans[0]["name"], "chat large-2");
    let gone = fake.url().replace(&fake.address.port().to_string(), "1");
    assert!(
        Collector::new(&gone)
            .unwrap()
            .send("{}")
            .unwrap_err()
            .to_string()
            .contains("does not take the spans")
    );
    assert!(Collector::new("collector").is_err());
}

#[test]
fn what_is_no_collector_is_refused_before_anything_is_sent() {
    let said = Telemetry::start(Some("127.0.0.1:4318")).unwrap_err().to_string();
    assert!(said.contains("http://127.0.0.1:4318"), "{said}");
}
