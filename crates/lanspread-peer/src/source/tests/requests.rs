//! Requests: bad bytes, silence, and requests for what may not be served.

use super::*;

/// Bytes that are not a request end their own connection without an answer. Another connection continues.
#[tokio::test]
async fn bad_bytes_end_their_own_connection_only() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let (near, beside) = serving.connect(64 * 1024);
    let mut neighbour = dialled(near, &hello("neighbour")).await.unwrap();
    let after_hello = |bytes: &[u8]| [&introduction(), bytes].concat();
    let version = |version: u16| [&b"LANSPRD\n"[..], &version.to_be_bytes()].concat();
    let proved = opening(&pipe().0, PROTOCOL_VERSION);
    let table: Vec<(&str, Vec<u8>)> = vec![
        ("nothing", Vec::new()),
        ("another protocol", b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec()),
        ("TLS", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec()),
        ("half a preamble", b"LANS".to_vec()),
        ("another version", version(PROTOCOL_VERSION + 1)),
        ("version zero", version(0)),
        ("no proof", version(PROTOCOL_VERSION)),
        ("a wrong proof", [version(PROTOCOL_VERSION), vec![7; 32]].concat()),
        ("its own proof", opening(&pipe().1, PROTOCOL_VERSION)),
        ("no hello", proved.clone()),
        ("a hello of data", [&proved, &raw_frame(1, b"x")[..]].concat()),
        ("a hello of garbage", [&proved, &control_frame(&[0xff; 60])[..]].concat()),
        ("a hello of 4 GiB", [&proved, &[0xff, 0xff, 0xff, 0xff, 0][..]].concat()),
        ("nothing after hello", introduction()),
        ("hello again", [introduction(), introduction()].concat()),
        ("a request of 4 GiB", after_hello(&[0xff, 0xff, 0xff, 0xff, 0])),
        ("a request over the limit", after_hello(&[0, 1, 0, 1, 0])),
        ("data for a request", after_hello(&raw_frame(1, b"x"))),
        ("an unknown kind", after_hello(&raw_frame(9, b"x"))),
        ("an empty request", after_hello(&raw_frame(0, b""))),
        ("an unknown request", after_hello(&control_frame(&[99]))),
        ("trailing bytes", after_hello(&control_frame(&[0, 0]))),
        ("a game that is a path", after_hello(&control_frame(b"\x01\x05../..\x00"))),
        ("a game that is our state", after_hello(&control_frame(b"\x01\x0a.lanspread"))),
        ("a version with a line break", after_hello(&control_frame(b"\x04\x05small\x03a\nb"))),
        ("an endless game name", after_hello(&control_frame(b"\x01\xfd\xff\xff\xff\xff\xff\xff\xff\xff"))),
        ("half a header", after_hello(&[0, 0])),
        ("half a request", after_hello(&[0, 0, 0, 20, 0, 1])),
    ];
    for (name, bytes) in table {
        let (mut near, served) = serving.connect(64 * 1024);
        // The source may have given up before it has read all bytes.
        let _ = near.write_all(&bytes).await;
        let _ = near.shutdown().await;
        let mut said = Vec::new();
        near.read_to_end(&mut said).await.unwrap();
        assert!(said.len() < 100, "{name}: it sends its hello and nothing else: {said:?}");
        serving.assert_ends(served, name).await;
        neighbour.send(&Request::Status).await.unwrap();
        match neighbour.receive("reply", limits::REPLY_DEADLINE).await.unwrap() {
            Some(Reply::Status(status)) => assert_eq!(status.connections, 1, "{name}"),
            other => panic!("{name}: {other:?}"),
        }
    }
    drop(neighbour);
    serving.assert_ends(beside, "the neighbour").await;
    serving.assert_quiet("after bad bytes");
}

