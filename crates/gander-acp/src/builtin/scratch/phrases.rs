//! What a prompt asks for: a slash command, or a plain phrase. No guessing beyond that: there is no model.

/// A slash command, as it is advertised and as `/help` shows it.
pub(super) struct Command {
    pub(super) name: &'static str,
    pub(super) hint: &'static str,
    pub(super) what: &'static str,
}

const fn command(name: &'static str, hint: &'static str, what: &'static str) -> Command {
    Command { name, hint, what }
}

pub(super) const COMMANDS: &[Command] = &[
    command("help", "", "What I can do"),
    command("list", "FOLDER", "List the files of a folder"),
    command("read", "FILE", "Show a file"),
    command("grep", "TEXT [in FOLDER]", "Find a text in the folder's files"),
    command("edit", "FILE: OLD => NEW", "Replace a text in a file; asks first"),
    command("write", "FILE: TEXT", "Write a file; asks first"),
    command("run", "COMMAND", "Run a command in the folder; asks first"),
    command("echo", "TEXT", "Say a text"),
    command("markdown", "", "A long answer with everything that Markdown has, hostile HTML included"),
    command("image", "", "A picture"),
    command("think", "TEXT", "Think before answering"),
    command("plan", "", "Work through a plan"),
    command("permission", "TITLE", "Ask for leave and say what came of it"),
    command("title", "TEXT", "Propose a title for the session"),
    command("stream", "N chunks D ms", "Stream N chunks with D milliseconds between them"),
    command("clock", "N chunks D ms", "Stream N chunks that say when they were sent, in microseconds modulo 1,000 s"),
    command("delay", "MS", "Wait before going on"),
    command("big", "BYTES [message]", "A tool call (or a message) with that much output"),
    command("unknown", "", "Send an update of an unknown kind with unknown fields"),
    command("late", "", "Send an update after the turn's end"),
    command("error", "CODE TEXT", "Answer the prompt with a protocol error"),
    command("garbage", "N", "Print N lines that are not messages"),
    command("invalid-utf8", "", "Print an update with bytes that are not UTF-8"),
    command("orphan", "", "Start a process that outlives me"),
    command("hang", "", "Stop answering, and do not react to being cancelled"),
    command("crash", "", "Abort the process"),
    command("exit", "CODE", "Exit in the middle of the turn"),
];

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// A slash command with its argument.
    Command { name: String, argument: String },
    /// A slash that is not one of ours.
    UnknownCommand(String),
    /// A greeting or a question about ourselves.
    Hello,
    /// Nothing that we understand.
    Talk(String),
}

impl Wish {
    fn of(name: &str, argument: &str) -> Self {
        Self::Command { name: name.to_owned(), argument: argument.trim().to_owned() }
    }

    /// Reads a prompt: either its lines are slash commands, one each, or the whole of it is one phrase.
    pub(super) fn read(prompt: &str) -> Vec<Self> {
        let prompt = prompt.trim();
        if !prompt.starts_with('/') {
            return vec![Self::phrase(prompt)];
        }
        let mut wishes: Vec<Self> = Vec::new();
        for line in prompt.lines() {
            match (
                line.strip_prefix('/').map(|line| line.split_once(char::is_whitespace).unwrap_or((line, ""))),
                wishes.last_mut(),
            ) {
                (Some((name, argument)), _) if COMMANDS.iter().any(|command| command.name == name) => {
                    wishes.push(Self::of(name, argument));
                }
                // A further line of what is said or written.
                (_, Some(Self::Command { name, argument }))
                    if matches!(name.as_str(), "echo" | "write" | "edit" | "think") =>
                {
                    argument.push('\n');
                    argument.push_str(line);
                }
                (Some((name, _)), _) => wishes.push(Self::UnknownCommand(name.to_owned())),
                (None, _) if line.trim().is_empty() => {}
                (None, _) => wishes.push(Self::phrase(line.trim())),
            }
        }
        wishes
    }

