use std::sync::Barrier;

use proptest::prelude::*;

use super::*;

fn games() -> (tempfile::TempDir, Arc<GamesDir>) {
    let folder = tempfile::tempdir().unwrap();
    let games = Arc::new(GamesDir::open(folder.path()).unwrap());
    (folder, games)
}

fn id(name: &str) -> GameId {
    name.parse().unwrap()
}

fn bytes(bytes: u64) -> DiskRoom {
    DiskRoom { bytes, inodes: 0 }
}

/// Books room on a file system that has plenty.
fn book(games: &Arc<GamesDir>, game: &str, needed: DiskRoom) -> Result<Booking, LocalError> {
    Booking::take_room(games, &id(game), needed, plenty)
}

fn free_room(free: DiskRoom) -> Free {
    Free { bytes: free.bytes, inodes: Some(free.inodes), entry_bytes: SPACE_PER_ENTRY_BYTES }
}

#[allow(clippy::unnecessary_wraps)] // it is a `FreeOf`
fn plenty(_: &GamesDir) -> Result<Free, LocalError> {
    Ok(free_room(PLENTY))
}

const PLENTY: DiskRoom = DiskRoom { bytes: 1 << 40, inodes: 1 << 20 };

#[test]
fn small_files_count_with_their_blocks_and_sums_never_wrap() {
    let totals = Totals { files: 10, directories: 2, bytes: 100 };
    let needed_room = needed(totals, 4096);
    assert_eq!(needed_room.bytes, 100 + 12 * 4096 + SPACE_MARGIN_BYTES);
    assert_eq!(needed_room.inodes, 12 + SPACE_MARGIN_INODES);
    let absurd = Totals { files: u64::MAX, directories: u64::MAX, bytes: u64::MAX };
    assert_eq!(needed(absurd, 4096), DiskRoom { bytes: u64::MAX, inodes: u64::MAX });
}

/// FAT and exFAT have large blocks; a network file system says how much it transfers at once.
#[test]
fn an_entry_takes_a_block_of_a_size_that_can_be_believed() {
    for (block_bytes, expected) in
        [(512, 4096), (4096, 4096), (32 << 10, 32 << 10), (64 << 10, 64 << 10), (1 << 20, 4096), (0, 4096)]
    {
        assert_eq!(entry_bytes(block_bytes), expected, "{block_bytes}");
    }
}

