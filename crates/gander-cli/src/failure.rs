//! What is told when something was not done: what, why, what is safe, what to do.

use serde_json::{Value, json};

/// Why a command was not done.
#[derive(Debug)]
pub struct Failure {
    /// What was not done.
    pub what: String,
    /// Why, and what is safe, when that is known; sentences.
    pub why: Vec<String>,
    /// What to do next.
    pub todo: String,
    /// The server's stable code, when it came from there.
    pub code: Option<String>,
    /// The server's whole answer, when it came from there.
    pub problem: Option<Value>,
    /// The exit status.
    pub status: u8,
}

impl Failure {
    pub fn new(what: impl Into<String>, todo: impl Into<String>) -> Self {
        Self { what: what.into(), why: Vec::new(), todo: todo.into(), code: None, problem: None, status: 2 }
    }

    /// With another exit status than 2.
    pub fn exit(mut self, status: u8) -> Self {
        self.status = status;
        self
    }

    /// With an error and all that caused it.
    pub fn because(mut self, error: &dyn std::error::Error) -> Self {
        let mut next = Some(error);
        while let Some(error) = next {
            self.why.push(sentence(&error.to_string()));
            next = error.source();
        }
        self
    }

    pub fn why(mut self, why: impl Into<String>) -> Self {
        self.why.push(sentence(&why.into()));
        self
    }

    /// From an RFC 9457 problem document.
    pub fn of_problem(status: u16, problem: Value) -> Self {
        let text = |name: &str| problem[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
        let what = text("detail")
            .or_else(|| text("title"))
            .unwrap_or_else(|| format!("Gander answered with status {status}."));
        Self {
            what: sentence(&what),
            why: text("safe").into_iter().map(|safe| sentence(&safe)).collect(),
            todo: text("todo").unwrap_or_else(|| "Look at what `gander doctor` says.".to_owned()),
            code: text("code"),
            problem: Some(problem),
            status: 2,
        }
    }

    pub fn is(&self, code: &str) -> bool {
        self.code.as_deref() == Some(code)
    }

    /// For programs: one document, like the server's own problems.
    pub fn to_json(&self) -> Value {
        match &self.problem {
            Some(problem) => json!({"error": problem}),
            None => {
                json!({"error": {"code": "not_done", "detail": self.what, "safe": self.why.join(" "), "todo": self.todo}})
            }
        }
    }
}

/// A first letter and a full stop, so that sentences of any origin stand beside each other.
fn sentence(text: &str) -> String {
    let text = text.trim();
    let mut letters = text.chars();
    let Some(first) = letters.next() else { return String::new() };
    let mut sentence: String = if text.starts_with(|first: char| first.is_ascii_lowercase()) && text.contains(' ') {
        first.to_uppercase().chain(letters).collect()
    } else {
        text.to_owned()
    };
    if !sentence.ends_with(['.', '!', '?', ':']) {
        sentence.push('.');
    }
    sentence
}
