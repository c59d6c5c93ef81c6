//! Stores behind a URL: the connection to a `retold serve` on another machine, over TLS.
//!
//! ```no_run
//! use retold::Store;
//! use retold::remote::Endpoint;
//!
//! let token = std::fs::read_to_string("store.secret")?;
//! let endpoint = Endpoint::new("https://store.example:7878")?.token(token.trim())?.ca_file("ca.pem");
//! let store = Store::builder().connect_with(endpoint)?;
//! println!("{} events", store.committed());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! The server lets in who has a token of scope `admin` for all sessions, or everybody if it needs no tokens. `docs/serving.md` says more.

mod endpoint;
mod tls;
mod upgrade;
mod url;

use crate::error::Result;
use crate::store::Store;

pub use endpoint::Endpoint;

impl Store {
    /// Opens the store of the server at this URL, such as `https://store.example:7878`, which needs no token, or
    /// `http://127.0.0.1:7878`. With a token, a certificate of one's own authority, or other settings:
    /// [`Builder::connect_with`](crate::Builder::connect_with) and an [`Endpoint`].
    ///
    /// # Errors
    /// As [`Endpoint::new`] and [`Builder::connect_with`](crate::Builder::connect_with).
    pub fn connect(url: &str) -> Result<Self> {
        Self::builder().connect_with(Endpoint::new(url)?)
    }

    /// [`connect`](Self::connect) for tasks. Cancellation as with
    /// [`Builder::connect_with_async`](crate::Builder::connect_with_async).
    ///
    /// # Errors
    /// As [`connect`](Self::connect).
    pub async fn connect_async(url: &str) -> Result<Self> {
        Self::builder().connect_with_async(Endpoint::new(url)?).await
    }
}
