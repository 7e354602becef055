// SPDX-License-Identifier: MIT
//
// The page at /docs: lists what /openapi.json says, by tag, and can try each operation out. The token is a
// variable of this script, from the password field; it goes out as a header and nowhere else. Texts become
// text nodes: nothing that comes from outside is ever parsed as markup.
"use strict";

const METHODS = ["get", "post", "put", "delete", "patch"];
const SHOWN_CHARS = 262144; // of a body; the rest is counted
const DEPTH_OPEN = 1; // of schemas, how deep they are unfolded
let contract;
let token = "";

// ---- Elements ----

function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return element;
}

// A text with `code` in it.
function inline(text) {
  return text.split(/`([^`]*)`/).map((part, at) => (at % 2 ? h("code", {}, part) : part));
}

function paragraphs(text) {
  return (text || "").trim().split(/\n\s*\n/).filter(Boolean).map((part) => h("p", {}, inline(part)));
}

// ---- Schemas ----

function resolve(thing) {
  const names = [];
  while (thing && thing.$ref) {
    names.push(thing.$ref.split("/").pop());
    const { $ref, ...beside } = thing;
    const found = $ref.slice(2).split("/").reduce((at, key) => at[key], contract);
    thing = { ...found, ...beside };
  }
  return { thing: thing || {}, name: names[0] };
}

function kindOf(schema) {
  const { thing, name } = resolve(schema);
  if (name && (thing.type === "object" || thing.oneOf)) return name;
  if (thing.const !== undefined) return JSON.stringify(thing.const);
  const several = thing.oneOf || thing.anyOf;
  if (several) return several.map(kindOf).join(" or ");
  if (thing.allOf) return thing.allOf.map(kindOf).join(" and ");
  const types = [].concat(thing.type || "any value");
  const text = types.map((type) => {
    if (type === "array" && thing.items) return `array of ${kindOf(thing.items)}`;
    return type === "string" && thing.format ? thing.format : type;
  });
  return text.join(" or ");
}

function limitsOf(schema) {
  const { thing } = resolve(schema);
  const range = (low, high, unit) => {
    if (low === undefined && high === undefined) return null;
    if (high === undefined) return `at least ${low}${unit}`;
    return low === undefined ? `at most ${high}${unit}` : `${low} to ${high}${unit}`;
  };
  const found = [
    range(thing.minimum, thing.maximum, ""),
    range(thing.minLength, thing.maxLength, " characters"),
    range(thing.minItems, thing.maxItems, " items"),
    thing.enum && thing.enum.map((value) => JSON.stringify(value)).join(", "),
    thing.pattern && `matches ${thing.pattern}`,
    thing.default !== undefined && thing.default !== null && `default ${JSON.stringify(thing.default)}`,
  ];
  return found.filter(Boolean).join("; ");
}

// What lies beneath a schema: [label, schema, required] of each.
function parts(schema) {
  const { thing } = resolve(schema);
  const required = thing.required || [];
  const found = Object.entries(thing.properties || {}).map(([name, member]) => [name, member, required.includes(name)]);
  if (thing.additionalProperties && typeof thing.additionalProperties === "object") {
    found.push(["any other", thing.additionalProperties, false]);
  }
  for (const inner of thing.allOf || []) found.push(...parts(inner));
  for (const [at, inner] of (thing.oneOf || thing.anyOf || []).entries()) {
    if (parts(inner).length) found.push([`choice ${at + 1}`, inner, false]);
  }
  if (thing.items && !found.length) found.push(...parts(thing.items));
  return found;
}

function member([name, schema, required], depth) {
  const { thing } = resolve(schema);
  const limits = limitsOf(schema);
  const head = [
    h("span", { class: "name" }, name), " ", h("span", { class: "kind" }, kindOf(schema)),
    required ? h("span", { class: "must" }, "required") : null,
    limits ? h("span", { class: "limits" }, ` · ${limits}`) : null,
    thing.description ? h("span", { class: "note" }, " – ", inline(thing.description.trim())) : null,
  ];
  if (!parts(schema).length) return h("div", { class: "member" }, head);
  const details = h("details", { class: "member" }, h("summary", {}, head));
  unfold(details, () => schemaView(schema, depth + 1), depth < DEPTH_OPEN);
  return details;
}

// A schema may hold itself, so that what is folded is made when it is opened.
function unfold(details, make, open) {
  const fill = () => {
    if (details.open && !details.dataset.made) {
      details.dataset.made = "1";
      details.append(make());
    }
  };
  details.addEventListener("toggle", fill);
  details.open = open;
  fill();
}

function schemaView(schema, depth = 0) {
  const rows = parts(schema).map((part) => member(part, depth));
  const { thing } = resolve(schema);
  const own = depth === 0 ? h("div", { class: "kind" }, kindOf(schema), limitsOf(schema) ? ` · ${limitsOf(schema)}` : "") : null;
  const note = depth === 0 && thing.description ? h("div", { class: "text note" }, paragraphs(thing.description)) : null;
  return h("div", { class: "schema" }, own, note, rows);
}

// A value that the schema takes: what is required, and what has an example.
function sample(schema, depth = 0) {
  const { thing } = resolve(schema);
  if (thing.default !== undefined && thing.default !== null) return thing.default;
  if (thing.const !== undefined) return thing.const;
  if (thing.enum) return thing.enum[0];
  const choices = (thing.oneOf || thing.anyOf || []).filter((choice) => resolve(choice).thing.type !== "null");
  const type = [].concat(thing.type || [])[0];
  if (type === "object" || thing.properties) {
    const names = thing.required || (depth ? [] : Object.keys(thing.properties || {}).slice(0, 1));
    return Object.fromEntries(names.map((name) => [name, sample((thing.properties || {})[name], depth + 1)]));
  }
  if (choices.length) return sample(choices[0], depth + 1);
  if (type === "array") return depth < 5 && thing.items ? [sample(thing.items, depth + 1)] : [];
  if (type === "string") return "text";
  if (type === "boolean") return false;
  return type === "integer" || type === "number" ? Math.max(thing.minimum || 0, 0) : null;
}

// ---- Operations ----

function parameterRows(parameters) {
  return parameters.map((parameter) => {
    const limits = limitsOf(parameter.schema);
    return h("tr", {},
      h("th", { scope: "row" }, h("span", { class: "name" }, parameter.name),
        parameter.required ? h("span", { class: "must" }, "required") : null),
      h("td", {}, h("span", { class: "kind" }, `${parameter.in}, ${kindOf(parameter.schema)}`)),
      h("td", {}, parameter.description ? inline(parameter.description) : "",
        limits ? h("div", { class: "limits" }, limits) : null));
  });
}

function contentView(content) {
  return Object.entries(content || {}).map(([type, media]) =>
    h("div", {}, h("span", { class: "chip" }, type), schemaView(media.schema || {})));
}

function answerView(status, response) {
  const { thing } = resolve(response);
  const good = /^[23]/.test(status);
  const headers = Object.entries(thing.headers || {}).map(([name, header]) =>
    h("div", { class: "member" }, h("span", { class: "name" }, name), " ",
      h("span", { class: "kind" }, `header, ${kindOf(header.schema)}`),
      header.description ? h("span", { class: "note" }, " – ", inline(header.description)) : null));
  const details = h("details", { class: "answer" }, h("summary", {},
    h("span", { class: `status ${good ? "ok" : "bad"}` }, status === "default" ? "other" : status),
    inline(thing.description || "")));
  unfold(details, () => h("div", { class: "more" }, headers, contentView(thing.content)), /^2/.test(status));
  return details;
}

// What every request may get, apart from what this one is about.
function errorsView(errors) {
  const details = h("details", { class: "answer" }, h("summary", {}, "Errors ",
    h("span", { class: "kind" }, errors.map(([status]) => (status === "default" ? "others" : status)).join(", "))));
  unfold(details, () => h("div", { class: "more" }, errors.map(([status, response]) => answerView(status, response))), false);
  return details;
}

function operationView({ method, path, operation, parameters }) {
  const [, title, scope] = (operation.summary || "").match(/^(.*?)(?: \(scope `(\w+)`\))?$/);
  const details = h("details", { class: "operation", id: operation.operationId },
    h("summary", {}, h("span", { class: `method ${method}` }, method.toUpperCase()),
      h("span", { class: "path" }, path), h("span", { class: "title" }, inline(title))));
  const open = !(operation.security && operation.security.length === 0);
  const answers = Object.entries(operation.responses).sort();
  const errors = answers.filter(([status]) => !/^[23]/.test(status));
  unfold(details, () => h("div", { class: "inside" },
    h("div", { class: "text" }, paragraphs(operation.description)),
    h("div", { class: "needs" }, open ? ["Needs a token", scope ? [" with the scope ", h("span", { class: "chip" }, scope)] : null] : "Needs no token"),
    parameters.length ? [h("h3", {}, "Parameters"), h("table", {}, h("tbody", {}, parameterRows(parameters)))] : null,
    operation.requestBody ? [h("h3", {}, "Body"), contentView(resolve(operation.requestBody).thing.content)] : null,
    h("h3", {}, "Answers"),
    answers.filter((one) => !errors.includes(one)).map(([status, response]) => answerView(status, response)),
    errorsView(errors),
    tryView({ method, path, operation, parameters, open })), false);
  return details;
}

// ---- Trying it out ----

function field(parameter, id) {
  const { thing } = resolve(parameter.schema);
  const choices = thing.enum || ([].concat(thing.type).includes("boolean") ? [true, false] : null);
  if (choices) {
    const none = parameter.required ? [] : [h("option", { value: "" }, "—")];
    return h("select", { id }, none, choices.map((value) => h("option", {}, String(value))));
  }
  const usual = thing.default === undefined || thing.default === null ? "" : String(thing.default);
  return h("input", { id, placeholder: usual, autocomplete: "off", spellcheck: "false" });
}

function firstBody(media) {
  if (media.example !== undefined) return media.example;
  return sample(media.schema || {});
}

function bodyText(type, value) {
  return type.includes("ndjson") ? `${JSON.stringify(value)}\n` : JSON.stringify(value, null, 2);
}

function tryView({ method, path, operation, parameters, open }) {
  const name = operation.operationId;
  const fields = parameters.map((parameter) => ({ parameter, input: field(parameter, `${name}-${parameter.in}-${parameter.name}`) }));
  const content = operation.requestBody ? resolve(operation.requestBody).thing.content : {};
  const types = Object.keys(content);
  const kind = h("select", { "aria-label": "Type of the body" }, types.map((type) => h("option", {}, type)));
  const body = h("textarea", { spellcheck: "false", "aria-label": "Body" });
  const fillBody = () => { body.value = types.length ? bodyText(kind.value, firstBody(content[kind.value])) : ""; };
  kind.addEventListener("change", fillBody);
  fillBody();
  const send = h("button", { type: "submit", class: "send" }, "Send");
  const stop = h("button", { type: "button", hidden: true }, "Stop");
  const result = h("div", { class: "result", "aria-live": "polite" });
  const form = h("form", { class: "try", autocomplete: "off" },
    h("h3", {}, "Try it"),
    fields.length ? h("table", {}, h("tbody", {}, fields.map(({ parameter, input }) => h("tr", {},
      h("th", { scope: "row" }, h("label", { for: input.id, class: "name" }, parameter.name),
        parameter.required ? h("span", { class: "must" }, "required") : null),
      h("td", {}, input))))) : null,
    types.length > 1 ? h("p", {}, kind) : null,
    types.length ? body : null,
    h("div", { class: "buttons" }, send, stop,
      open ? [h("span", { class: "kind with" }, "with the token above"), h("span", { class: "kind without" }, "a token is wanted: see above")]
        : h("span", { class: "kind" }, "without a token")),
    result);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const request = prepare({ method, path, fields, type: types.length ? kind.value : null, body: body.value, open });
    if (request.fault) {
      request.input.focus();
      result.replaceChildren(h("p", { class: "status bad" }, request.fault));
      return;
    }
    perform(request, { send, stop, result });
  });
  return form;
}

// The request as the fields say it; a parameter that is left empty is not sent.
function prepare({ method, path, fields, type, body, open }) {
  const query = new URLSearchParams();
  const headers = {};
  let target = path;
  for (const { parameter, input } of fields) {
    const value = input.value;
    if (value === "") {
      if (parameter.required) return { fault: "A required parameter is empty.", input };
    } else if (parameter.in === "path") {
      // It would be taken for a step up, however it is encoded, and lead to another operation.
      if (/^\.\.?$/.test(value)) return { fault: "A browser cannot send . or .. as a part of a path.", input };
      target = target.replace(`{${parameter.name}}`, encodeURIComponent(value));
    } else if (parameter.in === "query") {
      query.append(parameter.name, value);
    } else {
      headers[parameter.name] = value;
    }
  }
  if (query.size) target += `?${query}`;
  if (type) headers["Content-Type"] = type;
  return { method: method.toUpperCase(), target, headers, body: type ? body : undefined, authorize: open && token !== "" };
}

function quoted(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

// The same for a shell, where the token is a variable.
function curlOf({ method, target, headers, body, authorize }) {
  const words = ["curl", "-sS"];
  if (method !== "GET") words.push("-X", method);
  if (authorize) words.push("-H", '"Authorization: Bearer $TOKEN"');
  for (const [name, value] of Object.entries(headers)) words.push("-H", quoted(`${name}: ${value}`));
  if (body !== undefined) words.push("--data-binary", quoted(body));
  words.push(quoted(location.origin + target));
  return words.join(" ");
}

function pretty(text, type) {
  if (!/[/+]json\b/.test(type) || text.length > SHOWN_CHARS) return text;
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}

async function perform(request, { send, stop, result }) {
  const abort = new AbortController();
  const stopped = () => abort.abort();
  stop.addEventListener("click", stopped);
  stop.hidden = false;
  send.disabled = true;
  const line = h("div", { class: "line" }, h("span", { class: "kind" }, "Sent; waiting …"));
  const headers = h("details", { hidden: true }, h("summary", {}, "Header fields"));
  const shown = h("pre", { tabindex: "0", "aria-label": "Body of the answer", hidden: true });
  const shell = h("details", {}, h("summary", {}, "As a command"), h("pre", { tabindex: "0" }, curlOf(request)));
  result.replaceChildren(line, shown, headers, shell);
  const began = performance.now();
  try {
    const all = { ...request.headers };
    if (request.authorize) all.Authorization = `Bearer ${token}`;
    const response = await fetch(request.target, {
      method: request.method, headers: all, body: request.body, signal: abort.signal,
      credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
    });
    const status = h("span", { class: `status ${response.ok || response.status === 304 ? "ok" : "bad"}` },
      `${response.status} ${response.statusText}`);
    const type = response.headers.get("Content-Type") || "";
    line.replaceChildren(status, h("span", { class: "kind" }, `${(performance.now() - began).toFixed(1)} ms`),
      h("span", { class: "kind" }, type));
    headers.append(h("pre", { tabindex: "0" }, [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n")));
    headers.hidden = false;
    await readBody(response, type, shown);
  } catch (error) {
    const text = error.name === "AbortError" ? "Stopped." : `No answer: ${error.message}`;
    line.append(h("span", { class: "status bad" }, text));
  } finally {
    stop.removeEventListener("click", stopped);
    stop.hidden = true;
    send.disabled = false;
  }
}

// Shows what comes as it comes, so that streams can be watched.
async function readBody(response, type, shown) {
  if (!response.body) return;
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  let count = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    count += value.length;
    text = (text + value).slice(0, SHOWN_CHARS);
    shown.hidden = false;
    shown.textContent = text;
  }
  const left = count - text.length;
  shown.textContent = left > 0 ? `${text}\n… and ${left} characters more` : pretty(text, type);
}

// ---- The page ----

function operationsOf(document) {
  const found = [];
  for (const [path, item] of Object.entries(document.paths)) {
    for (const method of METHODS.filter((name) => item[name])) {
      const operation = item[method];
      const parameters = [...(item.parameters || []), ...(operation.parameters || [])].map((one) => resolve(one).thing);
      found.push({ method, path, operation, parameters, tag: operation.tags[0] });
    }
  }
  return found;
}

function show(document_) {
  contract = document_;
  const operations = operationsOf(contract);
  const main = document.getElementById("operations");
  const index = document.getElementById("index");
  document.getElementById("version").textContent = `${contract.info.version} · OpenAPI ${contract.openapi}`;
  document.getElementById("about").append(h("h2", {}, contract.info.summary), ...paragraphs(contract.info.description),
    h("p", {}, "The contract as a document: ", h("a", { href: "/openapi.json" }, "/openapi.json")));
  for (const tag of contract.tags) {
    const mine = operations.filter((one) => one.tag === tag.name);
    if (!mine.length) continue;
    main.append(h("section", { class: "group", "data-tag": tag.name, "aria-label": tag.name },
      h("h2", {}, tag.name), h("p", {}, inline(tag.description || "")), mine.map(operationView)));
    index.append(h("section", {}, h("h2", {}, tag.name), h("ul", {}, mine.map(({ method, path, operation }) =>
      h("li", { "data-of": operation.operationId }, h("a", { href: `#${operation.operationId}`, title: `${method.toUpperCase()} ${path}` },
        h("span", { class: `method ${method}` }, method === "delete" ? "DEL" : method.toUpperCase()),
        h("span", { class: "path" }, path)))))));
  }
  const filter = document.getElementById("filter");
  filter.addEventListener("input", () => filterBy(operations, filter.value.trim().toLowerCase()));
  window.addEventListener("hashchange", openNamed);
  openNamed();
}