/// A silent connection is given up: soon before its hello, later between two requests.
#[tokio::test(start_paused = true)]
async fn silent_connections_are_given_up() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let half = introduction().len() / 2;
    for (said, deadline) in [
        (Vec::new(), limits::HELLO_DEADLINE),
        (introduction()[..half].to_vec(), limits::HELLO_DEADLINE),
        (introduction(), limits::REQUEST_IDLE_DEADLINE),
        ([introduction(), vec![0, 0, 0, 9]].concat(), limits::FRAME_DEADLINE),
    ] {
        let begun = Instant::now();
        let (mut near, served) = serving.connect(64 * 1024);
        near.write_all(&said).await.unwrap();
        served.await.unwrap();
        assert_eq!(begun.elapsed().as_secs(), deadline.as_secs(), "after {} bytes", said.len());
    }
    serving.assert_quiet("after silence");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// Random bytes before, in or after the hello lead to a closed connection that leaves nothing.
    #[test]
    fn random_bytes_are_survived(
        cut in 0usize..80,
        bytes in proptest::collection::vec(any::<u8>(), 0..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let serving = Serving::new(Arc::new(UntouchedProvider));
            let (mut near, served) = serving.connect(1024 * 1024);
            let introduction = introduction();
            near.write_all(&introduction[..cut.min(introduction.len())]).await.unwrap();
            near.write_all(&bytes).await.unwrap();
            near.shutdown().await.unwrap();
            near.read_to_end(&mut Vec::new()).await.unwrap();
            serving.assert_ends(served, "random bytes").await;
            serving.assert_quiet("random bytes");
        });
    }
}

/// A game that is not downloaded, not in the catalog, in another version than the catalog's, or held by an operation is
/// refused for every request, with the same code and without opening any archive.
#[tokio::test]
async fn what_may_not_be_served_is_refused_by_every_request() {
    const CATALOG: &str = "schema = 1\n[games.small]\nname = 's'\nversion = '20250101'\n\
        [games.unknown]\nname = 'u'\nversion = '1'\n";
    const OTHER_CATALOG: &str = "schema = 1\n[games.small]\nname = 's'\nversion = '2'\n";
    const FOREIGN_CATALOG: &str = "schema = 1\n[games.other]\nname = 'o'\nversion = '1'\n";
    /// A request, the catalog, and what is done to the games directory before.
    struct Case {
        name: &'static str,
        catalog: Option<&'static str>,
        game: &'static str,
        version: &'static str,
        code: &'static str,
        setup: fn(&Path),
    }
    let unknown = Case {
        name: "unknown",
        catalog: None,
        game: "unknown",
        version: "1",
        code: "not-offered",
        setup: |_| {},
    };
    let known = || Case { game: "small", version: "20250101", ..unknown };
    let table = [
        Case { name: "unknown, in the catalog", catalog: Some(CATALOG), ..unknown },
        Case { name: "not in the catalog", catalog: Some(FOREIGN_CATALOG), ..known() },
        Case {
            name: "the catalog says another version",
            catalog: Some(OTHER_CATALOG),
            version: "2",
            code: "other-version",
            ..known()
        },
        Case {
            name: "an archive without a sentinel",
            setup: |games| std::fs::remove_file(games.join("small/version.ini")).unwrap(),
            ..known()
        },
        Case {
            name: "a sentinel without a version",
            setup: |games| std::fs::write(games.join("small/version.ini"), "\n\n").unwrap(),
            ..known()
        },
        Case {
            name: "installed, not shareable",
            game: "local-only",
            setup: |games| {
                std::fs::create_dir_all(games.join("local-only/local/data")).unwrap();
                std::fs::write(games.join("local-only/local/version.ini"), "1").unwrap();
                std::fs::write(games.join("local-only/local/x.eti"), "Rar!").unwrap();
            },
            ..unknown
        },
        Case {
            name: "an operation is recorded",
            setup: |games| {
                std::fs::create_dir_all(games.join(".lanspread/intents")).unwrap();
                std::fs::write(games.join(".lanspread/intents/small.json"), "{}").unwrap();
            },
            ..known()
        },
        Case {
            name: "a file where a game root belongs",
            game: "plain",
            setup: |games| std::fs::write(games.join("plain"), "").unwrap(),
            ..unknown
        },
        unknown,
    ];
    for Case { name, catalog, game, version, code, setup } in table {
        let serving = Serving::with(Arc::new(UntouchedProvider), catalog, 2);
        setup(&serving.machine.games_dir());
        let (id, wanted): (GameId, GameVersion) = (game.parse().unwrap(), version.parse().unwrap());
        for request in [Request::Details { game: id.clone() }, Request::Totals { game: id, version: wanted }]
        {
            let reply = serving.ask(&request).await.unwrap();
            assert_eq!(refusal_code(&reply), Some(code), "{name}: {reply:?}");
        }
        let (mut connection, served) = serving.stream(game, version, 4096).await;
        match connection.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Failed(refusal)) => {
                assert_eq!(refusal.code.as_str(), code, "{name}");
                let told = refusal.message;
                let folder = serving.machine.games_dir();
                assert!(!told.contains(folder.to_str().unwrap()), "{name} reveals a local path: {told}");
            }
            other => panic!("{name}: {other:?}"),
        }
        serving.assert_ends(served, name).await;
        match serving.ask(&Request::News { library: None, activity: None }).await.unwrap() {
            Reply::Games { games, more: false, .. } => {
                assert!(games.iter().all(|offer| offer.game.as_str() != game), "{name}: {games:?}");
            }
            other => panic!("{name}: {other:?}"),
        }
    }
}

