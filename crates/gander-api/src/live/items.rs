//! Sorts an agent's updates into items: which one an update belongs to, and which ones it ends. Pure: it makes a list
//! of steps, which one write then carries out.
//!
//! A text ends at another kind or another message id; a tool call ends at a final status and does not end the text
//! beside it when only its progress is told; a plan and a command's output go on to the turn's end.

use std::collections::HashMap;

use gander_acp::{TerminalOutput, Update, UpdateKind};
use gander_model::{ItemId, Kind};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// One thing for the journal to do. Steps carry their ids, so that doing them again is noticed.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// An item grows; it is opened with its first updates.
    Grow { item: ItemId, kind: Kind, from: u64, updates: Vec<Box<RawValue>> },
    /// An item is complete and becomes an entry.
    Close { item: ItemId },
    /// Something worth an entry of its own.
    Note { data: Box<RawValue> },
}

struct Text {
    kind: Kind,
    key: Option<String>,
    item: ItemId,
}

/// The open items of one turn.
pub(crate) struct Items {
    new_id: Box<dyn FnMut() -> ItemId + Send>,
    text: Option<Text>,
    plan: Option<ItemId>,
    tools: HashMap<String, ItemId>,
    last_tool: Option<ItemId>,
    terminals: HashMap<String, ItemId>,
    /// Size of each open item as the journal counts it: bytes of text for texts, else updates.
    sizes: HashMap<ItemId, (Kind, u64)>,
    /// Replaced by each newer one; kept at the turn's end.
    usage: Option<Box<RawValue>>,
    steps: Vec<Step>,
    waiting_bytes: usize,
}

impl Items {
    pub fn new(new_id: impl FnMut() -> ItemId + Send + 'static) -> Self {
        Items {
            new_id: Box::new(new_id),
            text: None,
            plan: None,
            tools: HashMap::new(),
            last_tool: None,
            terminals: HashMap::new(),
            sizes: HashMap::new(),
            usage: None,
            steps: Vec::new(),
            waiting_bytes: 0,
        }
    }

    /// Nothing waits to be written.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// How much waits to be written.
    pub fn waiting_bytes(&self) -> usize {
        self.waiting_bytes
    }

    /// What waits to be written.
    pub fn take_steps(&mut self) -> Vec<Step> {
        self.waiting_bytes = 0;
        std::mem::take(&mut self.steps)
    }

    /// The latest usage that the agent told.
    pub fn take_usage(&mut self) -> Option<Box<RawValue>> {
        self.usage.take()
    }

    /// Takes in an update of the running turn.
    pub fn update(&mut self, update: Update) {
        match update.kind {
            UpdateKind::Message => self.grow_text(Kind::MESSAGE, update),
            UpdateKind::Thought => self.grow_text(Kind::THOUGHT, update),
            UpdateKind::ToolCall | UpdateKind::ToolCallUpdate => self.grow_tool(update),
            UpdateKind::Plan => self.grow_plan(update),
            UpdateKind::Usage => self.usage = Some(update.update),
            // It is in the journal already.
            UpdateKind::UserMessage if update.echo => {}
            // The session's name, and what its composer offers: not part of the conversation.
            UpdateKind::SessionInfo | UpdateKind::Commands => {}
            _ => self.note(&update.update),
        }
    }

    /// Takes in output of a command that the agent had us run.
    pub fn terminal(&mut self, output: &TerminalOutput) {
        let item = self.terminal_item(&output.terminal_id);
        if !output.text.is_empty() {
            let chunk = json!({
                "sessionUpdate": "_gander_terminal_chunk",
                "terminalId": output.terminal_id,
                "content": {"type": "text", "text": output.text},
            });
            self.grow_raw(item, &chunk);
        }
        if let Some(exit) = &output.exit {
            let end = json!({
                "sessionUpdate": "_gander_terminal_exit",
                "terminalId": output.terminal_id,
                "code": exit.code,
                "signal": exit.signal,
                "omitted": output.omitted,
            });
            self.grow_raw(item, &end);
        }
    }

