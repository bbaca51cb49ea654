"use strict";
// Where the link of a mail leads. Whoever is logged in here goes on at once, others log in or use an API key, which is
// kept nowhere. A connection that needs a consent goes on to the provider; another one asks for its fields.

const part = (id) => document.getElementById(id);
const [told, form, who, second, fields, button] = ["told", "form", "who", "second", "fields", "connect"].map(part);
const connection = location.hash.slice(1);
let challenge = "";
let bearer = "";
let inputs = null;

const ask = async (method, path, body, key = "") => {
  const headers = { "content-type": "application/json", ...(key && { authorization: `Bearer ${key}` }) };
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  return { ok: answer.ok, status: answer.status, said: await answer.json() };
};

const reason = ({ said }) => (said.errors && said.errors[0] && said.errors[0].message) || said.detail;
const code = ({ said }) => (said.errors && said.errors[0] && said.errors[0].code) || said.code;

const say = (text) => {
  told.className = "notice";
  told.textContent = text;
};

const askWho = (text) => {
  bearer = "";
  who.hidden = false;
  say(text);
};

// Somebody's token: the key they typed, their password, or the login that this browser has.
const login = async () => {
  if (part("key").value) return part("key").value;
  const email = part("email").value;
  const answer = challenge
    ? await ask("POST", "/auth/login/second-factor", { challenge, code: part("code").value })
    : email
      ? await ask("POST", "/auth/login", { email, password: part("password").value })
      : await ask("POST", "/auth/refresh", {});
  if (answer.ok && answer.said.access_token) return answer.said.access_token;
  if (answer.ok) {
    challenge = answer.said.second_factor.challenge;
    second.hidden = false;
    const mailed = answer.said.second_factor.methods.includes("mail");
    say(mailed ? inWords("A code was mailed to you.") : inWords("Enter your code, too."));
  } else {
    if (code(answer) !== "wrong_code") challenge = ""; // begin anew
    askWho(email ? reason(answer) : inWords("You are not logged in here."));
  }
  return "";
};

// A connection of one's own, else one of the instance's, which administrators connect.
const begin = async () => {
  const own = await ask("POST", "/api/v1/connections/authorize", { connection }, bearer);
  if (code(own) !== "unknown_connection") return [own, "/api/v1/connections"];
  const shared = await ask("POST", "/api/v1/admin/connections/authorize", { connection }, bearer);
  return shared.status === 403 || code(shared) === "unknown_connection" ? [own, ""] : [shared, "/api/v1/admin/connections"];
};

const field = (name, schema, required) => {
  const label = document.createElement("label");
  const lines = schema["x-ui"] === "text" || schema.type !== "string";
  const input = document.createElement(lines ? "textarea" : "input");
  if (!lines) input.type = "password";
  Object.assign(input, { name, required, autocomplete: "off" });
  input.dataset.type = schema.type;
  label.append(schema.title || name, input);
  return label;
};

// The secrets of a connection that is made from fields; what it has open stays.
const askFields = async (place) => {
  const mine = await ask("GET", `${place}/${connection}`, undefined, bearer);
  const module = await ask("GET", `/api/v1/modules/${mine.said.module}`, undefined, bearer);
  const { properties = {}, required = [] } = module.said.auth.find((way) => way.id === mine.said.auth).fields;
  const secret = Object.keys(properties).filter((name) => properties[name]["x-secret"]);
  fields.replaceChildren(...secret.map((name) => field(name, properties[name], required.includes(name))));
  fields.hidden = false;
  who.hidden = second.hidden = true;
  inputs = place;
  say(inWords("{name}: enter what it is to be used with from now on.", `${mine.said.name} (${module.said.name})`));
};

const json = (text) => {
  try {
    return JSON.parse(text);
  } catch {
    return text; // the service says what is wrong with it
  }
};

const change = async () => {
  const given = [...fields.querySelectorAll("[name]")].filter((input) => input.value);
  const values = Object.fromEntries(given.map(({ name, value, dataset }) => [name, dataset.type === "string" ? value : json(value)]));
  const changed = await ask("PATCH", `${inputs}/${connection}`, { fields: values }, bearer);
  if (!changed.ok) return say(reason(changed));
  const tested = await ask("POST", `${inputs}/${connection}/test`, {}, bearer);
  form.hidden = tested.ok && tested.said.ok;
  const done = inWords("{name} is connected again. You can close this page.", changed.said.name);
  say(form.hidden ? done : tested.said.error?.message || reason(tested));
};

const goOn = async () => {
  if (inputs) return change();
  bearer ||= await login();
  if (!bearer) return undefined;
  const [answer, place] = await begin();
  if (answer.ok && /^https?:/.test(answer.said.authorize_url)) return location.assign(answer.said.authorize_url);
  if (code(answer) === "needs_no_consent") return askFields(place);
  if (answer.status === 401) return askWho(inWords("This login or key is not accepted."));
  if (code(answer) === "unknown_connection") {
    return askWho(inWords("The account you used has no such connection. Log in with another one."));
  }
  return say(reason(answer));
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  await goOn().catch(() => say(inWords("The service did not answer. Try again in a moment.")));
  button.disabled = false;
});

if (!/^conn_[0-9a-f]+$/.test(connection)) {
  say(inWords("This link is not complete. Open it from the mail once more, as a whole."));
  form.hidden = true;
}
