//! Sorts an agent's updates into items: which one an update belongs to, and which ones it ends. Pure: it makes a list
//! of steps, which one write then carries out.
//!
//! A text ends at another kind or another message id; a tool call ends at a final status and does not end the text
//! beside it when only its progress is told; a plan and a command's output go on to the turn's end.

use std::collections::HashMap;

use gander_acp::{TerminalOutput, Update, UpdateKind};
use gander_journal::{Ahead, CONTENT_CHUNK_BYTES};
use gander_model::{ItemId, Kind};
use serde_json::json;
use serde_json::value::{RawValue, to_raw_value};

/// What is larger is written beside the entries, in pieces, before anything names it.
pub(crate) const LARGE_BYTES: usize = CONTENT_CHUNK_BYTES;

/// One thing for the journal to do. Each names its item, by which it is told whether it was done.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// An item grows; it is opened with its first updates.
    Grow { item: ItemId, kind: Kind, updates: Vec<Box<RawValue>> },
    /// All that a large item has lies beside the entries before what follows.
    Settle { item: ItemId },
    /// [`Step::Grow`] or [`Step::Settle`] whose data lies beside the entries, and is to be named there.
    Ahead { item: ItemId, kind: Kind, ahead: Box<Ahead> },
    /// An item is complete and becomes an entry.
    Close { item: ItemId },
    /// Something worth an entry of its own.
    Note { item: ItemId, data: Box<RawValue> },
}

impl Step {
    pub fn item(&self) -> ItemId {
        match self {
            Step::Grow { item, .. } | Step::Settle { item } | Step::Ahead { item, .. } => *item,
            Step::Close { item } | Step::Note { item, .. } => *item,
        }
    }
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
    /// What each open item is, and the bytes of all its updates.
    open: HashMap<ItemId, (Kind, usize)>,
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
            open: HashMap::new(),
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

