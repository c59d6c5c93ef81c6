//! A delivery on its way to a worker: given back if it does not get onto its connection.

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use retold::consumer::{Consumer, Delivery, Token};
use retold::wire::Delivered;

use super::answer::Answer;
use crate::problem::Problem;

/// The answer with a delivery, which is given back unless the connection takes it.
pub(super) fn handed(consumer: Consumer, delivery: Delivery) -> Result<Response, Problem> {
    let answer = Answer::of(&Delivered::from(&delivery));
    let hand = Hand { of: Some((consumer, delivery.token())) };
    let text = Bytes::from(answer?.text().to_owned());
    let body = Body::from_stream(async_stream::stream! {
        yield Ok::<_, std::convert::Infallible>(text);
        // Asked for more, so it has been taken.
        hand.taken();
    });
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    Ok(response)
}

/// A delivery on its way to a worker.
struct Hand {
    of: Option<(Consumer, Token)>,
}

impl Hand {
    /// The worker has it.
    fn taken(mut self) {
        self.of = None;
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        let Some((consumer, token)) = self.of.take() else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        runtime.spawn(async move {
            // If it can't be given back, it is delivered again after its deadline.
            let _ = consumer.give_back(&token).await;
        });
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;
    use retold::consumer::ConsumerConfig;
    use retold::{NewEvent, Store};

    use super::*;

    /// A consumer that delivers once, and its only event.
    async fn delivered() -> (Store, Consumer, Delivery) {
        let store = Store::in_memory().unwrap();
        store.append_async("s", NewEvent::new("step.done")).await.unwrap();
        let consumer = store.consumers().open("c", ConsumerConfig::new().max_deliveries(1)).await.unwrap();
        let delivery = consumer.next().await.unwrap();
        (store, consumer, delivery)
    }

    #[tokio::test]
    async fn a_delivery_that_no_connection_took_is_as_if_it_had_not_been_delivered() {
        let (store, consumer, delivery) = delivered().await;
        drop(handed(consumer.clone(), delivery).unwrap());
        let again = consumer.next().await.unwrap();
        assert_eq!((again.event().sequence().get(), again.deliveries()), (1, 1));
        assert_eq!(store.consumers().info_async("c").await.unwrap().dead_letters, 0);
    }

    #[tokio::test]
    async fn a_delivery_that_a_connection_took_is_out() {
        let (_store, consumer, delivery) = delivered().await;
        let token = delivery.token();
        let response = handed(consumer.clone(), delivery).unwrap();
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&text).unwrap().contains(&token.to_string()));
        // A runtime with one thread has run what was spawned by then.
        assert!(consumer.try_next().await.unwrap().is_none());
        consumer.ack(&token).await.unwrap();
    }
}
