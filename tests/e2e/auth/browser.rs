//! Chromium, driven by `tests/clients/browser`: one command a line, one answer a line.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

use serde_json::{Value, json};

use crate::tools;

/// A browser with one page, that nobody has used before.
pub(crate) struct Browser {
    child: Child,
    /// It ends when this is closed.
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Browser {
    pub(crate) fn open() -> Self {
        let mut child = Command::new("node")
            .arg(tools::browser())
            .env("NOCRD_TEST_CHROMIUM", tools::chromium())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let stdin = child.stdin.take();
        Self { child, stdin, stdout }
    }

    /// Goes to a page; gives its status.
    pub(crate) fn go(&mut self, url: &str) -> u64 {
        self.ask(&json!({ "do": "go", "url": url })).as_u64().unwrap()
    }

    /// Types into the field with this label.
    pub(crate) fn fill(&mut self, label: &str, text: &str) {
        self.ask(&json!({ "do": "fill", "label": label, "text": text }));
    }

    /// Presses the button with this name, and waits until the page that comes has this in its address.
    pub(crate) fn press(&mut self, name: &str, then: &str) {
        self.ask(&json!({ "do": "press", "name": name, "then": then }));
    }

    /// The address of the page.
    pub(crate) fn address(&mut self) -> String {
        self.ask(&json!({ "do": "address" })).as_str().unwrap().to_owned()
    }

    /// The text of the page.
    pub(crate) fn text(&mut self) -> String {
        self.ask(&json!({ "do": "text" })).as_str().unwrap().to_owned()
    }

    /// What an expression of the page's scripts gives.
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        self.ask(&json!({ "do": "evaluate", "expression": expression }))
    }

    /// The cookies for an address, as the browser keeps them.
    pub(crate) fn cookies(&mut self, url: &str) -> Vec<Value> {
        self.ask(&json!({ "do": "cookies", "url": url })).as_array().unwrap().clone()
    }

    fn ask(&mut self, command: &Value) -> Value {
        writeln!(self.stdin.as_mut().unwrap(), "{command}").unwrap();
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let answer: Value = serde_json::from_str(&line)
            .unwrap_or_else(|_| panic!("{command}: the browser has gone: {line:?}"));
        assert!(answer.get("error").is_none(), "{command}: {}", answer["error"]);
        answer["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // It closes Chromium before it ends.
        let _ = self.child.wait();
    }
}