    /// What waits to be written when the turn is over, which completes what is open.
    pub fn last_steps(&mut self) -> Vec<Step> {
        let mut steps = self.take_steps();
        let large = self.open.iter().filter(|(_, (_, bytes))| *bytes > LARGE_BYTES);
        steps.extend(large.map(|(item, _)| Step::Settle { item: *item }));
        steps
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
            Some(item) if self.open.contains_key(&item) => item,
            _ => self.open(Kind::NOTE),
        };
        self.terminals.insert(terminal.to_owned(), item);
        item
    }

    fn grow_raw(&mut self, item: ItemId, update: &serde_json::Value) {
        if let Ok(raw) = to_raw_value(update) {
            self.grow(item, raw);
        }
    }

    fn note(&mut self, update: &RawValue) {
        let data = format!(r#"{{"update":{}}}"#, update.get());
        if let Ok(data) = RawValue::from_string(data) {
            self.waiting_bytes += data.get().len();
            self.steps.push(Step::Note { item: (self.new_id)(), data });
        }
    }

    fn open(&mut self, kind: Kind) -> ItemId {
        let item = (self.new_id)();
        self.open.insert(item, (kind, 0));
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
        if let Some(text) = &mut self.text {
            if text.key.is_none() {
                text.key = update.item_key;
            }
            let item = text.item;
            self.grow(item, update.update);
        }
    }

    fn grow_tool(&mut self, update: Update) {
        let key = update.item_key.clone().unwrap_or_default();
        let known = self.tools.get(&key).copied().filter(|item| self.open.contains_key(item));
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
        self.grow(item, update.update);
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
        self.grow(item, update.update);
    }

    fn end_text(&mut self) {
        if let Some(text) = self.text.take() {
            self.close(text.item);
        }
    }

    fn close(&mut self, item: ItemId) {
        if let Some((_, bytes)) = self.open.remove(&item) {
            if bytes > LARGE_BYTES {
                self.steps.push(Step::Settle { item });
            }
            self.terminals.retain(|_, place| *place != item);
            self.steps.push(Step::Close { item });
        }
    }

    fn grow(&mut self, item: ItemId, update: Box<RawValue>) {
        let Some((kind, bytes)) = self.open.get_mut(&item) else { return };
        *bytes += update.get().len();
        self.waiting_bytes += update.get().len();
        if let Some(Step::Grow { item: last, updates, .. }) = self.steps.last_mut()
            && *last == item
        {
            updates.push(update);
            return;
        }
        self.steps.push(Step::Grow { item, kind: kind.clone(), updates: vec![update] });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gander_acp::AgentSessionId;

    /// What becomes of a stream: one line per step, items numbered by first arrival.
    fn sorted(updates: &[serde_json::Value]) -> Vec<String> {
        let mut next = 0u8;
        let mut items = Items::new(move || {
            next += 1;
            ItemId::from_bytes([next; 16])
        });
        for update in updates {
            let raw = to_raw_value(update).unwrap();
            items.update(Update::read(AgentSessionId::from("s"), raw));
        }
        lines(items.take_steps())
    }

    fn lines(steps: Vec<Step>) -> Vec<String> {
        steps
            .into_iter()
            .map(|step| match step {
                Step::Grow { item, kind, updates } => {
                    format!("{} {kind}: {} updates", item.as_bytes()[0], updates.len())
                }
                Step::Close { item } => format!("{} ends", item.as_bytes()[0]),
                Step::Settle { item } => format!("{} is large", item.as_bytes()[0]),
                Step::Ahead { .. } => "made by the journal alone".to_owned(),
                Step::Note { data, .. } => format!("note {}", data.get()),
            })
            .collect()
    }

    fn text(tag: &str, text: &str, id: Option<&str>) -> serde_json::Value {
        let mut update = json!({"sessionUpdate": tag, "content": {"type": "text", "text": text}});
        if let Some(id) = id {
            update["messageId"] = json!(id);
        }
        update
    }

    fn message(said: &str) -> serde_json::Value {
        text("agent_message_chunk", said, None)
    }

    fn tool(tag: &str, id: &str, status: &str) -> serde_json::Value {
        json!({"sessionUpdate": tag, "toolCallId": id, "status": status, "title": "a tool"})
    }

    #[test]
    fn a_text_ends_at_another_kind_or_message() {
        let updates = [
            text("agent_thought_chunk", "hm", None),
            message("a"),
            message("bé"),
            text("agent_message_chunk", "c", Some("1")),
            text("agent_message_chunk", "d", Some("2")),
            text("agent_thought_chunk", "e", None),
        ];
        let expected = [
            "1 thought: 1 updates",
            "1 ends",
            "2 message: 3 updates",
            "2 ends",
            "3 message: 1 updates",
            "3 ends",
            "4 thought: 1 updates",
        ];
        assert_eq!(sorted(&updates), expected);
    }

    #[test]
    fn what_a_call_tells_does_not_end_the_text_beside_it() {
        let updates = [
            message("bé"),
            tool("tool_call", "t", "pending"),
            message("x"),
            tool("tool_call_update", "t", "in_progress"),
            message("y"),
        ];
        let expected = [
            "1 message: 1 updates",
            "1 ends",
            "2 tool_call: 1 updates",
            "3 message: 1 updates",
            "2 tool_call: 1 updates",
            "3 message: 1 updates",
        ];
        assert_eq!(sorted(&updates), expected);
    }

    #[test]
    fn calls_run_side_by_side_and_end_with_their_final_status() {
        let updates = [
            tool("tool_call", "a", "pending"),
            tool("tool_call", "b", "pending"),
            tool("tool_call_update", "b", "completed"),
            tool("tool_call_update", "a", "failed"),
            tool("tool_call_update", "a", "completed"),
        ];
        let expected = [
            "1 tool_call: 1 updates",
            "2 tool_call: 2 updates",
            "2 ends",
            "1 tool_call: 1 updates",
            "1 ends",
            "3 tool_call: 1 updates",
            "3 ends",
        ];
        assert_eq!(sorted(&updates), expected);
    }

    #[test]
    fn what_is_no_conversation_is_left_or_noted_and_nothing_unknown_is_lost() {
        let updates = [
            json!({"sessionUpdate": "available_commands_update", "availableCommands": []}),
            json!({"sessionUpdate": "session_info_update", "title": "t"}),
            json!({"sessionUpdate": "current_mode_update", "currentModeId": "m"}),
            json!({"sessionUpdate": "made_up", "x": 1}),
            json!({"sessionUpdate": "plan", "entries": []}),
            message("a"),
            json!({"sessionUpdate": "plan", "entries": [1]}),
        ];
        let expected = [
            r#"note {"update":{"sessionUpdate":"current_mode_update","currentModeId":"m"}}"#,
            r#"note {"update":{"sessionUpdate":"made_up","x":1}}"#,
            "3 plan: 1 updates",
            "4 message: 1 updates",
            "3 plan: 1 updates",
        ];
        assert_eq!(sorted(&updates), expected);
    }

    #[test]
    fn what_is_large_is_settled_before_it_ends() {
        let mut output = tool("tool_call_update", "a", "completed");
        output["title"] = json!("x".repeat(LARGE_BYTES));
        let updates = [tool("tool_call", "a", "pending"), output];
        assert_eq!(sorted(&updates), ["1 tool_call: 2 updates", "1 is large", "1 ends"]);
    }

    #[test]
    fn output_of_a_command_goes_to_the_call_that_names_its_terminal() {
        let mut next = 0u8;
        let mut items = Items::new(move || {
            next += 1;
            ItemId::from_bytes([next; 16])
        });
        let output = |terminal: &str, exit| TerminalOutput {
            agent_session: AgentSessionId::from("s"),
            terminal_id: terminal.into(),
            command: "ls".into(),
            from: 0,
            text: "out".into(),
            exit,
            omitted: 0,
        };
        let mut names = tool("tool_call", "a", "in_progress");
        names["content"] = json!([{"type": "terminal", "terminalId": "t1"}]);
        items.terminal(&output("t0", None));
        items.update(Update::read(AgentSessionId::from("s"), to_raw_value(&names).unwrap()));
        items
            .update(Update::read(AgentSessionId::from("s"), to_raw_value(&tool("tool_call", "b", "pending")).unwrap()));
        items.terminal(&output("t1", None));
        items.terminal(&output("t2", Some(gander_acp::Exit { code: Some(0), signal: None, asked: false })));
        let expected = [
            "1 note: 1 updates",
            "2 tool_call: 1 updates",
            "3 tool_call: 1 updates",
            "2 tool_call: 1 updates",
            "3 tool_call: 2 updates",
        ];
        assert_eq!(lines(items.take_steps()), expected);
    }
}
