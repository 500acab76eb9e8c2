//! What a shell and `man` want to know of the command line: made from its declaration, so that it never
//! says anything else than `--help`.

use std::path::PathBuf;

use clap::CommandFactory;

use super::args::Args;
use super::error::UserError;
use super::exit::Exit;
use super::ui::Ui;
use crate::pipeline::PipelineError;
use crate::report::ReportError;

/// `overgrant completions`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  overgrant completions bash > ~/.local/share/bash-completion/completions/overgrant
  overgrant completions zsh > \"${fpath[1]}/_overgrant\"
  overgrant completions fish > ~/.config/fish/completions/overgrant.fish")]
pub struct Completions {
    /// Which shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// Shells that completions are made for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Shell {
    /// bash 4 and later
    Bash,
    /// zsh
    Zsh,
    /// fish
    Fish,
}

impl From<Shell> for clap_complete::Shell {
    fn from(shell: Shell) -> Self {
        match shell {
            Shell::Bash => clap_complete::Shell::Bash,
            Shell::Zsh => clap_complete::Shell::Zsh,
            Shell::Fish => clap_complete::Shell::Fish,
        }
    }
}

/// `overgrant man`
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  overgrant man | man -l -
  overgrant man --to ~/.local/share/man/man1 && man overgrant-audit")]
pub struct Man {
    /// Folder for overgrant.1 and a page per subcommand; made where it is not there
    #[arg(long, value_name = "DIR")]
    pub to: Option<PathBuf>,
}

/// Prints completions.
pub(super) fn completions(completions: &Completions, ui: &Ui) -> Exit {
    let mut script = Vec::new();
    let shell: clap_complete::Shell = completions.shell.into();
    clap_complete::generate(shell, &mut Args::command(), "overgrant", &mut script);
    ui.print(&String::from_utf8_lossy(&script));
    Exit::Complete
}

/// Prints the page, or writes all pages.
pub(super) fn man(man: &Man, ui: &Ui) -> Result<Exit, UserError> {
    let Some(folder) = &man.to else {
        let mut page = Vec::new();
        let rendered = clap_mangen::Man::new(Args::command()).render(&mut page);
        rendered.map_err(PipelineError::Start)?;
        ui.print(&String::from_utf8_lossy(&page));
        return Ok(Exit::Complete);
    };
    let written = std::fs::create_dir_all(folder)
        .and_then(|()| clap_mangen::generate_to(Args::command(), folder));
    written.map_err(|source| {
        let error = ReportError::Io { doing: "write", path: folder.clone(), source };
        UserError::Run(error.into())
    })?;
    Ok(Exit::Complete)
}
