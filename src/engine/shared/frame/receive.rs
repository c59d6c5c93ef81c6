//! Reading a socket.

use std::io;

use tokio::net::UnixStream;

use super::inbox::Inbox;

/// Reads what is there, once there is something.
pub(crate) async fn receive(stream: &UnixStream, inbox: &mut Inbox) -> io::Result<()> {
    loop {
        stream.readable().await?;
        match inbox.read(|room| stream.try_read(room)) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => return Ok(()),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            Err(e) => return Err(e),
        }
    }
}
