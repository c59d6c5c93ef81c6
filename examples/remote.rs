//! A store on another machine, over a transport of your own: here plain TCP, as inside an SSH tunnel. `retold serve` does the same over
//! TLS and with tokens, and `retold::remote::Endpoint` (feature `remote`) is the dialer for its URL.

use std::net::SocketAddr;
use std::sync::Arc;

use retold::store::remote::{Dialer, Dialing, Duplex, RemoteHost};
use retold::{Error, Follow, NewEvent, Store};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};

/// The way to the server. It is asked for a connection whenever there is none.
#[derive(Debug)]
struct Tunnel(SocketAddr);

impl Dialer for Tunnel {
    fn name(&self) -> String {
        format!("tunnel://{}", self.0)
    }

    fn dial(&self) -> Dialing<'_> {
        Box::pin(async move {
            // Who cannot be reached is tried again; any other error ends the opening.
            let failed = |e: std::io::Error| Error::Unreachable { store: self.name(), reason: e.to_string() };
            let stream = TcpStream::connect(self.0).await.map_err(failed)?;
            Ok(Box::new(stream) as Box<dyn Duplex>)
        })
    }
}

/// The machine with the file. Whoever is let in here may do everything: this listens where only the tunnel comes out.
async fn serve(listener: TcpListener, host: Arc<RemoteHost>) -> std::io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let host = host.clone();
        tokio::spawn(async move {
            if let Err(error) = host.serve(stream).await {
                eprintln!("a program cannot be served: {error}");
            }
        });
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = tempfile::tempdir()?;
    let store = Store::open_async(folder.path().join("runs.redb")).await?;
    let host = Arc::new(RemoteHost::new(&store, "the server"));
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let serving = tokio::spawn(serve(listener, host));

    // The other machine: the same `Store`.
    let remote = Store::builder().connect_with_async(Tunnel(address)).await?;
    let mut following = remote.follow_async(Follow::session("run-7")?).await?;
    remote
        .append_async("run-7", NewEvent::new("run.started").data(json!({ "goal": "fix the login" })))
        .await?;
    store.append_async("run-7", NewEvent::new("run.completed")).await?;
    let mut kinds = Vec::new();
    while kinds.len() < 2 {
        if let Some(step) = following.next().await
            && let Some(event) = step?.event()
        {
            println!("{} {}", event.address(), event.kind());
            kinds.push(event.kind().to_owned());
        }
    }
    assert_eq!(kinds, ["run.started", "run.completed"]);
    drop(following);
    remote.close_async().await?;
    serving.abort();
    store.close_async().await?;
    Ok(())
}
