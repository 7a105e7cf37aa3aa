//! What the program was started with.

use std::ffi::OsString;
use std::path::PathBuf;

/// How it is used, for `--help`.
pub const USAGE: &str = "\
Gander's native windows.

Usage: gander-desktop [--data-dir DIR] [SESSION|FOLDER|gander://session/ID]

  SESSION          a session's id or whole name: its window, or a new one that shows it
  FOLDER           a new chat in this folder
  --data-dir DIR   the folder that holds the data (or GANDER_HOME) [default: the platform's own]
  --version        print the version
  --help           print this

Where Gander's windows are open already, this opens what was named there and ends.
";

/// The arguments.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// What to show.
    pub what: Option<OsString>,
    /// Print something and end.
    pub print: Option<Print>,
}

/// What is printed instead of started.
#[derive(Debug, PartialEq, Eq)]
pub enum Print {
    Usage,
    Version,
}

impl Arguments {
    /// Reads them; the program's name is not among them.
    pub fn read(given: impl IntoIterator<Item = OsString>) -> Result<Self, String> {
        let mut arguments = Self::default();
        let mut given = given.into_iter();
        while let Some(argument) = given.next() {
            match argument.to_str() {
                Some("--help" | "-h") => arguments.print = Some(Print::Usage),
                Some("--version" | "-V") => arguments.print = Some(Print::Version),
                Some("--data-dir") => {
                    let folder = given.next().ok_or("--data-dir wants a folder")?;
                    arguments.data_dir = Some(folder.into());
                }
                Some(text) if text.starts_with("--data-dir=") => {
                    arguments.data_dir = Some(text["--data-dir=".len()..].into());
                }
                Some(text) if text.starts_with("--") => return Err(format!("{text} is not known")),
                // A desktop file may be started with an empty field.
                Some("") => {}
                _ if arguments.what.is_some() => return Err("only one session or folder can be named".into()),
                _ => arguments.what = Some(argument),
            }
        }
        Ok(arguments)
    }
}

#[cfg(test)]
mod tests {
    use super::{Arguments, Print};

    fn read(given: &[&str]) -> Result<Arguments, String> {
        Arguments::read(given.iter().map(Into::into))
    }

    #[test]
    fn a_folder_a_session_or_nothing_is_named() {
        assert_eq!(read(&[]).unwrap(), Arguments::default());
        let both = read(&["--data-dir", "/d", "Fix the parser"]).unwrap();
        assert_eq!(both.data_dir.as_deref(), Some("/d".as_ref()));
        assert_eq!(both.what.as_deref(), Some("Fix the parser".as_ref()));
        assert_eq!(read(&["--data-dir=/d"]).unwrap().data_dir, both.data_dir);
        assert_eq!(read(&["", "a"]).unwrap().what.as_deref(), Some("a".as_ref()));
        assert_eq!(read(&["--help"]).unwrap().print, Some(Print::Usage));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        assert_eq!(read(&["--datadir"]).unwrap_err(), "--datadir is not known");
        assert_eq!(read(&["--data-dir"]).unwrap_err(), "--data-dir wants a folder");
        assert!(read(&["a", "b"]).is_err());
    }
}