    fn terminal_item(&mut self, terminal: &str) -> ItemId {
        if let Some(item) = self.terminals.get(terminal) {
            return *item;
        }
        let item = match self.last_tool {
            Some(item) if self.sizes.contains_key(&item) => item,
            _ => self.open(Kind::NOTE),
        };
        self.terminals.insert(terminal.to_owned(), item);
        item
    }

    fn grow_raw(&mut self, item: ItemId, update: &serde_json::Value) {
        if let Ok(raw) = to_raw_value(update) {
            self.grow(item, raw, 1);
        }
    }

    fn note(&mut self, update: &RawValue) {
        let data = format!(r#"{{"update":{}}}"#, update.get());
        if let Ok(data) = RawValue::from_string(data) {
            self.waiting_bytes += data.get().len();
            self.steps.push(Step::Note { data });
        }
    }

    fn open(&mut self, kind: Kind) -> ItemId {
        let item = (self.new_id)();
        self.sizes.insert(item, (kind, 0));
        item
    }

    fn grow_text(&mut self, kind: Kind, update: Update) {
        let goes_on = self.text.as_ref().is_some_and(|text| {
            text.kind == kind && (text.key == update.item_key || text.key.is_none() || update.item_key.is_none())
        });
        if !goes_on {
            self.end_text();
            let item = self.open(kind.clone());
            self.text = Some(Text { kind, key: update.item_key.clone(), item });
        }
        let size = update.text().map_or(0, |text| text.len()) as u64;
        if let Some(text) = &mut self.text {
            if text.key.is_none() {
                text.key = update.item_key;
            }
            let item = text.item;
            self.grow(item, update.update, size);
        }
    }

    fn grow_tool(&mut self, update: Update) {
        let key = update.item_key.clone().unwrap_or_default();
        let known = self.tools.get(&key).copied().filter(|item| self.sizes.contains_key(item));
        let item = match known {
            Some(item) => item,
            None => {
                self.end_text();
                let item = self.open(Kind::TOOL_CALL);
                self.tools.insert(key, item);
                item
            }
        };
        self.last_tool = Some(item);
        let ends = update.status.is_some_and(|status| status.is_final());
        self.claim_terminals(item, &update.update);
        self.grow(item, update.update, 1);
        if ends {
            self.close(item);
        }
    }

    /// A tool call that names a terminal is where its output belongs.
    fn claim_terminals(&mut self, item: ItemId, update: &RawValue) {
        #[derive(serde::Deserialize)]
        struct Names {
            #[serde(default)]
            content: Vec<serde_json::Value>,
        }
        if !update.get().contains("terminalId") {
            return;
        }
        let Ok(names) = serde_json::from_str::<Names>(update.get()) else { return };
        for id in names.content.iter().filter_map(|content| content.get("terminalId")?.as_str()) {
            self.terminals.entry(id.to_owned()).or_insert(item);
        }
    }

    fn grow_plan(&mut self, update: Update) {
        let item = match self.plan {
            Some(item) => item,
            None => {
                self.end_text();
                let item = self.open(Kind::PLAN);
                self.plan = Some(item);
                item
            }
        };
        self.grow(item, update.update, 1);
    }

    fn end_text(&mut self) {
        if let Some(text) = self.text.take() {
            self.close(text.item);
        }
    }

    fn close(&mut self, item: ItemId) {
        if self.sizes.remove(&item).is_some() {
            self.terminals.retain(|_, place| *place != item);
            self.steps.push(Step::Close { item });
        }
    }

    fn grow(&mut self, item: ItemId, update: Box<RawValue>, by: u64) {
        let Some((kind, size)) = self.sizes.get_mut(&item) else { return };
        self.waiting_bytes += update.get().len();
        let from = *size;
        *size += by;
        if let Some(Step::Grow { item: last, updates, .. }) = self.steps.last_mut()
            && *last == item
        {
            updates.push(update);
            return;
        }
        self.steps.push(Step::Grow { item, kind: kind.clone(), from, updates: vec![update] });
    }
}
