//! Long polls: what a stream has after an offset, once there is something, or that there is nothing.

use axum::response::Response;
use tokio::time::Instant;

use super::answer::{CURSOR, nothing_new, put, whole};
use super::collapse::cursor;
use super::live::{Came, LiveRead, until};
use super::read::Part;
use crate::problem::Problem;
use crate::streams::StreamPermit;

/// Answers with a part that has something, or with nothing after a while.
pub(super) async fn answer(
    mut live: LiveRead,
    mut part: Part,
    permit: &StreamPermit,
) -> Result<Response, Problem> {
    let ends_at = Instant::now() + live.app.limits().long_poll_time;
    // All that there is may be none of the stream's.
    while part.data.is_empty() && !part.is_last {
        part = live.read(part.to).await?;
    }
    if part.data.is_empty() && !part.is_end {
        part = waited(&mut live, part, permit, ends_at).await?;
    }
    let mut response = match part.data.is_empty() {
        true => nothing_new(part.to, part.is_end),
        false => whole(&live.source, &part, &axum::http::HeaderMap::new()),
    };
    if !part.is_end {
        let next = cursor(retold::Timestamp::now(), live.cursor.as_deref());
        put(response.headers_mut(), CURSOR, &next.to_string());
    }
    Ok(response)
}

/// The part that there is once something has come, or at the end of the time.
async fn waited(
    live: &mut LiveRead,
    mut part: Part,
    permit: &StreamPermit,
    ends_at: Instant,
) -> Result<Part, Problem> {
    let mut following = live.follow(part.to).await?;
    let mut next_use = live.next_use();
    loop {
        let came = tokio::select! {
            biased;
            () = permit.ends().cancelled() => return Ok(part),
            came = live.next(&mut following) => came,
            () = tokio::time::sleep_until(ends_at) => return Ok(part),
            () = until(next_use) => {
                live.used(part.to).await;
                next_use = live.next_use();
                continue;
            }
        };
        let read = live.read(part.to).await?;
        if !read.data.is_empty() || read.is_end || came == Came::Over {
            return Ok(read);
        }
        part = read;
    }
}