function filterBy(operations, wanted) {
  let any = false;
  for (const { method, path, operation, tag } of operations) {
    const text = `${method} ${path} ${operation.summary} ${operation.operationId} ${tag}`.toLowerCase();
    const hidden = !wanted.split(/\s+/).every((word) => text.includes(word));
    document.getElementById(operation.operationId).hidden = hidden;
    document.querySelector(`[data-of="${operation.operationId}"]`).hidden = hidden;
    any = any || !hidden;
  }
  for (const group of document.querySelectorAll(".group")) group.hidden = !group.querySelector(".operation:not([hidden])");
  for (const group of document.querySelectorAll("#index section")) group.hidden = !group.querySelector("li:not([hidden])");
  document.getElementById("none").hidden = any;
}

function openNamed() {
  const named = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (named && named.classList.contains("operation")) {
    named.open = true;
    named.scrollIntoView();
    named.querySelector("summary").focus({ preventScroll: true });
  }
}

function takeToken(text) {
  token = text;
  forget.hidden = token === "";
  document.body.classList.toggle("has-token", token !== "");
}

const tokenField = document.getElementById("token");
const forget = document.getElementById("forget");
tokenField.addEventListener("input", () => {
  takeToken(tokenField.value.trim());
});
forget.addEventListener("click", () => {
  takeToken(tokenField.value = "");
  tokenField.focus();
});
// What a browser kept of an earlier visit is no token of this one.
takeToken(tokenField.value = "");

document.addEventListener("keydown", (event) => {
  if (event.key === "/" && !event.ctrlKey && !event.metaKey && !/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName)) {
    event.preventDefault();
    document.getElementById("filter").focus();
  }
});

fetch("/openapi.json", { credentials: "omit" })
  .then((response) => {
    if (!response.ok) throw new Error(`the server says ${response.status}`);
    return response.json();
  })
  .then(show)
  .catch((error) => {
    document.getElementById("about").append(h("p", { class: "status bad" }, `/openapi.json could not be read: ${error.message}`));
  });
