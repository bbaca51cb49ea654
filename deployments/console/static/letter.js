"use strict";
// Pages that links in mails lead to. The token stands behind the #, so it reaches no server but by this POST, and mail
// scanners use nothing up.

const told = document.getElementById("told");
const form = document.getElementById("form");
const button = form.querySelector("button");
const done = inWords(form.dataset.done);
const token = new URLSearchParams(location.hash.slice(1)).get("token");

const send = async () => {
  const given = Object.fromEntries([...new FormData(form)].filter(([, value]) => value));
  const answer = await fetch(form.dataset.to, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ token, ...given }),
  });
  if (answer.ok) return done;
  const problem = await answer.json();
  return (problem.errors && problem.errors[0] && problem.errors[0].message) || problem.detail;
};

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  button.disabled = true;
  told.className = "notice";
  try {
    told.textContent = await send();
    form.hidden = told.textContent === done;
  } catch {
    told.textContent = inWords("The service did not answer. Try again in a moment.");
  }
  button.disabled = false;
});

if (!token) {
  told.textContent = inWords("This link is not complete. Open it from the mail once more, as a whole.");
  form.hidden = true;
}
