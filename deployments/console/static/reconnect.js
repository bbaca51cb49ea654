"use strict";
// Where the link of a mail leads. Whoever is logged in here goes on at once, others with an API key; it is kept nowhere.

const told = document.getElementById("told");
const who = document.getElementById("who");
const key = document.getElementById("key");
const button = document.getElementById("connect");

const post = (path, body, headers = {}) =>
  fetch(path, { method: "POST", headers: { "content-type": "application/json", ...headers }, body: JSON.stringify(body) });

const credential = async () => {
  if (key.value) return key.value;
  const answer = await post("/auth/refresh", {});
  return answer.ok ? (await answer.json()).access_token : "";
};

button.addEventListener("click", async () => {
  button.disabled = true;
  const bearer = await credential();
  who.hidden = Boolean(bearer);
  if (bearer) {
    const connection = location.hash.slice(1);
    const answer = await post("/api/v1/connections/authorize", { connection }, { authorization: `Bearer ${bearer}` });
    const said = await answer.json();
    if (answer.ok && /^https?:/.test(said.authorize_url)) return location.assign(said.authorize_url);
    told.textContent = (said.errors && said.errors[0] && said.errors[0].message) || said.detail;
    who.hidden = answer.status !== 401;
  }
  button.disabled = false;
});
