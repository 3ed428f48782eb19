
"use strict";
const element = (id) => document.getElementById(id);

const started = element("started");
started.textContent = new Date(started.dateTime).toLocaleString(undefined, {
  dateStyle: "medium",
  timeStyle: "short",
});

// What /stats says for people, every ten seconds while somebody looks.
async function showStats() {
  if (document.hidden) return;
  try {
    const answer = await fetch("stats");
    if (!answer.ok) throw new Error(`answer ${answer.status}`);
    const { stats } = await answer.json();
    const rows = Object.entries(stats).map(([label, text]) => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      row.firstChild.textContent = label;
      row.lastChild.textContent = text;
      return row;
    });
    element("stats").replaceChildren(...rows);
    element("stats-note").hidden = true;
  } catch {
    element("stats-note").textContent = "Not available at the moment.";
    element("stats-note").hidden = false;
  }
}
showStats();
setTimeout(showStats, 1500);
setInterval(showStats, 10000);
document.addEventListener("visibilitychange", showStats);

const LOG_LENGTH = 50;
let socket;
let waiting = [];
const say = (text) => {
  element("state").textContent = text;
};

function connect() {
  const address = new URL("echo", document.baseURI);
  address.protocol = address.protocol.replace("http", "ws");
  const mine = new WebSocket(address);
  let opened = false;
  mine.addEventListener("open", () => {
    opened = true;
    say("Connected.");
    const texts = waiting;
    waiting = [];
    for (const item of texts) send(item.text);
  });
  mine.addEventListener("message", (event) => {
    const sent = waiting.shift();
    const time = sent ? `${(performance.now() - sent.at).toFixed(1)} ms` : "";
    log(event.data, time);
  });
  mine.addEventListener("close", (event) => {
    waiting = [];
    if (socket === mine) socket = undefined;
    const why = event.reason ? `: ${event.reason}` : "";
    say(opened ? `Closed (${event.code}${why}). The next message connects again.` : "Can't connect.");
  });
  return mine;
}

function send(text) {
  waiting.push({ text, at: performance.now() });
  if (socket.readyState === WebSocket.OPEN) socket.send(text);
}

function log(text, time) {
  const item = document.createElement("li");
  item.append(document.createElement("span"), document.createElement("small"));
  item.firstChild.textContent = text;
  item.lastChild.textContent = time;
  const list = element("log");
  list.hidden = false;
  list.prepend(item);
  while (list.childElementCount > LOG_LENGTH) list.lastChild.remove();
}

element("form").addEventListener("submit", (event) => {
  event.preventDefault();
  if (!socket) {
    say("Connecting…");
    socket = connect();
  }
  send(element("message").value);
  element("message").select();
});
