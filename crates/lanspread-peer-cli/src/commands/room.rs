//! `room`: the room of a daemon, and what other machines are to do.

use std::cell::RefCell;
use std::io::IsTerminal;
use std::time::Duration;

use lanspread_peer::{
    Answer, CancellationToken, ControlReply, ControlRequest, ErrorCategory, OperationFailure, OperationKind,
};
use tokio::time::{MissedTickBehavior, interval};

use crate::arguments::{Global, RoomArguments, RoomCommand, RoomInstall, RoomShow};
use crate::backend::Backend;
use crate::exit::{CommandResult, Failure};
use crate::games_dir::ChosenGamesDir;
use crate::output::{Output, RoomScreen};
use crate::signals::{self, cancel_on_signal_or_panic};

/// The word for every machine that accepts.
const ALL: &str = "all";
/// A table on a terminal is drawn again this often, because the terminal may have another size.
const REDRAW_INTERVAL: Duration = Duration::from_secs(1);

pub(crate) async fn run(global: &Global, output: Output, room: RoomArguments) -> CommandResult {
    match room.command {
        None => show(global, output, room.show).await,
        Some(RoomCommand::Show(room)) => show(global, output, room).await,
        Some(RoomCommand::Install(install)) => self::install(global, output, install).await,
    }
}

async fn show(global: &Global, output: Output, show: RoomShow) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, show.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let is_live = !output.json && !show.once && std::io::stdout().is_terminal();
    let follow = show.follow || is_live;
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let replies = backend.ask(ControlRequest::Room { follow }).await?;
    let screen = RefCell::new(RoomScreen::new(output, is_live));
    let showing = replies.each(&cancel, async |reply| {
        if let ControlReply::Report { report } = reply {
            screen.borrow_mut().hear(&report)?;
        }
        Ok(())
    });
    let redrawing = async {
        let mut redraw = interval(REDRAW_INTERVAL);
        redraw.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            redraw.tick().await;
            if let Err(error) = screen.borrow_mut().redraw() {
                return Failure::from(error);
            }
        }
    };
    let shown = tokio::select! {
        shown = showing => shown,
        failure = redrawing, if is_live => Err(failure),
    };
    match shown {
        // Leaving a table that changes is how it is meant to end.
        Err(failure) if is_live && failure.is_interruption() => {
            signals::taken();
            Ok(())
        }
        shown => shown,
    }
}

async fn install(global: &Global, output: Output, install: RoomInstall) -> CommandResult {
    let games_dir = ChosenGamesDir::of_daemon(global, install.games.games_dir.as_deref())?;
    let backend = Backend::daemon(&games_dir.path)?;
    let is_all = install.on.iter().any(|seat| seat == ALL);
    if is_all && install.on.len() > 1 {
        let message = "`all` stands for every machine that accepts, and needs no others beside it".to_owned();
        return Err(Failure::new("usage", None, message, ErrorCategory::Usage));
    }
    let seats = if is_all { Vec::new() } else { install.on };
    let (kind, game) = (OperationKind::Ensure, install.game);
    let request = if install.looking.dry_run {
        ControlRequest::PlanAt { kind, game, seats }
    } else {
        ControlRequest::OperateAt { kind, game, seats }
    };
    let replies = backend.ask(request).await?;
    let cancel = CancellationToken::new();
    cancel_on_signal_or_panic(cancel.clone())?;
    let (mut accepted, mut first_failed) = (0_usize, None);
    replies
        .each(&cancel, async |reply| {
            let ControlReply::Report { report } = reply else { return Ok(()) };
            match failed(&report) {
                Some(failure) => {
                    first_failed.get_or_insert(failure);
                }
                None => accepted += 1,
            }
            Ok(output.report(&report)?)
        })
        .await?;
    let Some(failure) = first_failed else { return Ok(()) };
    let others = if accepted == 0 { "" } else { "not on every machine: " };
    let message = format!("{others}{}", failure.message);
    Err(OperationFailure::new(failure.code, failure.category, &message).into())
}

/// Why a machine does not, or could not, do what it was asked for.
fn failed(report: &Answer) -> Option<OperationFailure> {
    match report {
        Answer::SeatRefused { name, code, message, .. } => {
            Some(OperationFailure::new(code.clone(), ErrorCategory::Refused, &format!("{name}: {message}")))
        }
        Answer::SeatPlanned(plan) if plan.fits == Some(false) => {
            let message = format!("{}: its disk is too small for {}", plan.name, plan.game);
            Some(OperationFailure::new("not-enough-space", ErrorCategory::Refused, &message))
        }
        _ => None,
    }
}
