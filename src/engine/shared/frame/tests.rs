//! What goes into an outbox comes out of an inbox, in the order that is promised, whatever the socket does to it.

use std::collections::VecDeque;

use bytes::Bytes;
use proptest::prelude::*;

use super::{Inbox, Incoming, Outbox, frames};
use crate::codec::Malformed;
use crate::codec::link::{LINK_HEADER, LinkHead, SentAsk, SentNotice, link_message};
use crate::limits::{SHARED_FRAME_BYTES, SHARED_MESSAGE_BYTES, SHARED_QUEUE_BYTES};

fn message(call: u64, bytes: usize) -> Bytes {
    link_message(call, bytes, vec![call as u8; bytes].as_slice()).into()
}

/// Everything that an outbox sends, as a socket would see it.
fn sent(outbox: &mut Outbox) -> Vec<u8> {
    let (mut pieces, mut bytes) = (VecDeque::new(), Vec::new());
    loop {
        outbox.fill(&mut pieces);
        if pieces.is_empty() {
            return bytes;
        }
        pieces.drain(..).for_each(|piece| bytes.extend_from_slice(&piece));
    }
}

/// What an inbox makes of bytes that come in pieces of so many.
fn taken(bytes: &[u8], at_once: usize) -> Result<Vec<(u64, usize)>, Malformed> {
    Ok(frames(bytes, at_once)?.into_iter().map(|(call, body)| (call, body.len())).collect())
}

fn calls(outbox: &mut Outbox) -> Vec<u64> {
    taken(&sent(outbox), 70_000).unwrap().into_iter().map(|(call, _)| call).collect()
}

#[test]
fn short_messages_come_between_the_frames_of_long_ones() {
    let mut outbox = Outbox::default();
    outbox.send(1, message(1, 3 * SHARED_FRAME_BYTES));
    outbox.send(2, message(2, 10));
    let mut pieces = VecDeque::new();
    outbox.fill(&mut pieces);
    // The short one, then a header and a frame of the long one.
    assert_eq!(pieces.len(), 3);
    outbox.send(3, message(3, 10));
    let first: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
    let all = [first, sent(&mut outbox)].concat();
    let order: Vec<u64> = taken(&all, 4_096).unwrap().into_iter().map(|(call, _)| call).collect();
    assert_eq!((order, outbox.bytes()), (vec![2, 3, 1], 0));
}

#[test]
fn a_long_message_waits_for_what_was_short_before_it_though_a_later_one_is_taken_back() {
    let mut outbox = Outbox::default();
    outbox.send(1, message(1, 10));
    outbox.send(2, message(2, 10));
    outbox.send_in_order(3, message(3, 10));
    outbox.send(4, message(4, 10));
    outbox.send(5, message(5, 10));
    assert!(outbox.take_back(4) && outbox.take_back(5));
    assert!(outbox.take_back(1));
    // One that comes now is not waited for.
    outbox.send(6, message(6, 10));
    outbox.send_in_order(7, message(7, 10));
    assert!(outbox.take_back(6));
    assert_eq!((outbox.waits_for(3), outbox.waits_for(7)), (1, 1));
    assert_eq!(calls(&mut outbox), [2, 3, 7]);
}

#[test]
fn what_is_sent_in_order_is_not_overtaken_by_what_is_sent_so_later() {
    let mut outbox = Outbox::default();
    outbox.send_in_order(1, message(1, 2 * SHARED_FRAME_BYTES));
    outbox.send_in_order(2, message(2, 10));
    outbox.send(3, message(3, 10));
    assert_eq!(calls(&mut outbox), [3, 1, 2]);
}

#[test]
fn a_full_outbox_tells_of_positions_only_and_of_each_no_later_than_of_what_follows() {
    let mut outbox = Outbox::default();
    let hint = Bytes::from(SentNotice::Alive.message(0, 8));
    outbox.tell(Some(&hint), 1);
    for call in 2..7 {
        assert!(outbox.send(call, message(call, SHARED_QUEUE_BYTES / 5 + 100)));
    }
    (7..1_000).for_each(|position| outbox.tell(Some(&hint), position));
    outbox.send(7, message(7, 10));
    assert!(outbox.is_full());
    let mut notices = Vec::new();
    let bytes = sent(&mut outbox);
    for (call, body) in frames(&bytes, 5_000).unwrap() {
        match call {
            0 => notices.push(format!("{:?}", SentNotice::decode(&body).unwrap())),
            call => notices.push(call.to_string()),
        }
    }
    assert_eq!(notices, ["Alive", "2", "3", "4", "5", "6", "Unseen(999)", "7"]);
    // There is room again.
    outbox.tell(Some(&hint), 1_000);
    outbox.tell(None, 1_001);
    assert_eq!(sent(&mut outbox).len(), hint.len() + SentNotice::Unseen(1_001).message(0, 8).len());
}

