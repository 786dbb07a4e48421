//! Transfers with a manifest: only what it lists arrives, from every source that has it, and a source that sends something
//! else is named.

use super::*;
use crate::report::offender::ProvedLie;

/// Bytes of a listed chunk of these games, which are small.
const LISTED: u64 = limits::MANIFEST_SMALL_CHUNK_BYTES as u64;

/// A source that changes what it has before it serves, in a way that neither CRC-32 nor sizes show.
fn liar(name: &str, at: u64, bytes: &[u8]) -> Arc<Served> {
    let served = served(name, &[]);
    let archive = fs::OpenOptions::new().write(true).open(served.archive()).unwrap();
    archive.write_all_at(bytes, at).unwrap();
    served
}

/// The sources that were named as liars, and where what they sent began to differ.
fn lies(heard: &mut PeerEvents) -> Vec<(String, PeerId, Option<String>, Option<u64>)> {
    let lied = |event| match event {
        PeerEvent::PeerLied(ProvedLie { peer, id, game, path, position, expected, got }) => {
            assert!(game.as_str() == "g" && expected.len() == 64 && got.len() == 64 && expected != got);
            Some((peer.to_string(), id, path, position))
        }
        _ => None,
    };
    std::iter::from_fn(|| heard.try_next()).filter_map(lied).collect()
}

/// Each lie is found at its listed chunk, and not one of its bytes is in the result.
#[tokio::test(start_paused = true)]
async fn one_honest_source_completes_and_every_liar_is_named() {
    let last = ARCHIVE_BYTES - 1;
    let honest = served("honest", &[]);
    // The first bytes, those around a border of listed chunks, and the last byte of the archive.
    let lied_at = [0, LISTED - 1, CHUNK_BYTES + 5 * LISTED, last];
    let liars: Vec<_> =
        (1..).zip(lied_at).map(|(number, at)| liar(&format!("liar{number}"), at, &[99])).collect();
    let mut receiver = Receiver::with_manifest_of(&honest);
    let mut heard = receiver.events.subscribe();
    // Alone, each liar is found out, and nothing of it counts.
    for (liar, at) in liars.iter().zip(lied_at) {
        match receiver.transfer(&[liar]).await {
            Err(ReceiveError::AllSourcesFailed { attempts, .. }) => {
                assert_eq!(attempts[0].code, "not-as-listed");
            }
            other => panic!("{other:?}"),
        }
        let named = (liar.hello.name.to_string(), liar.id, Some("a.eti".to_owned()));
        let position = Some(at / LISTED * LISTED);
        assert_eq!(lies(&mut heard), [(named.0, named.1, named.2, position)], "once: it is not asked again");
        assert_eq!(receiver.failures().len(), 1);
    }
    let sources: Vec<&Arc<Served>> = liars.iter().chain([&honest]).collect();
    receiver.transfer(&sources).await.unwrap();
    assert!(receiver.has_all_of(&honest));
}

/// A liar with most of the chunks right keeps what is right of it: a file is made of what both sent.
#[tokio::test(start_paused = true)]
async fn a_file_is_made_of_proved_chunks_of_sources_that_do_not_agree() {
    let honest = served("honest", &[]);
    let other = liar("other", 2 * CHUNK_BYTES + 1, b"another build of equal size");
    let mut receiver = Receiver::with_manifest_of(&honest);
    let mut heard = receiver.events.subscribe();
    assert!(receiver.transfer(&[&other]).await.is_err());
    assert_eq!(lies(&mut heard).len(), 1);
    let shares = receiver.transfer(&[&honest]).await.unwrap();
    assert_eq!(shares, [("honest".to_owned(), 2)], "the third chunk of the archive, and the sentinel");
    assert!(receiver.has_all_of(&honest));
    assert_eq!(receiver.failures(), strings([("other", "not-as-listed")]));
}

/// Without a manifest, the chunks of the old file would be dropped; proved ones are kept.
#[tokio::test(start_paused = true)]
async fn a_source_whose_file_changed_need_not_send_proved_chunks_again() {
    let one = served("one", &[Fault::CutAt(CHUNK_BYTES + 300_000)]);
    one.connections_left.store(1, Ordering::Relaxed);
    let receiver = Receiver::with_manifest_of(&one);
    assert!(receiver.transfer(&[&one]).await.is_err());
    // Only a chunk that is here has other bytes now, so that the rest is still right.
    let archive = fs::OpenOptions::new().write(true).open(one.archive()).unwrap();
    archive.write_all_at(b"THIS IS ANOTHER", 0).unwrap();
    one.connections_left.store(9, Ordering::Relaxed);
    let shares = receiver.transfer(&[&one]).await.unwrap();
    assert_eq!(shares, [("one".to_owned(), CHUNK_COUNT - 1)]);
    assert!(!receiver.has_all_of(&one), "the first chunk is the listed one");
    archive.write_all_at(b"this is chunk 0", 0).unwrap();
    assert!(receiver.has_all_of(&one));
}

/// What a killed download left is trusted as far as digests prove it: what came without a manifest from a liar is fetched
/// again, and the rest is not.
#[tokio::test(start_paused = true)]
async fn what_a_liar_left_without_a_manifest_is_found_out_later() {
    let honest = served("honest", &[]);
    let other = liar("other", CHUNK_BYTES, b"another build");
    let mut receiver = Receiver::with_manifest_of(&honest);
    let manifest = receiver.manifest.take();
    receiver.transfer(&[&other]).await.unwrap();
    assert!(receiver.has_all_of(&other), "nothing could tell");
    receiver.manifest = manifest;
    let shares = receiver.transfer(&[&honest]).await.unwrap();
    assert_eq!(shares, [("honest".to_owned(), 1)]);
    assert!(receiver.has_all_of(&honest));
}

/// Two liars and an honest source that all have faults: interrupted, refused, found out. The result is the listed game.
#[tokio::test(start_paused = true)]
async fn faults_of_the_network_are_not_lies() {
    let honest = served("honest", &[Fault::CutAt(300_000), Fault::FlipBit { at: 900_000, bit: 1 }]);
    let faulty = served("faulty", &[Fault::CutAt(2_000_000); 100]);
    let mut receiver = Receiver::with_manifest_of(&honest);
    let mut heard = receiver.events.subscribe();
    // A flipped bit on the way is found before the checksum comes, and cannot be told from a lie.
    receiver.transfer(&[&honest, &faulty]).await.unwrap_err();
    let named: Vec<String> = lies(&mut heard).into_iter().map(|lie| lie.0).collect();
    assert_eq!(named, ["honest"]);
    assert!(receiver.failures().contains(&("faulty".to_owned(), "connection-lost".to_owned())));
    receiver.transfer(&[&honest]).await.unwrap();
    assert!(receiver.has_all_of(&honest));
}
