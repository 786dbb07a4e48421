//! `ensure` and `absent`: bring games to a state, from whatever is there.

use std::collections::BTreeMap;

use lanspread_peer::{
    ControlRequest, GameForm, GameId, OperationKind, OperationOptions, OperationRequest, RoomFile,
    RoomFileGame,
};

use super::OwnPeer;
use super::operate::options;
use super::requests::{Requested, Work};
use crate::arguments::{Absent, Ensure, Global, WantedGame};
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
    let Ensure { games_wanted, file, form, verify, place, fetching, names, decoder, streaming, force } =
        ensure;
    let room = file.as_deref().map(RoomFile::load).transpose()?;
    let wishes = Wishes::of(room.as_ref(), &games_wanted, form.form());
    let options = options(&fetching)?.with_names(names.names.into()).with_force(force.force);
    let options = streaming.apply(options).with_verify(verify);
    let own = OwnPeer { decoder: Some(&decoder), limits: Some(&fetching.limits) };
    let work = Work { global, output, place: &place, own, fills: true };
    work.run(async |_| Ok(wishes.requests(&options))).await
}

pub(crate) async fn absent(global: &Global, output: Output, absent: Absent) -> CommandResult {
    let Absent { games_wanted, place, force } = absent;
    let wishes = Wishes(games_wanted.into_iter().map(|game| (game, Wish::Absent)).collect());
    let options = OperationOptions::default().with_force(force.force);
    let work = Work { global, output, place: &place, own: OwnPeer::default(), fills: false };
    work.run(async |_| Ok(wishes.requests(&options))).await
}

impl Wishes {
    /// What the room file and the command line say. A game of the command line is as the command line says it, and its
    /// options are for every game of which the room file says nothing else.
    fn of(room: Option<&RoomFile>, named: &[WantedGame], form: GameForm) -> Self {
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
        let named = named.iter().map(|WantedGame { game, version }| {
            (game.clone(), Wish::Present(RoomFileGame { version: version.clone(), form }))
        });
        wishes.extend(named);
        Self(wishes)
    }

    fn requests(self, options: &OperationOptions) -> Vec<Requested> {
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
            Requested { game, request: ControlRequest::Operate(request) }
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
    use lanspread_peer::WantedVersion;

    use super::*;

    #[test]
    fn the_command_line_wins_over_the_room_file_and_its_form_fills_the_gaps() {
        let room = "absent = ['x']\n[games]\na = '1'\nb = { version = 'any', as = 'streamed' }\nc = '3'";
        let room = RoomFile::parse(room).unwrap();
        let named: Vec<WantedGame> = ["c@4", "d", "x"].iter().map(|game| game.parse().unwrap()).collect();
        let wishes = Wishes::of(Some(&room), &named, GameForm::Archives);
        let exactly = |version: &str| WantedVersion::Exactly { version: version.parse().unwrap() };
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