    fn phrase(text: &str) -> Self {
        let lower = text.to_lowercase();
        let plain = lower.trim_end_matches(['.', '!', '?', ' ']);
        // The original's rest after a prefix; lowercasing can change a text's length, so only ASCII prefixes count.
        let after = |prefix: &str| {
            let head = text.get(..prefix.len())?;
            (head.eq_ignore_ascii_case(prefix)).then(|| text[prefix.len()..].trim())
        };
        let first = |prefixes: &[&str]| prefixes.iter().find_map(|prefix| after(prefix));
        if matches!(plain, "hi" | "hello" | "hey" | "help" | "who are you" | "what can you do" | "good morning") {
            return Self::Hello;
        }
        if matches!(
            plain,
            "ls" | "list" | "list files" | "list the files" | "show files" | "show the files" | "what files are here"
        ) {
            return Self::of("list", "");
        }
        if let Some(folder) = first(&["list files in ", "list the files in ", "list ", "ls "]) {
            return Self::of("list", folder);
        }
        if let Some(line) = first(&["run ", "execute ", "$ "]) {
            return Self::of("run", unquote(line));
        }
        if let Some(what) = first(&["grep for ", "grep ", "search for ", "find ", "search "]) {
            return Self::of("grep", what);
        }
        if let Some(what) = first(&["edit ", "change ", "replace "]) {
            return Self::of("edit", what);
        }
        if let Some(what) = first(&["write ", "create "]) {
            return Self::of("write", what);
        }
        if let Some(file) = first(&["read ", "show me ", "show ", "open ", "cat ", "print "]) {
            return Self::of("read", file);
        }
        if let Some(what) = first(&["say ", "echo "]) {
            return Self::of("echo", what);
        }
        if matches!(plain, "make a plan" | "plan") {
            return Self::of("plan", "");
        }
        Self::Talk(text.to_owned())
    }
}

/// Takes one pair of quotes or backquotes off.
pub(super) fn unquote(text: &str) -> &str {
    let text = text.trim();
    ['"', '\'', '`'].into_iter().find_map(|quote| text.strip_prefix(quote)?.strip_suffix(quote)).unwrap_or(text)
}

/// The whole numbers in a text, in order: `"20 chunks 5 ms"` has 20 and 5.
pub(super) fn numbers(text: &str) -> Vec<u64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|digits| digits.parse().ok()).collect()
}

/// Reads `FILE: OLD => NEW`, `FILE: replace OLD with NEW` or `OLD with NEW in FILE`.
pub(super) fn replacement(argument: &str) -> Option<(String, String, String)> {
    let owned = |file: &str, old: &str, new: &str| {
        let (file, old, new) = (unquote(file), unquote(old), unquote(new));
        (!file.is_empty() && !old.is_empty()).then(|| (file.to_owned(), old.to_owned(), new.to_owned()))
    };
    if let Some((file, change)) = argument.split_once(':') {
        let change = change.trim();
        let change = change.strip_prefix("replace ").unwrap_or(change);
        let (old, new) = change.split_once("=>").or_else(|| change.split_once(" with "))?;
        return owned(file, old, new);
    }
    let (old, rest) = argument.split_once(" with ")?;
    let (new, file) = rest.rsplit_once(" in ")?;
    owned(file, old, new)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_read_as_commands_or_as_one_phrase() {
        let command = |name: &str, argument: &str| Wish::of(name, argument);
        for (prompt, wishes) in [
            ("list files", vec![command("list", "")]),
            ("Read README.md", vec![command("read", "README.md")]),
            ("run `ls -l`", vec![command("run", "ls -l")]),
            ("grep TODO in src", vec![command("grep", "TODO in src")]),
            ("/stream 20 chunks 5 ms\n/crash", vec![command("stream", "20 chunks 5 ms"), command("crash", "")]),
            ("/echo one\ntwo\n/think x", vec![command("echo", "one\ntwo"), command("think", "x")]),
            ("/etc/passwd is a file", vec![Wish::UnknownCommand("etc/passwd".into())]),
            ("Hello!", vec![Wish::Hello]),
            ("ünïcode 😀", vec![Wish::Talk("ünïcode 😀".into())]),
            ("", vec![Wish::Talk(String::new())]),
        ] {
            assert_eq!(Wish::read(prompt), wishes, "{prompt}");
        }
    }

    #[test]
    fn a_replacement_is_read_in_its_three_forms() {
        let wanted = Some(("a.txt".to_owned(), "one".to_owned(), "two".to_owned()));
        assert_eq!(replacement("a.txt: one => two"), wanted);
        assert_eq!(replacement("a.txt: replace \"one\" with \"two\""), wanted);
        assert_eq!(replacement("one with two in a.txt"), wanted);
        assert_eq!(replacement("a.txt"), None);
    }
}
