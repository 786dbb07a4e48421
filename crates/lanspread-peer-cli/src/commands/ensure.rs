//! `ensure` and `absent`: bring games to a state, from whatever is there.

use std::collections::BTreeMap;

use lanspread_peer::{
    GameForm, GameId, GamePattern, GamesAmong, OperationKind, OperationOptions, OperationRequest, RoomFile,
    RoomFileGame, WantedVersion,
};

use super::operate::{ask, asked, options};
use super::requests::{Requested, Work};
use super::selected::Selection;
use super::{OwnPeer, given_peers};
use crate::arguments::{Absent, DryRun, Ensure, Global, WantedGame};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::output::Output;

/// What is wanted of each game, sorted by id.
#[derive(Debug, Default, PartialEq, Eq)]
struct Wishes(BTreeMap<GameId, Wish>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Wish {
    Present(RoomFileGame),
    Absent,
}

pub(crate) async fn ensure(global: &Global, output: Output, ensure: Ensure) -> CommandResult {
    let Ensure { games_wanted, all, file, form, verify, place, fetching, .. } = ensure;
    let Ensure { names, decoder, streaming, force, dry_run: DryRun { dry_run }, .. } = ensure;
    let room = file.as_deref().map(RoomFile::load).transpose()?;
    let options = options(&fetching)?.with_names(names.names.into()).with_force(force.force);
    let options = streaming.apply(options).with_verify(verify);
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&fetching.limits) };
    let work = Work { global, output, place: &place, own, fills: !dry_run, looks: true };
    work.run(async |backend| {
        let options = given_peers::apply(backend, &fetching, options).await?;
        let named = named(backend, &games_wanted, all, &options).await?;
        Ok(Wishes::of(room.as_ref(), named, form.form()).requests(&options, dry_run))
    })
    .await
}

pub(crate) async fn absent(global: &Global, output: Output, absent: Absent) -> CommandResult {
    let Absent { games_wanted, all, place, force, dry_run: DryRun { dry_run } } = absent;
    let options = OperationOptions::default().with_force(force.force);
    let work = Work { global, output, place: &place, own: OwnPeer::default(), fills: false, looks: false };
    work.run(async |backend| {
        let selection = Selection {
            wanted: &games_wanted,
            all: all.then_some(GamesAmong::Here),
            among: GamesAmong::Here,
            // What fits no game is absent.
            must_match: false,
            ask: ask(&options),
        };
        let games = selection.games(backend).await?;
        Ok(Wishes(games.into_iter().map(|game| (game, Wish::Absent)).collect()).requests(&options, dry_run))
    })
    .await
}

/// The games that the command line names, and the version that is wanted of each. What names a game by its id counts more
/// than a pattern, and a later word more than an earlier one.
async fn named(
    backend: &Backend<'_>,
    games_wanted: &[WantedGame],
    all: bool,
    options: &OperationOptions,
) -> Result<BTreeMap<GameId, WantedVersion>, Failure> {
    let mut named = BTreeMap::new();
    let select = async |wanted: &[GamePattern], all: Option<GamesAmong>| {
        let (among, ask) = (GamesAmong::Known, ask(options));
        Selection { wanted, all, among, must_match: true, ask }.games(backend).await
    };
    if all {
        let games = select(&[], Some(GamesAmong::Catalog)).await?;
        named.extend(games.into_iter().map(|game| (game, WantedVersion::Current)));
    }
    let (ids, patterns): (Vec<&WantedGame>, Vec<&WantedGame>) =
        games_wanted.iter().partition(|wanted| matches!(wanted.game, GamePattern::One(_)));
    for WantedGame { game, version } in patterns.into_iter().chain(ids) {
        let games = select(std::slice::from_ref(game), None).await?;
        named.extend(games.into_iter().map(|game| (game, version.clone())));
    }
    Ok(named)
}

impl Wishes {
    /// What the room file and the command line say. A game of the command line is as the command line says it, and its
    /// options are for every game of which the room file says nothing else.
    fn of(room: Option<&RoomFile>, named: BTreeMap<GameId, WantedVersion>, form: GameForm) -> Self {
        let with_form = |wanted: RoomFileGame| match wanted.form {
            GameForm::AsHere => RoomFileGame { form, ..wanted },
            _ => wanted,
        };
        let mut wishes = BTreeMap::new();
        if let Some(room) = room {
            let present =
                room.games().iter().map(|(game, wanted)| (game, Wish::Present(with_form(wanted.clone()))));
            let absent = room.absent().iter().map(|game| (game, Wish::Absent));
            wishes.extend(present.chain(absent).map(|(game, wish)| (game.clone(), wish)));
        }
        let named =
            named.into_iter().map(|(game, version)| (game, Wish::Present(RoomFileGame { version, form })));
        wishes.extend(named);
        Self(wishes)
    }

    fn requests(self, options: &OperationOptions, dry_run: bool) -> Vec<Requested> {
        let request = |(game, wish): (GameId, Wish)| {
            let (kind, options) = match wish {
                Wish::Present(RoomFileGame { version, form }) => {
                    (OperationKind::Ensure, options.clone().with_version(version).with_form(form))
                }
                Wish::Absent => {
                    (OperationKind::Absent, OperationOptions::default().with_force(options.force))
                }
            };
            let request = OperationRequest { kind, game: game.clone(), options };
            Requested { game, request: asked(request, dry_run) }
        };
        self.0.into_iter().map(request).collect()
    }
}

impl From<lanspread_peer::RoomFileError> for Failure {
    fn from(error: lanspread_peer::RoomFileError) -> Self {
        Self::new(error.code(), None, error.to_string(), error.category())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_wins_over_the_room_file_and_its_form_fills_the_gaps() {
        let room = "absent = ['x']\n[games]\na = '1'\nb = { version = 'any', as = 'streamed' }\nc = '3'";
        let room = RoomFile::parse(room).unwrap();
        let exactly = |version: &str| WantedVersion::Exactly { version: version.parse().unwrap() };
        let named = [("c", exactly("4")), ("d", WantedVersion::Current), ("x", WantedVersion::Current)];
        let named = named.into_iter().map(|(game, version)| (game.parse().unwrap(), version)).collect();
        let wishes = Wishes::of(Some(&room), named, GameForm::Archives);
        let present = |version, form| Wish::Present(RoomFileGame { version, form });
        let expected = [
            ("a", present(exactly("1"), GameForm::Archives)),
            ("b", present(WantedVersion::Any, GameForm::Streamed)),
            ("c", present(exactly("4"), GameForm::Archives)),
            ("d", present(WantedVersion::Current, GameForm::Archives)),
            ("x", present(WantedVersion::Current, GameForm::Archives)),
        ];
        let expected = expected.into_iter().map(|(game, wish)| (game.parse().unwrap(), wish)).collect();
        assert_eq!(wishes, Wishes(expected));
    }
}
