"use strict";
// Shows /openapi.json. Everything from the document becomes a text node, never markup.

const make = (name, text, kind) => {
  const element = document.createElement(name);
  if (text !== undefined) element.textContent = text;
  if (kind) element.className = kind;
  return element;
};

const resolve = (schema, all, seen = []) => {
  if (!schema || typeof schema !== "object") return schema;
  if (Array.isArray(schema)) return schema.map((part) => resolve(part, all, seen));
  if (schema.$ref) {
    const name = schema.$ref.split("/").pop();
    return seen.includes(name) ? { $ref: name } : resolve(all[name], all, [...seen, name]);
  }
  return Object.fromEntries(Object.entries(schema).map(([key, part]) => [key, resolve(part, all, seen)]));
};

// Descriptions are Markdown; of it they use `code` only.
const prose = (name, text) => {
  const element = make(name);
  text.split("`").forEach((part, index) => element.append(index % 2 ? make("code", part) : part));
  return element;
};

const block = (title, content, all) => {
  const part = make("div");
  part.append(prose("p", title));
  const schema = Object.values(content || {})[0]?.schema;
  if (schema) part.append(make("pre", JSON.stringify(resolve(schema, all), null, 2)));
  return part;
};

const operation = (path, method, described, all) => {
  const entry = make("details");
  const head = make("summary");
  head.append(make("span", method.toUpperCase(), "method"), make("code", path), make("span", described.summary || "", "about"), make("span", described["x-permission"], "who"));
  const body = make("div");
  body.append(prose("p", described.description || described.summary || ""));
  if (described.parameters?.length) {
    const table = make("table");
    for (const one of described.parameters) {
      const row = make("tr");
      row.append(make("td", `${one.name} (${one.in}${one.required ? "" : ", optional"})`), prose("td", one.description || ""));
      table.append(row);
    }
    body.append(table);
  }
  if (described.requestBody) body.append(block("Body", described.requestBody.content, all));
  for (const [status, answer] of Object.entries(described.responses)) {
    const known = status[0] === "2" ? answer.content : undefined;
    body.append(block(`${status}: ${answer.description || "problem"}`, known, all));
  }
  entry.append(head, body);
  entry.dataset.text = `${method} ${path} ${described.summary || ""} ${described.description || ""}`.toLowerCase();
  return entry;
};

const show = (api) => {
  document.getElementById("about").replaceChildren(...prose("p", api.info.description).childNodes);
  const main = document.getElementById("operations");
  let group = "";
  for (const [path, operations] of Object.entries(api.paths)) {
    const first = path.startsWith("/api/v1/") ? path.split("/").slice(0, 4).join("/") : "/" + path.split("/")[1];
    if (first !== group) main.append(make("h2", (group = first)));
    for (const [method, described] of Object.entries(operations)) main.append(operation(path, method, described, api.components.schemas));
  }
};

document.getElementById("find").addEventListener("input", (event) => {
  const wanted = event.target.value.toLowerCase();
  for (const entry of document.querySelectorAll("details")) entry.hidden = !entry.dataset.text.includes(wanted);
});
// Where a login at a provider ends that named no other page (`GET /auth/login/{provider}`).
const landed = new URLSearchParams(location.hash.slice(1));
if (landed.has("error") || landed.has("second_factor")) {
  const text = landed.has("error")
    ? `The login did not work: ${landed.get("error").replaceAll("_", " ")}.`
    : "This account asks for a second factor: see POST /auth/login/second-factor.";
  document.querySelector("header").prepend(make("p", text, "notice"));
}
fetch("/openapi.json").then((answer) => answer.json()).then(show).catch((error) => {
  document.getElementById("about").textContent = `The document could not be loaded: ${error.message}`;
});
