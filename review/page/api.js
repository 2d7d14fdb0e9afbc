// Requests to the server. One that finds no server is tried again until it answers, and the page says so meanwhile.
import { byId } from "/dom.js";

export class Refusal extends Error {
  constructor(status, value) {
    super(value.error ?? `the server answers ${status}, and nothing that can be read`);
    this.status = status;
    this.value = value;
  }
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
let waiting = 0;

function shown(change) {
  waiting += change;
  const banner = byId("banner");
  banner.hidden = waiting === 0;
  banner.textContent = "The server does not answer. Your work is kept here and is sent again as soon as it does.";
}

/** Return what JSON says, undefined where it is none: an answer, if a bad one, and no sign that the server is gone. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Send a request; resolves to what the server says, rejects with a Refusal. */
export async function call(method, path, body, headers = {}) {
  const sent = { method, headers: { ...headers }, cache: "no-store" };
  if (method !== "GET") {
    sent.headers["Content-Type"] = "application/json";
    sent.body = JSON.stringify(body ?? {});
  }
  let wait = 250;
  let gone = false;
  try {
    for (;;) {
      try {
        const response = await fetch(path, sent);
        const value = parsed(await response.text());
        if (!response.ok || value === undefined) throw new Refusal(response.status, value ?? {});
        return value;
      } catch (error) {
        if (error instanceof Refusal) throw error;
        if (!gone) shown(1);
        gone = true;
        await pause(wait);
        wait = Math.min(2 * wait, 3000);
      }
    }
  } finally {
    if (gone) shown(-1);
  }
}

export const get = (path) => call("GET", path);
export const post = (path, body) => call("POST", path, body);
export const put = (path, body, tag) => call("PUT", path, body, tag ? { "If-Match": `"${tag}"` } : {});
