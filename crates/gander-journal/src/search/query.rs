//! What a person types, as a query of the engine, and the line that shows why an entry was found.

use rusqlite::{Connection, params};

use super::index::TOKENIZER;

/// Words of a query, at most; more are left out.
const WORDS_MAX: usize = 16;
/// A long text is cut to this much around its first match before a line is made of it.
const NEAR_BYTES: usize = 4 * 1024;

/// A query: words, each of which may be the beginning of a longer one, and phrases in quotation marks, which may not.
/// An entry is found when it has all of them.
#[derive(Debug, PartialEq, Eq)]
pub struct Query {
    terms: Vec<Term>,
}

#[derive(Debug, PartialEq, Eq)]
struct Term {
    text: String,
    prefix: bool,
}

impl Query {
    /// Takes a query apart; `None` when there is nothing to look for.
    pub fn parse(text: &str) -> Option<Query> {
        let mut terms = Vec::new();
        for (i, part) in text.split('"').enumerate() {
            if i % 2 == 1 {
                terms.push(Term { text: part.to_owned(), prefix: false });
            } else {
                terms.extend(part.split_whitespace().map(|word| Term { text: word.to_owned(), prefix: true }));
            }
        }
        // The engine would take a term without a single word character for one that is nowhere.
        terms.retain(|term| term.text.chars().any(char::is_alphanumeric));
        terms.truncate(WORDS_MAX);
        (!terms.is_empty()).then_some(Query { terms })
    }

    /// All of the terms.
    pub fn all(&self) -> String {
        self.expression(" AND ")
    }

    /// Any of the terms.
    fn any(&self) -> String {
        self.expression(" OR ")
    }

    /// Every term stands in quotation marks, so that nothing in it is taken for the engine's own syntax.
    fn expression(&self, join: &str) -> String {
        let quoted = self.terms.iter().map(|term| {
            let text: String = term.text.chars().filter(|c| *c != '"' && *c != '\0').collect();
            format!("\"{text}\"{}", if term.prefix { " *" } else { "" })
        });
        quoted.collect::<Vec<_>>().join(join)
    }

    /// The part of a long text around its first match, as far as that can be told without the engine.
    fn near<'t>(&self, text: &'t str) -> &'t str {
        if text.len() <= NEAR_BYTES {
            return text;
        }
        let folded = text.to_lowercase();
        let at = self.terms.iter().filter_map(|term| folded.find(&term.text.to_lowercase())).min().unwrap_or(0);
        // Folding may have moved it by a few bytes: there is room for that on both sides.
        let floor = |at: usize| (0..=at.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let (start, end) = (floor(at.saturating_sub(NEAR_BYTES / 2)), floor(at + NEAR_BYTES / 2));
        &text[start..end]
    }
}

/// Makes the lines. It lives in memory and is not part of the index: the texts come from verified entries.
pub struct Snippets {
    conn: Connection,
}

impl Snippets {
    pub fn new() -> rusqlite::Result<Self> {
        let conn = Connection::open_in_memory()?;
        conn.execute_batch(&format!("CREATE VIRTUAL TABLE line USING fts5 (text, tokenize = \"{TOKENIZER}\")"))?;
        Ok(Self { conn })
    }

    /// A line of `text` with the matches between U+0002 and U+0003.
    pub fn line(&self, query: &Query, text: &str) -> rusqlite::Result<String> {
        let clean: String = query.near(text).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        self.conn.prepare_cached("INSERT INTO line (rowid, text) VALUES (1, ?1)")?.execute([&clean])?;
        let found = self
            .conn
            .prepare_cached("SELECT snippet(line, 0, char(2), char(3), '…', 24) FROM line WHERE line MATCH ?1")?
            .query_map(params![query.any()], |row| row.get::<_, String>(0))?
            .next()
            .transpose()?;
        self.conn.prepare_cached("DELETE FROM line WHERE rowid = 1")?.execute([])?;
        let line = found.unwrap_or_else(|| clean.chars().take(160).collect());
        Ok(line.split_whitespace().collect::<Vec<_>>().join(" "))
    }
}