/// A request for a version is refused if the source has another one.
#[tokio::test]
async fn another_version_is_refused() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let request = Request::Totals { game: small_game::game(), version: "1".parse().unwrap() };
    assert_eq!(refusal_code(&serving.ask(&request).await.unwrap()), Some("other-version"));
    let (mut connection, _served) = serving.stream("small", "1", 4096).await;
    let item = connection.receive_item().await.unwrap();
    assert!(
        matches!(item, StreamItem::Control(StreamMessage::Failed(refusal)) if refusal.code == RefusalCode::OtherVersion)
    );
}

/// A source offers only the sentinel and the archives directly in a game root. It offers nothing in `local/`, in
/// staging, in a backup or in our state, and no game that exists only there.
#[tokio::test]
async fn no_files_of_the_user_or_of_our_state_are_ever_offered() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    let games = serving.machine.games_dir();
    for folder in ["local", ".local.installing", ".local.backup", "extra.eti", "sub"] {
        let folder = serving.root("small").join(folder);
        std::fs::create_dir_all(folder.join("small")).unwrap();
        for file in ["secret.eti", "version.ini", "small/secret.eti", "small/version.ini"] {
            std::fs::write(folder.join(file), "1").unwrap();
        }
    }
    std::fs::write(serving.root("small").join("notes.txt"), "private").unwrap();
    for folder in [".lanspread", ".lanspread/receipts"] {
        std::fs::create_dir_all(games.join(folder)).unwrap();
        std::fs::write(games.join(folder).join("version.ini"), "1").unwrap();
        std::fs::write(games.join(folder).join("x.eti"), "1").unwrap();
    }
    match serving.ask(&Request::News { library: None, activity: None }).await.unwrap() {
        Reply::Games { games, .. } => {
            let names: Vec<&str> = games.iter().map(|offer| offer.game.as_str()).collect();
            assert_eq!(names, ["small"]);
        }
        other => panic!("{other:?}"),
    }
    match serving.ask(&Request::Details { game: small_game::game() }).await.unwrap() {
        Reply::Details { files, .. } => {
            let names: Vec<&str> = files.iter().map(|file| file.name.as_str()).collect();
            assert_eq!(names, ["small.eti", "version.ini"]);
        }
        other => panic!("{other:?}"),
    }
}

/// A sentinel without an archive, and a volume set with a gap, are offered in lists but cannot be streamed.
#[tokio::test]
async fn what_is_not_whole_cannot_be_streamed() {
    let serving = Serving::new(Arc::new(UntouchedProvider));
    for (game, file, code) in
        [("empty", None, "not-offered"), ("gap", Some("gap.part2.eti"), "archive-damaged")]
    {
        std::fs::create_dir(serving.root(game)).unwrap();
        std::fs::write(serving.root(game).join("version.ini"), "1").unwrap();
        if let Some(file) = file {
            std::fs::write(serving.root(game).join(file), "Rar!").unwrap();
        }
        let (mut connection, _served) = serving.stream(game, "1", 4096).await;
        match connection.receive_item().await.unwrap() {
            StreamItem::Control(StreamMessage::Failed(refusal)) => assert_eq!(refusal.code.as_str(), code),
            other => panic!("{game}: {other:?}"),
        }
    }
}