#[test]
fn what_can_never_fit_is_refused_with_all_numbers() {
    let (folder, games) = games();
    let huge = Totals { files: 1, directories: 0, bytes: 1 << 60 };
    match Booking::take(&games, &id("a"), huge).unwrap_err() {
        LocalError::NotEnoughSpace { needed_bytes, free_bytes, booked_bytes, .. } => {
            assert!(needed_bytes > free_bytes && booked_bytes == 0);
        }
        error => panic!("{error}"),
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

/// Bytes are free, but not files.
#[test]
fn files_that_the_file_system_cannot_hold_are_refused_with_all_numbers() {
    let (folder, games) = games();
    let needed = DiskRoom { bytes: 1, inodes: 100 };
    let too_few: FreeOf = |_| Ok(free_room(DiskRoom { inodes: 99, ..PLENTY }));
    match Booking::take_room(&games, &id("a"), needed, too_few).unwrap_err() {
        error @ LocalError::NotEnoughInodes {
            needed_inodes: 100, free_inodes: 99, booked_inodes: 0, ..
        } => {
            assert_eq!(error.code(), "not-enough-inodes");
        }
        error => panic!("{error}"),
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
    let enough: FreeOf = |_| Ok(free_room(DiskRoom { inodes: 100, ..PLENTY }));
    drop(Booking::take_room(&games, &id("a"), needed, enough).unwrap());
    let silent: FreeOf = |_| Ok(Free { inodes: None, ..free_room(PLENTY) });
    assert!(Booking::take_room(&games, &id("a"), needed, silent).is_ok(), "it does not tell");
}

/// Of two operations that fit alone but not together, the second one is refused as long as the first one runs.
#[test]
fn what_another_operation_has_booked_is_not_free() {
    let (folder, games) = games();
    let most = DiskRoom { bytes: PLENTY.bytes / 10 * 9, inodes: PLENTY.inodes / 10 * 9 };
    let first = book(&games, "a", most).unwrap();
    // Another process has another handle.
    let theirs = Arc::new(GamesDir::open(folder.path()).unwrap());
    let error = book(&theirs, "b", most).unwrap_err();
    assert!(
        matches!(error, LocalError::NotEnoughSpace { booked_bytes, .. } if booked_bytes == most.bytes),
        "{error}"
    );
    assert!(error.to_string().contains("booked"), "{error}");
    let error = book(&theirs, "b", DiskRoom { bytes: 1, ..most }).unwrap_err();
    assert!(
        matches!(error, LocalError::NotEnoughInodes { booked_inodes, .. } if booked_inodes == most.inodes),
        "{error}"
    );
    assert!(book(&theirs, "b", bytes(1)).is_ok(), "a booking that fits beside it is accepted");
    drop(first);
    drop(book(&theirs, "b", most).unwrap());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0, "nothing is left");
}

/// What is told beforehand and what is refused are the same figures, beside another operation and beside a killed one,
/// and looking writes nothing.
#[test]
fn an_estimate_says_that_it_does_not_fit_exactly_if_the_booking_is_refused() {
    let (folder, games) = games();
    let other = DiskRoom { bytes: PLENTY.bytes / 2, inodes: PLENTY.inodes / 2 };
    let _running = book(&games, "other", other).unwrap();
    let killed = Booked::new(PLENTY, DiskRoom::default());
    let leftover = folder.path().join(".lanspread/bookings/killed.json");
    let (bytes_left, inodes_left) = (PLENTY.bytes - other.bytes, PLENTY.inodes - other.inodes);
    for (bytes, inodes, fits) in [
        (bytes_left, inodes_left, true),
        (bytes_left + 1, inodes_left, false),
        (bytes_left, inodes_left + 1, false),
    ] {
        std::fs::write(&leftover, serde_json::to_vec(&killed).unwrap()).unwrap();
        let needed = DiskRoom { bytes, inodes };
        let estimate = estimate_room(&games, &id("g"), needed, plenty).unwrap();
        assert_eq!((estimate.booked_bytes, estimate.booked_inodes), (other.bytes, other.inodes));
        assert!(leftover.exists(), "an estimate removes nothing");
        let told = estimate.missing(games.path()).map(|error| error.to_string());
        let refused = book(&games, "g", needed).err().map(|error| error.to_string());
        assert_eq!((told.is_none(), &told), (fits, &refused), "{needed:?}");
    }
    let again = estimate_room(&games, &id("other"), other, plenty).unwrap();
    assert_eq!(again.booked_bytes, 0, "the next operation on a game begins when this one has ended");
}

/// Operations that begin at the same moment see each other: of those that need more than half, one is accepted. The
/// free space is asked for while the folder is locked, so that without the lock all of them would be in there together.
#[test]
fn of_operations_that_begin_together_only_those_that_fit_together_are_accepted() {
    use std::sync::atomic::AtomicUsize;
    use std::sync::atomic::Ordering::SeqCst;

    const OPERATIONS: usize = 8;
    static INSIDE: AtomicUsize = AtomicUsize::new(0);
    let free: FreeOf = |games| {
        assert_eq!(INSIDE.fetch_add(1, SeqCst), 0, "two count at the same time");
        std::thread::yield_now();
        INSIDE.fetch_sub(1, SeqCst);
        plenty(games)
    };
    for round in 0..20 {
        let (folder, _games) = games();
        let barrier = Barrier::new(OPERATIONS);
        let accepted: Vec<Option<Booking>> = std::thread::scope(|scope| {
            let operation = |number: usize| {
                let (folder, barrier) = (folder.path(), &barrier);
                scope.spawn(move || {
                    let games = Arc::new(GamesDir::open(folder).unwrap());
                    barrier.wait();
                    let more_than_half = bytes(PLENTY.bytes / 2 + 1);
                    Booking::take_room(&games, &id(&format!("g{number}")), more_than_half, free).ok()
                })
            };
            let begun: Vec<_> = (0..OPERATIONS).map(operation).collect();
            begun.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(accepted.iter().flatten().count(), 1, "round {round}");
    }
}

/// The interval between two renewals has passed.
fn wait_for_renewal(booking: &Booking) {
    booking.state().renewed -= PROGRESS_INTERVAL;
}

/// What the other operations of this games directory have booked, as the next one reads it.
fn read_back(games: &GamesDir) -> Vec<Booked> {
    let bookings = games.existing_state_folder(BOOKINGS_DIR).unwrap().unwrap();
    others(games, &bookings, "ours.json", Dead::Remove).unwrap()
}

#[test]
fn what_is_written_does_not_count_twice() {
    let (_folder, games) = games();
    let most = DiskRoom { bytes: PLENTY.bytes / 10 * 9, inodes: 0 };
    let first = book(&games, "a", most).unwrap();
    // A shorter number after a longer one, and twice: what is read back is always the newest.
    for written_bytes in [most.bytes - 7, 5, most.bytes] {
        wait_for_renewal(&first);
        first.note_written(written_bytes);
        let [booked] = read_back(&games)[..] else { panic!("one booking") };
        assert_eq!(booked, Booked::new(most, bytes(written_bytes)));
        assert_eq!(booked.open().bytes, most.bytes - written_bytes);
    }
    first.note_written(0);
    assert_eq!(read_back(&games)[0].written_bytes, most.bytes, "not at every byte");
    assert!(book(&games, "b", most).is_ok());
}

const NOTHING: Written = Written { bytes: 0, files: 0, folders: 0 };

/// What waits to be written needs its space, but the disk does not have it yet.
#[test]
fn files_that_wait_are_needed_and_not_written() {
    let (_folder, games) = games();
    let totals = Totals { files: 2, directories: 0, bytes: 10 };
    let booking = Booking::take(&games, &id("a"), totals).unwrap();
    let files = SPACE_MARGIN_INODES + 2 * BOOKING_STEP_INODES;
    let (counted, waiting) =
        (Written { bytes: 30, files, folders: 0 }, Written { bytes: 20, files: files - 1, folders: 0 });
    booking.cover(counted, waiting).unwrap();
    let booked = read_back(&games)[0];
    assert!(booked.needed_inodes > files, "{booked:?}");
    assert_eq!((booked.written_inodes, booked.written_bytes), (1, 10));
}

/// An operation that creates more files than it said books them as soon as they are created, and is refused if they do
/// not fit.
#[test]
fn an_operation_that_outgrows_its_booking_books_more_at_once() {
    let (_folder, games) = games();
    let totals = Totals { files: 2, directories: 1, bytes: 10 };
    let booking = Booking::take(&games, &id("a"), totals).unwrap();
    let entry_bytes = booking.entry_bytes;
    let booked = read_back(&games)[0];
    booking.cover(Written { bytes: 10, files: 2, folders: 1 }, NOTHING).unwrap();
    assert_eq!(read_back(&games)[0], booked, "it was announced, and it is too early to renew");
    let folders = 2 + SPACE_MARGIN_INODES - SLACK.inodes;
    booking.cover(Written { bytes: 10, files: 2, folders: folders - 1 }, NOTHING).unwrap();
    assert_eq!(read_back(&games)[0], booked, "a part of the margin is for this");
    booking.cover(Written { bytes: 10, files: 2, folders }, NOTHING).unwrap();
    let extended = read_back(&games)[0];
    assert_eq!((extended.written_inodes, extended.written_bytes), (2 + folders, 10 + folders * entry_bytes));
    assert!(extended.needed_inodes > 2 + folders + SLACK.inodes);
    assert!(extended.needed_bytes >= extended.written_bytes + SLACK.bytes);
    booking.cover(Written { bytes: 11, files: 3, folders }, NOTHING).unwrap();
    assert_eq!(read_back(&games)[0], extended, "a step ahead, so that not every file costs a renewal");
    assert_eq!((booking.rest_of_block(0), booking.rest_of_block(1)), (0, entry_bytes - 1));
    drop(booking);
    // With room for what was announced and for nothing else.
    let little: FreeOf = |_| Ok(free_room(DiskRoom { inodes: 3 + SPACE_MARGIN_INODES, ..PLENTY }));
    let booking = Booking::take_room(&games, &id("a"), needed(totals, entry_bytes), little).unwrap();
    let booked = read_back(&games)[0];
    let error = booking.cover(Written { bytes: 10, files: 2, folders }, NOTHING).unwrap_err();
    assert_eq!(error.code(), "not-enough-inodes", "{error}");
    assert_eq!(read_back(&games)[0], booked, "what was refused is not booked");
}

#[test]
fn the_booking_of_a_killed_operation_does_not_count_and_is_removed() {
    let dead = r#"{"needed_bytes":1152921504606846976,"written_bytes":0}"#;
    for sweep in [false, true] {
        let (folder, games) = games();
        let bookings = folder.path().join(".lanspread/bookings");
        std::fs::create_dir_all(&bookings).unwrap();
        std::fs::write(bookings.join("a.json"), dead).unwrap();
        if sweep {
            remove_dead(&games).unwrap();
        } else {
            drop(book(&games, "b", bytes(1)).unwrap());
        }
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }
    let (_folder, games) = games();
    let alive = book(&games, "a", bytes(1)).unwrap();
    remove_dead(&games).unwrap();
    assert_eq!(read_back(&games).len(), 1, "what runs stays booked");
    drop(alive);
}

/// Files that are no files, under the names of bookings: nothing is waited for, and nothing is written through.
#[test]
fn pipes_and_links_are_no_bookings() {
    let (folder, games) = games();
    let bookings = folder.path().join(".lanspread/bookings");
    std::fs::create_dir_all(&bookings).unwrap();
    std::fs::write(folder.path().join("precious"), "kept").unwrap();
    let fifo = bookings.join("pipe.json");
    rustix::fs::mkfifoat(rustix::fs::CWD, &fifo, rustix::fs::Mode::RWXU).unwrap();
    std::os::unix::fs::symlink("../../precious", bookings.join("link.json")).unwrap();
    std::fs::hard_link(folder.path().join("precious"), bookings.join("a.json")).unwrap();
    let booking = book(&games, "a", bytes(1)).unwrap();
    wait_for_renewal(&booking);
    booking.note_written(1);
    drop(booking);
    assert_eq!(std::fs::read(folder.path().join("precious")).unwrap(), b"kept");
}

#[test]
fn operations_that_come_and_go_do_not_lose_each_other_s_folder() {
    let (_folder, games) = games();
    std::thread::scope(|scope| {
        for number in 0..4 {
            let games = &games;
            scope.spawn(move || {
                for _ in 0..100 {
                    drop(book(games, &format!("g{number}"), bytes(1)).unwrap());
                }
            });
        }
    });
}

proptest! {
    /// An accepted operation never needs more than is left beside what the others will still use.
    #[test]
    fn no_space_is_booked_twice(
        free in any::<u64>(),
        needed in any::<u64>(),
        others in proptest::collection::vec(any::<(u64, u64)>(), 0..4),
    ) {
        let open: u128 =
            others.iter().map(|(needed, written)| u128::from(needed.saturating_sub(*written))).sum();
        let expected = open + u128::from(needed) <= u128::from(free) || needed == 0;
        let in_bytes = others
            .iter()
            .map(|(needed, written)| Booked::new(bytes(*needed), bytes(*written)));
        let room = free_room(DiskRoom { bytes: free, inodes: 0 });
        let missing = Estimate::new(bytes(needed), room, in_bytes).missing(Path::new("games"));
        prop_assert_eq!(missing.is_none(), expected);
        let inodes = |inodes| DiskRoom { bytes: 0, inodes };
        let in_inodes = others
            .iter()
            .map(|(needed, written)| Booked::new(inodes(*needed), inodes(*written)));
        let room = free_room(DiskRoom { bytes: 0, inodes: free });
        let missing = Estimate::new(inodes(needed), room, in_inodes).missing(Path::new("games"));
        prop_assert_eq!(missing.is_none(), expected);
    }
}
