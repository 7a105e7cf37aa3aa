use std::io;
use std::path::{Path, PathBuf};

use clap::{Args, Command, CommandFactory};
use clap_mangen::Man;
use serde_json::json;

use super::Cli;
use crate::failure::Failure;
use crate::output::{Outcome, Output};

/// Write the manual pages into a folder
///
/// One page for each command, as `man` reads them: `gander.1`, `gander-serve.1`, `gander-sessions-list.1` and so on.
#[derive(Args)]
#[command(
    hide = true,
    after_help = "Examples:
  gander manual ~/.local/share/man/man1"
)]
pub struct Manual {
    /// The folder; it is made where it is not there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

impl Manual {
    pub fn run(self, output: &Output) -> Result<Outcome, Failure> {
        let mut command = Cli::command().disable_help_subcommand(true);
        command.build();
        let mut pages = Vec::new();
        write(&command, &self.folder, &mut pages).map_err(|error| {
            let what = format!("The manual pages could not be written into {}.", self.folder.display());
            Failure::new(what, "Name a folder that you may write.").because(&error)
        })?;
        output.result(&json!({"pages": pages}), || format!("{} pages\n", pages.len()));
        Ok(Outcome::Done)
    }
}

fn write(command: &Command, folder: &Path, pages: &mut Vec<String>) -> io::Result<()> {
    std::fs::create_dir_all(folder)?;
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = format!("{name}.1");
    let mut text = Vec::new();
    // The date is left out: the same program gives the same pages on every day.
    let man = Man::new(command.clone()).manual("Gander").source(format!("gander {}", gander_upgrade::VERSION));
    man.render_title(&mut text)?;
    man.render_name_section(&mut text)?;
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if command.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    let after = command.get_after_long_help().or_else(|| command.get_after_help());
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if let Some(after) = after {
        text.push_str(&sections(&after.to_string()));
    }
    std::fs::write(folder.join(&page), text)?;
    pages.push(page);
    for inner in command.get_subcommands().filter(|inner| !inner.is_hide_set()) {
        write(inner, folder, pages)?;
    }
    Ok(())
}

/// What stands after a command's help, whose examples keep their lines.
fn sections(after: &str) -> String {
    let mut text = String::new();
    for paragraph in after.split("\n\n") {
        match paragraph.split_once(":\n") {
            Some((title, lines)) if lines.starts_with("  ") => {
                text.push_str(&format!(".SH {}\n.nf\n", title.to_uppercase()));
                lines.lines().for_each(|line| text.push_str(&(escaped(line.trim_start_matches("  ")) + "\n")));
                text.push_str(".fi\n");
            }
            _ => text.push_str(&format!(".SH NOTES\n{}\n", escaped(paragraph).replace('\n', " "))),
        }
    }
    text
}

/// For roff a backslash begins a request, a hyphen is not a minus, and a line must not begin with a full stop.
fn escaped(line: &str) -> String {
    let line = line.replace('\\', "\\e").replace('-', "\\-");
    if line.starts_with(['.', '\'']) { format!("\\&{line}") } else { line }
}

#[cfg(test)]
mod tests {
    use super::sections;

    #[test]
    fn examples_keep_their_lines_and_nothing_becomes_a_request() {
        let text = sections("Examples:\n  gander open .\n  .hidden 'x'\n\nExit status: 0\ndone \\o/");
        insta::assert_snapshot!(text, @r"
        .SH EXAMPLES
        .nf
        gander open .
        \&.hidden 'x'
        .fi
        .SH NOTES
        Exit status: 0 done \eo/
        ");
    }
}
