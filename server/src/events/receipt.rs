//! What is told of events that were recorded.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use retold::{Address, Placed, Receipt};
use serde_json::{Value, json};

use crate::input::in_path;
use crate::reply;

/// For events of one branch, with the place of the first. A retry is answered as the first time, but with 200.
pub(super) fn of_one(receipt: &Receipt, to: &Address) -> Response {
    let mut document = match receipt.parts().first() {
        Some(placed) => part(placed),
        None => json!({}),
    };
    add_common(&mut document, receipt);
    let mut response = answer(receipt, &document);
    let location = format!(
        "/v1/sessions/{}/branches/{}/events/{}",
        in_path(to.session().as_str()),
        in_path(to.branch().as_str()),
        receipt.first()
    );
    if let Ok(location) = HeaderValue::try_from(location) {
        response.headers_mut().insert(header::LOCATION, location);
    }
    response
}

/// For events of several branches, in the order in which they were sent.
pub(super) fn of_many(receipt: &Receipt) -> Response {
    let parts: Vec<Value> = receipt.parts().iter().map(part).collect();
    let mut document = json!({ "parts": parts });
    add_common(&mut document, receipt);
    answer(receipt, &document)
}

fn part(placed: &Placed) -> Value {
    json!({
        "session": placed.place.session.as_str(),
        "branch": placed.place.branch.as_str(),
        "first": placed.first.get(),
        "last": placed.last.get(),
        "position": placed.last_position.get(),
    })
}

fn add_common(document: &mut Value, receipt: &Receipt) {
    if let Value::Object(members) = document {
        members.insert("duplicate".to_owned(), receipt.duplicate().into());
        let recorded = receipt.recorded().map(|time| time.to_string());
        members.insert("recorded".to_owned(), recorded.into());
    }
}

fn answer(receipt: &Receipt, document: &Value) -> Response {
    let status = if receipt.duplicate() { StatusCode::OK } else { StatusCode::CREATED };
    let mut response = reply::json(document.to_string().into_bytes()).into_response();
    *response.status_mut() = status;
    response
}
