//! Leases as JSON.

use serde::Serialize;

use crate::store::leases::Lease;

/// Who holds a session.
#[derive(Clone, Debug, Serialize)]
pub struct LeaseView {
    session: String,
    holder: String,
    fence: u64,
    until: String,
    /// What an append carries.
    token: String,
}

impl From<&Lease> for LeaseView {
    fn from(lease: &Lease) -> Self {
        Self {
            session: lease.session.to_string(),
            holder: lease.holder.clone(),
            fence: lease.fence,
            until: lease.until.to_string(),
            token: lease.token.to_string(),
        }
    }
}
