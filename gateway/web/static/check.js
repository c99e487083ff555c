// Two things that a reader's own machine knows better than the server: whether a proof holds, and what time it is here.
// Nothing is fetched and nothing is stored. Hashing as in RFC 6962 and RFC 9162 sections 2.1.3.2 and 2.1.4.2, notes as
// in c2sp.org/signed-note and tlog-checkpoint, the commitment as in gateway/audit/leaf.py.
"use strict";

const utf8 = (text) => new TextEncoder().encode(text);
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
const unbase64 = (text) => Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
const join = (...parts) => {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  parts.reduce((at, part) => (whole.set(part, at), at + part.length), 0);
  return whole;
};
const sha256 = async (...parts) => new Uint8Array(await crypto.subtle.digest("SHA-256", join(...parts)));
const leafHash = (entry) => sha256(Uint8Array.of(0), entry);
const nodeHash = (left, right) => sha256(Uint8Array.of(1), left, right);
const same = (one, two) => hex(one) === hex(two);

// The entry that stands for a record: a salted commitment, or an operator's fact in clear.
const entryOf = async (text, salt) =>
  salt ? join(Uint8Array.of(1), await sha256(utf8("zr-audit/v1\0"), unhex(salt), utf8(text))) : join(Uint8Array.of(2), utf8(text));

// Sizes can pass 2^31, where the bit operators of this language end; BigInt has no such end.
async function rootFrom(leaf, index, size, path) {
  let at = BigInt(index), last = BigInt(size) - 1n, node = leaf;
  for (const neighbour of path) {
    if (last === 0n) return null;
    if (at & 1n || at === last) {
      node = await nodeHash(neighbour, node);
      while (at && !(at & 1n)) { at >>= 1n; last >>= 1n; }
    } else {
      node = await nodeHash(node, neighbour);
    }
    at >>= 1n; last >>= 1n;
  }
  return last === 0n ? node : null;
}

async function extendsIt(oldSize, newSize, oldRoot, newRoot, path) {
  let first = BigInt(oldSize), second = BigInt(newSize);
  if (first === 0n || first === second) return path.length === 0 && (first === 0n || same(oldRoot, newRoot));
  const steps = (first & (first - 1n)) === 0n ? [oldRoot, ...path] : [...path];
  if (!steps.length) return false;
  first -= 1n; second -= 1n;
  while (first & 1n) { first >>= 1n; second >>= 1n; }
  let one = steps[0], two = steps[0];
  for (const step of steps.slice(1)) {
    if (second === 0n) return false;
    if (first & 1n || first === second) {
      one = await nodeHash(step, one); two = await nodeHash(step, two);
      while (first && !(first & 1n)) { first >>= 1n; second >>= 1n; }
    } else {
      two = await nodeHash(two, step);
    }
    first >>= 1n; second >>= 1n;
  }
  return second === 0n && same(one, oldRoot) && same(two, newRoot);
}

function readNote(note) {
  const end = note.lastIndexOf("\n\n");
  const text = note.slice(0, end + 1), lines = text.split("\n");
  if (end < 0 || lines.length !== 4) throw new Error("the checkpoint has another form");
  const signatures = note.slice(end + 2).split("\n").filter(Boolean).map((line) => {
    const parts = /^\u2014 (\S+) (\S+)$/.exec(line);
    return parts && { name: parts[1], bytes: unbase64(parts[2]) };
  });
  return { text, origin: lines[0], size: lines[1], root: unbase64(lines[2]), signatures };
}

// Whether the note bears a signature of this key (`name+ID+KEY`): true, false, or null where this browser cannot tell.
async function signed(note, vkey) {
  const [name, id, key] = vkey.trim().split(/\+(?=[0-9a-f]{8}\+)|(?<=\+[0-9a-f]{8})\+/);
  const kind = unbase64(key ?? "");
  if (!name || kind[0] !== 1 || kind.length !== 33) throw new Error("the key has another form: name+ID+KEY");
  const expected = (await sha256(utf8(`${name}\n`), kind)).slice(0, 4);
  if (hex(expected) !== id || name !== note.origin) return false;
  let known;
  try {
    known = await crypto.subtle.importKey("raw", kind.slice(1), { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return null;
  }
  for (const each of note.signatures) {
    if (each && each.name === name && same(each.bytes.slice(0, 4), expected)) {
      if (await crypto.subtle.verify({ name: "Ed25519" }, known, each.bytes.slice(4), utf8(note.text))) return true;
    }
  }
  return false;
}

async function verdicts(holder, vkey) {
  const field = (name) => holder.querySelector(`[data-field="${name}"]`)?.textContent ?? null;
  const path = Array.from(holder.querySelectorAll("[data-step]"), (each) => unhex(each.dataset.step));
  const note = readNote(field("note")), found = [];
  const say = (holds, words, otherwise) => found.push([holds, holds === null ? otherwise : words]);
  if (field("text") !== null) {
    const entry = await entryOf(field("text"), field("salt"));
    const leaf = await leafHash(entry);
    const root = await rootFrom(leaf, field("index"), field("size"), path);
    say(hex(entry) === field("entry"), "The entry is the commitment to this record under this salt.");
    say(hex(leaf) === field("leaf"), "The leaf's hash is of this entry.");
    say(root !== null && same(root, note.root) && note.size === field("size"), `The ${path.length} neighbours lead from leaf ${field("index")} to the root that the checkpoint names.`);
  }
  say(await signed(note, vkey), "The checkpoint is signed by this key.", "This browser has no Ed25519, so the signature was not checked; `gateway verify` does.");
  if (field("old") !== null) {
    const old = readNote(field("old"));
    say(await signed(old, vkey), "The older checkpoint is signed by this key.", "The older signature was not checked.");
    say(await extendsIt(old.size, note.size, old.root, note.root, path), `The log of ${note.size} leaves extends that of ${old.size}: nothing before was changed, inserted or dropped.`);
  }
  return found;
}

function show(list, found) {
  list.replaceChildren(...found.map(([holds, words]) => {
    const line = document.createElement("li");
    line.className = holds === null ? "doubt" : holds ? "holds" : "fails";
    line.textContent = holds === false ? `Does not hold: ${words}` : words;
    return line;
  }));
  list.dataset.holds = String(found.every(([holds]) => holds === true));
}

for (const box of document.querySelectorAll(".check")) {
  const holder = box.closest(".proving"), input = box.querySelector(".vkey"), list = box.querySelector(".verdicts");
  input.value = holder.querySelector('[data-field="vkey"]')?.textContent ?? "";
  box.hidden = false;
  box.querySelector("button").addEventListener("click", async () => {
    try {
      show(list, await verdicts(holder, input.value));
    } catch (fault) {
      show(list, [[false, fault.message]]);
    }
  });
}

for (const each of document.querySelectorAll("time[datetime$='Z']")) {
  const at = new Date(each.dateTime);
  if (!at.getTimezoneOffset() || Number.isNaN(at.valueOf())) continue;
  const local = document.createElement("span");
  local.className = "local";
  local.textContent = ` (${at.toLocaleString(undefined, { dateStyle: "short", timeStyle: "medium" })} here)`;
  each.after(local);
}
