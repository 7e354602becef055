// SPDX-License-Identifier: MIT
//
// Follows /events/stream with the npm package `eventsource`: events in order, resumed by the client itself
// after its connection was cut. Environment: EVENTS_URL, EVENTS_TOKEN.

import http from "node:http";
import net from "node:net";
import { EventSource } from "eventsource";

const target = new URL(process.env.EVENTS_URL);
const token = process.env.EVENTS_TOKEN;
const WANTED = 40;

// A relay that can be cut, so that the client has to come again by itself.
const open = new Set();
const relay = net.createServer((inside) => {
  const outside = net.connect(target.port, target.hostname);
  inside.pipe(outside);
  outside.pipe(inside);
  for (const socket of [inside, outside]) {
    open.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => open.delete(socket));
  }
});
await new Promise((done) => relay.listen(0, "127.0.0.1", done));

function put(key) {
  return new Promise((done, failed) => {
    const request = http.request(
      new URL(`/hot/client/${key}`, target),
      { method: "PUT", headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" } },
      (response) => response.resume().on("end", () => done(response.statusCode)),
    );
    request.on("error", failed);
    request.end("1");
  });
}

const seen = [];
const ids = [];
let opened = 0;
const source = new EventSource(
  `http://127.0.0.1:${relay.address().port}/events/stream?token=${encodeURIComponent(token)}&types=state.updated`,
);
const finished = new Promise((done) => {
  source.onmessage = (message) => {
    const event = JSON.parse(message.data);
    ids.push(message.lastEventId);
    seen.push(event.event_type === "state.updated" ? event.payload.key : event.event_type);
    if (seen.length === WANTED) {
      done();
    }
  };
});
await new Promise((done) => {
  source.onopen = () => {
    opened += 1;
    done();
  };
});
for (let n = 0; n < WANTED; n++) {
  await put(`k${n}`);
  if (n === 10 || n === 25) {
    for (const socket of open) {
      socket.destroy();
    }
  }
}
const late = setTimeout(() => {
  console.error("only these came:", seen.join(" "));
  process.exit(1);
}, 30000);
await finished;
clearTimeout(late);
source.close();
relay.close();
const wanted = Array.from({ length: WANTED }, (_, n) => `k${n}`);
if (JSON.stringify(seen) !== JSON.stringify(wanted) || new Set(ids).size !== WANTED || opened < 2) {
  console.error("got", seen.join(" "), "with", new Set(ids).size, "ids, opened", opened, "times");
  process.exit(1);
}
for (const socket of open) {
  socket.destroy();
}
