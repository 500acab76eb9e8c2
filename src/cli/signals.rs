//! SIGINT and SIGTERM: the first asks the run to end and to keep what it has, the second ends it.

use super::exit::Exit;
use super::progress::Talk;
use super::ui::Ui;
use crate::pipeline::Stop;

/// Sets `stop` at the first signal.
///
/// # Errors
/// When the machine refuses a thread or the handlers.
pub(super) fn watch(stop: Stop, talk: Talk) -> std::io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut interrupt, mut terminate) = runtime.block_on(async {
        use tokio::signal::unix::{SignalKind, signal};
        Ok::<_, std::io::Error>((
            signal(SignalKind::interrupt())?,
            signal(SignalKind::terminate())?,
        ))
    })?;
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            for asked_before in [false, true] {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                if asked_before {
                    end_now();
                }
                stop.set();
                Ui::stopping(&talk);
            }
        });
    })?;
    Ok(())
}

#[expect(clippy::exit, reason = "who asks twice does not want to wait for what is under way")]
fn end_now() {
    std::process::exit(Exit::Interrupted.code().into());
}