#[test]
fn only_what_was_not_sent_at_all_is_taken_back() {
    let mut outbox = Outbox::default();
    outbox.send_in_order(1, message(1, 2 * SHARED_FRAME_BYTES));
    outbox.send_in_order(2, message(2, 10));
    outbox.send(3, message(3, 10));
    outbox.send(4, message(4, 10));
    assert!(outbox.take_back(4) && !outbox.take_back(4));
    let mut pieces = VecDeque::new();
    outbox.fill(&mut pieces);
    assert!(!outbox.take_back(3) && !outbox.take_back(1) && outbox.take_back(2));
    assert_eq!([1, 2, 3, 4].map(|call| outbox.has_boarded(call)), [true, false, true, false]);
    let first: Vec<u8> = pieces.iter().flat_map(|piece| piece.to_vec()).collect();
    let all = taken(&[first, sent(&mut outbox)].concat(), 4_096).unwrap();
    assert_eq!(all.into_iter().map(|(call, _)| call).collect::<Vec<_>>(), [3, 1]);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn progress_that_was_not_read_is_replaced() {
    let mut outbox = Outbox::default();
    (1..100).for_each(|n| outbox.replace(7, message(7, n)));
    assert_eq!(taken(&sent(&mut outbox), 100).unwrap().len(), 1);
    assert_eq!(outbox.bytes(), 0);
}

#[test]
fn progress_of_another_call_does_not_wait_for_that_of_one_that_is_over() {
    let mut outbox = Outbox::default();
    outbox.replace(7, message(7, 1));
    outbox.send(7, message(7, 10));
    outbox.replace(8, message(8, 2));
    outbox.replace(8, message(8, 3));
    outbox.send(8, message(8, 20));
    // Of the first, nothing is known any more but how it ended.
    let sent = taken(&sent(&mut outbox), 100).unwrap();
    assert_eq!(sent.into_iter().map(|(call, _)| call).collect::<Vec<_>>(), [8, 7, 8]);
}

#[test]
fn a_long_message_goes_on_however_many_short_ones_wait() {
    let mut outbox = Outbox::default();
    outbox.send(1, message(1, 3 * SHARED_FRAME_BYTES));
    let (mut pieces, mut bytes, mut fills) = (VecDeque::new(), Vec::new(), 0);
    while taken(&bytes, 70_000).unwrap().iter().all(|(call, _)| *call != 1) {
        // More than are taken at once, every time.
        (0..200).for_each(|_| outbox.tell(Some(&message(0, 10)), 1));
        outbox.fill(&mut pieces);
        pieces.drain(..).for_each(|piece| bytes.extend_from_slice(&piece));
        fills += 1;
        assert!(fills < 10, "it is held up for ever");
    }
    assert_eq!(fills, 4);
}

#[test]
fn a_long_message_is_whole_only_after_what_was_short_and_came_before_it() {
    let mut outbox = Outbox::default();
    let hints = 500;
    (0..hints).for_each(|_| outbox.tell(Some(&message(0, 10)), 1));
    outbox.send(1, message(1, 2 * SHARED_FRAME_BYTES));
    outbox.send_in_order(2, message(2, 10));
    let calls = calls(&mut outbox);
    assert_eq!(calls.iter().position(|call| *call == 1), Some(hints));
    assert_eq!(calls.last(), Some(&2));
}

#[test]
fn what_is_on_its_way_counts_until_it_is_in_the_socket_and_is_bounded() {
    let mut outbox = Outbox::default();
    assert!((1..100).all(|call| outbox.send(call, message(call, SHARED_FRAME_BYTES / 2))));
    let before = outbox.bytes();
    let mut pieces = VecDeque::new();
    outbox.fill(&mut pieces);
    let aboard: usize = pieces.iter().map(Bytes::len).sum();
    assert!(aboard <= 2 * SHARED_FRAME_BYTES, "{aboard} bytes are on their way");
    assert_eq!(outbox.bytes(), before);
    pieces.clear();
    outbox.fill(&mut pieces);
    assert_eq!(outbox.bytes(), before - aboard);
}

#[test]
fn telling_a_client_that_has_stopped_costs_the_same_however_much_waits_for_it() {
    let mut outbox = Outbox::default();
    let hint = message(0, 4);
    let mut waiting = 0;
    while outbox.bytes() + hint.len() <= SHARED_QUEUE_BYTES {
        outbox.tell(Some(&hint), 1);
        waiting += 1;
    }
    assert!(waiting > 100_000);
    let start = std::time::Instant::now();
    for position in 2..30_000 {
        outbox.tell(Some(&hint), position);
        outbox.replace(9, hint.clone());
    }
    // It is a thousand times as long when each looks at all that waits.
    assert!(start.elapsed() < std::time::Duration::from_secs(5), "{:?}", start.elapsed());
}

#[test]
fn what_is_kept_of_a_short_message_keeps_little_else() {
    let mut outbox = Outbox::default();
    assert!((1..20).all(|call| outbox.send(call, message(call, 200))));
    let all = sent(&mut outbox);
    let (mut inbox, mut rest) = (Inbox::default(), &all[..]);
    inbox.read(|room| std::io::Read::read(&mut rest, room)).unwrap();
    let Ok(Incoming::Message { body, .. }) = inbox.next() else { panic!("a message is whole") };
    drop(inbox);
    let kept = body.try_into_mut().unwrap().capacity();
    assert!(kept < 1_000, "{kept} bytes");
}

#[test]
fn an_outbox_that_has_ended_takes_nothing_and_sends_what_it_has() {
    let mut outbox = Outbox::default();
    outbox.send(1, message(1, 10));
    outbox.end();
    assert!(!outbox.send(2, message(2, 10)) && !outbox.send_in_order(3, message(3, 10)));
    outbox.tell(None, 5);
    assert_eq!(calls(&mut outbox), [1]);
    assert!(outbox.is_ended() && outbox.is_empty());
}

/// A frame with this header and as many bytes as it says, up to a bound.
fn frame(call: u64, len: usize, total: usize) -> Vec<u8> {
    let head = LinkHead { len: len as u32, total: total as u32, call };
    [&head.encode()[..], &vec![0; len.min(100)]].concat()
}

#[test]
fn frames_that_nobody_sends_end_a_connection_before_anything_is_held_for_them() {
    let ask = SentAsk::Ping.message(1, 0);
    for wrong in [
        frame(1, 0, 0),
        frame(1, u32::MAX as usize, u32::MAX as usize),
        frame(1, SHARED_FRAME_BYTES + 1, SHARED_FRAME_BYTES + 1),
        frame(1, 10, SHARED_MESSAGE_BYTES + 1),
        frame(1, 10, 9),
        // More than was said, and another length than was said.
        [frame(1, 10, 15), frame(1, 10, 15)].concat(),
        [frame(1, 10, 15), frame(1, 5, 20)].concat(),
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(),
    ] {
        assert!(taken(&[&ask[..], &wrong].concat(), 7).is_err(), "{wrong:?}");
    }
    assert!(taken(&[frame(1, 10, 20), frame(2, 10, 20)].concat(), 64).is_err());
    let between = [frame(1, 10, 20), frame(2, 10, 10), frame(1, 10, 20)].concat();
    assert_eq!(taken(&between, 64), Ok(vec![(2, 10), (1, 20)]));
}

#[test]
fn a_long_message_is_told_of_before_anything_of_it_is_taken() {
    let mut outbox = Outbox::default();
    outbox.send(5, message(5, 2 * SHARED_FRAME_BYTES));
    let bytes = sent(&mut outbox);
    let mut inbox = Inbox::default();
    let mut head = &bytes[..LINK_HEADER];
    inbox.read(|room| std::io::Read::read(&mut head, room)).unwrap();
    let total = (bytes.len() - 3 * LINK_HEADER) as u32;
    assert_eq!(inbox.next(), Ok(Incoming::Begins { call: 5, total }));
    assert_eq!(inbox.next(), Ok(Incoming::More));
    assert!(inbox.is_amid());
}

proptest! {
    #[test]
    fn messages_arrive_whole_however_the_bytes_are_cut(
        sizes in prop::collection::vec(prop_oneof![0..300usize, 0..200_000usize], 1..12),
        at_once in prop_oneof![1..64usize, 1_000..100_000usize],
    ) {
        let mut outbox = Outbox::default();
        let mut wanted = Vec::new();
        for (call, size) in sizes.into_iter().enumerate() {
            let message = message(call as u64 + 1, size);
            wanted.push((call as u64 + 1, message.len() - LINK_HEADER));
            outbox.send(call as u64 + 1, message);
        }
        prop_assert_eq!(taken(&sent(&mut outbox), at_once).unwrap(), wanted);
    }

    #[test]
    fn any_bytes_are_frames_or_end_the_connection(bytes in prop::collection::vec(prop_oneof![0..3u8, any::<u8>()], 0..300), at_once in 1..40usize) {
        let _ = taken(&bytes, at_once);
    }
}
