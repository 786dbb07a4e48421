use lanspread_peer::InstallTrust;

use super::*;

#[test]
fn what_is_not_the_fault_of_a_source_does_not_read_as_if_it_was() {
    let (game, peer) = ("g".parse().unwrap(), "den".parse().unwrap());
    let told = |code| source_ended(&game, &peer, code, "why", "; more");
    assert_eq!(told("cancelled"), "g: receiving from den was cancelled");
    assert_eq!(told("not-enough-space"), "g: what den has does not fit: why; more");
    assert_eq!(told("busy"), "g: den is busy: why; more");
    assert_eq!(told("source-stopping"), "g: den failed: why; more");
}

#[test]
fn an_address_that_nobody_can_dial_is_not_shown() {
    assert_eq!(listening(([0, 0, 0, 0], 4107).into()), "port 4107 of every network interface");
    assert_eq!(listening(([10, 0, 0, 1], 4107).into()), "10.0.0.1:4107");
}

#[test]
fn a_summary_names_the_games_that_failed() {
    let (a, b) = (GameId::clone(&"a".parse().unwrap()), "b".parse().unwrap());
    let mut told = Summary { done: vec![a], failed: vec![b], status: 3, is_interrupted: false };
    assert_eq!(summary(&told), "1 of 2 games done, failed: b");
    told.is_interrupted = true;
    assert_eq!(summary(&told), "1 of 2 games done, interrupted: b");
    told.done.append(&mut told.failed);
    assert_eq!(summary(&told), "all 2 games done");
}

/// The failure of a source is printed once for each try, with what follows and nothing that does not.
#[test]
fn a_failed_source_is_told_with_what_follows() {
    let failed = |code: &'static str, retry_ms, sources_left| {
        event(&PeerEvent::DownloadSourceFailed {
            game: "g".parse().unwrap(),
            peer: "den".parse().unwrap(),
            code: code.into(),
            message: "why".to_owned(),
            retry_ms,
            sources_left,
        })
        .unwrap()
    };
    assert_eq!(failed("source-stopping", None, 0), "g: den failed: why");
    assert_eq!(failed("busy", Some(2000), 0), "g: den is busy: why; it is tried again in 2.0 s");
    assert_eq!(failed("timeout", None, 1), "g: den failed: why; the other source takes over");
    assert_eq!(
        failed("timeout", Some(1000), 2),
        "g: den failed: why; the others take over, it is tried again in 1.0 s"
    );
}

#[test]
fn waiting_for_peers_is_told_apart_if_it_was_noticed() {
    let finished = |waited_ms| {
        event(&PeerEvent::StreamInstallFinished {
            game: "g".parse().unwrap(),
            version: "1".parse().unwrap(),
            peer: "den".parse().unwrap(),
            files: 2,
            bytes: 10 << 20,
            trust: InstallTrust::Verified,
            waited_ms,
            duration_ms: 2000,
        })
        .unwrap()
    };
    let text = "g 1 installed from den, verified: 2 files, 10.00 MiB in 2.0 s (5.00 MiB/s, 41.94 Mbit/s)";
    assert_eq!(finished(20), text);
    assert_eq!(finished(1500), format!("{text}, found after 1.5 s"));
}

#[test]
fn a_folder_that_is_passed_over_is_named_with_the_reason_and_what_to_do() {
    let passed = |code: &str, suggestion: Option<&str>| {
        report(&Answer::FolderPassedOver(PassedOverFolder {
            folder: "Age of Empires II".to_owned(),
            code: code.to_owned().into(),
            message: "why".to_owned(),
            suggestion: suggestion.map(|id| id.parse().unwrap()),
        }))
    };
    assert_eq!(
        passed("folder-name", Some("Age-of-Empires-II")),
        "Age of Empires II is passed over: why (rename it, for example to Age-of-Empires-II)"
    );
    assert!(passed("folder-name", None).contains("letters, digits"));
    assert!(passed("sentinel-name", None).contains("rename it to version.ini"));
    assert_eq!(passed("more-folders", None), "Age of Empires II is passed over: why");
}

#[test]
fn a_streamed_game_shows_the_version_of_its_receipt() {
    let mut game = Answer::LocalGame {
        game: "g".parse().unwrap(),
        title: None,
        version: None,
        installed_version: Some("7".parse().unwrap()),
        trust: None,
        state: lanspread_peer::Availability::LocalOnly,
        downloaded: false,
        downloaded_trust: None,
        installed: true,
        bytes: 0,
        shares_entries: false,
        listed: lanspread_peer::CatalogListing::default(),
    };
    assert_eq!(report(&game), "g  7  installed, not shareable");
    let Answer::LocalGame { title, .. } = &mut game else { panic!("{game:?}") };
    *title = Some("The Game".to_owned());
    assert_eq!(report(&game), "g  7  installed, not shareable  The Game");
    let Answer::LocalGame { trust, .. } = &mut game else { panic!("{game:?}") };
    *trust = Some(InstallTrust::Unverified);
    assert_eq!(report(&game), "g  7  installed, not shareable, unverified  The Game");
    let Answer::LocalGame { trust, shares_entries, .. } = &mut game else { panic!("{game:?}") };
    (*trust, *shares_entries) = (Some(InstallTrust::Verified), true);
    assert_eq!(report(&game), "g  7  installed, shareable by entries, verified  The Game");
}

#[test]
fn a_downloaded_game_shows_whether_its_files_and_its_tree_are_verified() {
    let told = |downloaded_trust, installed, trust| {
        report(&Answer::LocalGame {
            game: "g".parse().unwrap(),
            title: None,
            version: Some("7".parse().unwrap()),
            installed_version: None,
            trust,
            state: lanspread_peer::Availability::Ready,
            downloaded: true,
            downloaded_trust,
            installed,
            bytes: 1,
            shares_entries: false,
            listed: lanspread_peer::CatalogListing::default(),
        })
    };
    let (verified, unverified) = (Some(InstallTrust::Verified), Some(InstallTrust::Unverified));
    assert_eq!(told(None, false, None), "g  7  downloaded");
    assert_eq!(told(verified, false, None), "g  7  downloaded, verified");
    assert_eq!(told(verified, true, verified), "g  7  downloaded and installed, verified");
    assert_eq!(told(verified, true, unverified), "g  7  downloaded, verified; installed, unverified");
    assert_eq!(told(None, true, verified), "g  7  downloaded; installed, verified");
}

#[test]
fn a_receiver_waits_for_its_turn_or_for_the_next_chain_and_the_line_says_which() {
    let waits = |ahead, in_ms, receivers| {
        let (game, peer) = ("g".parse().unwrap(), "den".parse().unwrap());
        waiting(&QueuedAt { game, peer, peer_id: None, ahead, in_ms, receivers })
    };
    let minutes = Some(130_000);
    assert_eq!(waits(3, minutes, None), "g: waiting for den: 3 before you, about 2 min 10 s");
    let next = waits(0, minutes, Some(6));
    assert_eq!(next, "g: waiting for the next chain of den, about 2 min 10 s (6 receivers)");
    assert_eq!(waits(0, None, Some(1)), "g: waiting for the next chain of den (1 receiver)");
}
