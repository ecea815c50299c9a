// What both pages share: the admin token, requests, and building elements from text alone.
export const $ = (id) => document.getElementById(id);

export function element(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === true) made.setAttribute(name, "");
    else if (value !== false && value != null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child != null));
  return made;
}

const KEPT = "sidecar-admin-token";

function askForToken() {
  const dialog = $("token-dialog");
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => { sessionStorage.setItem(KEPT, $("token").value); resolve(); }, { once: true });
    if (!dialog.open) dialog.showModal();
  });
}

let asking = null;

// Fetches with the admin token; asks for one when it is missing or wrong.
export async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(KEPT);
    const headers = { ...options.headers, ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const answer = await fetch(path, { ...options, headers });
    if (answer.status !== 401 || answer.headers.get("WWW-Authenticate") !== 'Bearer realm="admin"') return answer;
    asking ??= askForToken().finally(() => { asking = null; });
    await asking;
  }
}

export async function askJson(path, options) {
  const answer = await ask(path, options);
  const found = await answer.json();
  if (!answer.ok) throw new Error(found.error ?? `status ${answer.status}`);
  return found;
}
