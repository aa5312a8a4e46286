"use strict";
// Draws the receipts that stand in this page as JSON. Every value becomes text, never markup. Only so many rows of a
// group are drawn at once; the rest come when they are asked for, so that 20,000 contacts do not freeze a browser.
(() => {
  const byId = (id) => document.getElementById(id);
  const list = byId("list");
  if (!list) return;
  const rows = JSON.parse(byId("rows").textContent);
  const facts = JSON.parse(byId("facts").textContent);
  const AT_ONCE = 50, MORE = 250, PRINTED = 5000, SHOWN_REASONS = 40;
  const GROUPS = [
    ["delete", ["delete"]], ["create", ["create"]], ["update", ["update"]],
    ["associations", ["attach", "detach", "sync"]],
    ["reject", ["reject"]], ["skipped", ["skipped"]], ["unchanged", ["unchanged"]],
  ];
  const groupOf = Object.fromEntries(GROUPS.flatMap(([name, operations]) => operations.map((each) => [each, name])));
  const FOLDED_AT_FIRST = new Set(["unchanged", "skipped"]);
  const OPEN_ROWS = new Set(["update", "associations", "reject"]);
  const LISTS_OF_IDS = new Set(["companies", "deals", "activities"]);
  const planned = facts.planned.length > 0 && facts.planned.every(Boolean);

  // What is typed in the search box is looked for in all that a row shows.
  const found = new Array(rows.length);
  const textOf = (index) => {
    if (found[index] === undefined) {
      const { k, c, d, l, m, w, a, s } = rows[index];
      found[index] = [c, s, a, w, k && flat(k), d && flat(d), l && flat(l), m && flat(m)].join("\n").toLowerCase();
    }
    return found[index];
  };
  const flat = (value) => {
    if (value === null || typeof value !== "object") return String(value);
    if (Array.isArray(value)) return value.map(flat).join("\n");
    return Object.entries(value).map(([name, each]) => `${name}\n${flat(each)}`).join("\n");
  };

  const make = (tag, kind, text) => {
    const node = document.createElement(tag);
    if (kind) node.className = kind;
    if (text !== undefined) node.textContent = text;
    return node;
  };
  // Characters that cannot be seen, or turn the text around them, are shown by name.
  const seen = (text) => text.replace(/[\u0000-\u0008\u000b-\u001f\u007f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g,
    (char) => `[U+${char.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}]`);
  const isEmpty = (value) => value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length);
  const number = (count) => count.toLocaleString("en");
  const counted = (count, noun) => `${number(count)} ${noun}${count === 1 ? "" : "s"}`;

  const named = (row, field, value) => {
    const name = row.m && row.m[field] && row.m[field][String(value)];
    return name ? `${name} (${value})` : null;
  };
  const plain = (row, field, value) => {
    if (value !== null && typeof value === "object") {
      if ("number" in value) return value.type ? `${value.number} (${value.type})` : String(value.number);
      return JSON.stringify(value);
    }
    const name = named(row, field, value);
    if (name) return name;
    return LISTS_OF_IDS.has(field) && typeof value === "number" ? `#${value}` : String(value);
  };
  const textIn = (node, text) => { const isolated = make("bdi"); isolated.textContent = seen(text); node.append(isolated); };
  const valueNode = (row, field, value, kind) => {
    const node = make("span", `value ${kind}`);
    if (isEmpty(value)) {
      node.classList.remove("old");
      node.append(make("span", "empty", value === undefined ? "unknown" : "empty"));
    } else {
      textIn(node, Array.isArray(value) ? value.map((each) => plain(row, field, each)).join(", ") : plain(row, field, value));
    }
    return node;
  };
  // Of lists, what goes and what comes is marked, and what stays is not.
  const listNode = (row, field, before, after) => {
    const node = make("span", "value kept");
    const old = before.map((each) => plain(row, field, each)), now = after.map((each) => plain(row, field, each));
    const parts = [
      ...old.filter((each) => !now.includes(each)).map((each) => ["del", "removed: ", each]),
      ...now.map((each) => (old.includes(each) ? ["span", "", each] : ["ins", "added: ", each])),
    ];
    parts.forEach(([tag, word, text], index) => {
      if (index) node.append(", ");
      const part = make(tag);
      if (word) part.append(make("span", "unseen", word));
      textIn(part, text);
      node.append(part);
    });
    if (!parts.length) node.append(make("span", "empty", "empty"));
    return node;
  };
  const changeNode = (row, field, pair) => {
    const [before, after] = pair;
    const name = make("span", "name");
    textIn(name, field);
    const isList = [before, after].every((each) => Array.isArray(each) || each === null) && !(before === null && after === null);
    if (row.o !== "create" && row.o !== "delete" && !(isList && before !== null && after !== null)) {
      const node = make("div", "change");
      const arrow = make("span", "arrow", "→");
      arrow.setAttribute("aria-label", "becomes");
      node.append(name, valueNode(row, field, before, "old"), arrow, valueNode(row, field, after, "new"));
      return node;
    }
    const node = make("div", "change one");
    if (row.o === "create") node.append(name, valueNode(row, field, after, "new"));
    else if (row.o === "delete") node.append(name, valueNode(row, field, before, "old"));
    else node.append(name, listNode(row, field, before, after));
    return node;
  };

  const sideOf = (row) => (row.o === "delete" ? 0 : 1);
  const who = (row) => {
    const side = sideOf(row), value = (field) => row.d && row.d[field] && row.d[field][side];
    if (row.o === "create" || row.o === "delete") {
      const name = [value("first_name"), value("last_name")].filter((each) => !isEmpty(each)).join(" ");
      const key = value("email") || (row.k && Object.values(row.k).filter((each) => !isEmpty(each)).join(", "));
      const both = [name, key].filter((each) => !isEmpty(each)).join(" · ");
      if (both) return both;
    }
    const key = row.k ? Object.entries(row.k).filter(([, each]) => !isEmpty(each)) : [];
    if (key.length) return key.map(([name, each]) => (name === "email" ? flat(each) : `${name} ${flat(each)}`)).join(", ");
    return row.c ? `contact ${row.c}` : "no key";
  };
  const bodyNode = (row) => {
    const body = make("div", "body");
    if (row.w && row.o !== "create") { const reason = make("p", "reason"); textIn(reason, row.w); body.append(reason); }
    for (const [field, pair] of Object.entries(row.d || {})) {
      if (Array.isArray(pair) && !(row.o === "create" && isEmpty(pair[1])) && !(row.o === "delete" && isEmpty(pair[0]))) {
        body.append(changeNode(row, field, pair));
      }
    }
    if (row.l) {
      const left = make("p", "soft reason");
      textIn(left, `Left alone by field_policy: ${Object.entries(row.l).map(([field, policy]) => `${field} (${policy})`).join(", ")}`);
      body.append(left);
    }
    if (!body.childNodes.length) body.append(make("p", "soft", "No field is written."));
    return body;
  };
  const rowNode = (row, group, opened) => {
    const node = make("details", `row ${row.o}`);
    const summary = make("summary");
    const person = make("span", "who");
    textIn(person, who(row));
    summary.append(person);
    const key = row.k && row.k.id;
    const facts_ = [];
    if (row.c && String(key) !== String(row.c)) facts_.push(`contact ${row.c}`);
    if (row.d && group !== "create" && group !== "delete") facts_.push(Object.keys(row.d).join(", "));
    else if (row.d) facts_.push(counted(Object.values(row.d).filter((pair) => !isEmpty(pair[sideOf(row)])).length, "field"));
    if (row.i) facts_.push(`record ${number(row.i)}`);
    if (row.t && row.t >= 300) facts_.push(`status ${row.t}`);
    const soft = make("span", "soft");
    textIn(soft, facts_.join(" · "));
    summary.append(soft);
    if (group === "associations") summary.append(make("span", "tag", row.o));
    if (facts.runs.length > 1) summary.append(make("span", "tag", facts.runs[row.r || 0]));
    node.append(summary);
    const fill = () => { if (!node.querySelector(".body")) node.append(bodyNode(row)); };
    node.open = opened;
    if (node.open) fill();
    node.addEventListener("toggle", () => { if (node.open) fill(); });
    return node;
  };

  const WORDS = { associations: planned ? "associations to change" : "associations changed" };
  const wordOf = (group) => WORDS[group] || facts.words[group][planned ? 1 : 0];
  const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

  // Sections: one a group, but rejects and what was skipped fall into one a cause.
  const sectionsOf = (indexes) => {
    const sections = new Map();
    for (const [group] of GROUPS) {
      const ofGroup = indexes.filter((index) => groupOf[rows[index].o] === group);
      if (!ofGroup.length) continue;
      if (group !== "reject" && group !== "skipped") {
        sections.set(group, { group, title: capital(wordOf(group)), indexes: ofGroup });
        continue;
      }
      const causes = new Map();
      for (const index of ofGroup) {
        const cause = rows[index].a || rows[index].w || "";
        if (!causes.has(cause)) causes.set(cause, []);
        causes.get(cause).push(index);
      }
      const sorted = [...causes].sort((one, other) => other[1].length - one[1].length);
      for (const [cause, of] of sorted.slice(0, SHOWN_REASONS)) {
        sections.set(`${group}: ${cause}`, {
          group, title: `${capital(wordOf(group))}: ${seen(cause || "no reason given")}`, indexes: of,
          advice: group === "reject" ? facts.advice[cause] : undefined,
        });
      }
      const rest = sorted.slice(SHOWN_REASONS).flatMap(([, of]) => of);
      if (rest.length) sections.set(`${group}…`, { group, title: `${capital(wordOf(group))}: other reasons`, indexes: rest });
    }
    return sections;
  };

  const folded = new Map();  // section name to whether somebody folded it
  let openRows = null;       // what "unfold all" and "fold all" said of rows; null where nothing was said
  let atOnce = AT_ONCE;
  const drawSection = (name, section) => {
    const node = make("section", `group ${section.group}`);
    const isFolded = folded.has(name) ? folded.get(name) : FOLDED_AT_FIRST.has(section.group);
    const heading = make("h2"), button = make("button");
    button.type = "button";
    button.setAttribute("aria-expanded", String(!isFolded));
    const title = make("span"); textIn(title, section.title);
    button.append(title, make("span", "count", number(section.indexes.length)));
    heading.append(button);
    node.append(heading);
    if (section.advice) node.append(make("p", "advice", section.advice));
    const body = make("div", "rows");
    node.append(body);
    let drawn = 0;
    const draw = (count) => {
      const part = document.createDocumentFragment();
      for (const index of section.indexes.slice(drawn, drawn + count)) {
        part.append(rowNode(rows[index], section.group, openRows === null ? OPEN_ROWS.has(section.group) : openRows));
      }
      drawn = Math.min(drawn + count, section.indexes.length);
      const old = body.querySelector(":scope > .more");
      const focused = old && old === document.activeElement;
      if (old) old.remove();
      const first = part.firstChild;
      body.append(part);
      if (drawn < section.indexes.length) {
        const left = section.indexes.length - drawn;
        const more = make("button", "more", `Show ${number(Math.min(MORE, left))} more of ${number(left)}`);
        more.type = "button";
        more.addEventListener("click", () => draw(MORE));
        body.append(more);
      }
      if (focused && first) first.querySelector("summary").focus();
    };
    body.hidden = isFolded;
    if (!isFolded) draw(atOnce);
    button.addEventListener("click", () => {
      const now = button.getAttribute("aria-expanded") === "true";
      folded.set(name, now);
      button.setAttribute("aria-expanded", String(!now));
      body.hidden = now;
      if (!now && !drawn) draw(atOnce);
    });
    return node;
  };

  const search = byId("search"), field = byId("field"), run = byId("run"), status = byId("status");
  const boxes = new Map();
  const draw = () => {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const indexes = [];
    for (let index = 0; index < rows.length; index += 1) {
      const row = rows[index];
      const box = boxes.get(groupOf[row.o]);
      if (box && !box.checked) continue;
      if (run && run.value !== "" && (row.r || 0) !== Number(run.value)) continue;
      if (field.value && !((row.d && field.value in row.d) || (row.l && field.value in row.l))) continue;
      if (words.length && !words.every((word) => textOf(index).includes(word))) continue;
      indexes.push(index);
    }
    const part = document.createDocumentFragment();
    for (const [name, section] of sectionsOf(indexes)) part.append(drawSection(name, section));
    if (!indexes.length) part.append(make("p", "nothing", rows.length ? "Nothing matches." : "No decisions in this file."));
    list.replaceChildren(part);
    status.textContent = indexes.length === rows.length
      ? `${counted(rows.length, "decision")}`
      : `${number(indexes.length)} of ${counted(rows.length, "decision")}`;
  };

  const fields = new Map(), groups = new Map();
  for (const row of rows) {
    groups.set(groupOf[row.o], (groups.get(groupOf[row.o]) || 0) + 1);
    for (const name of new Set([...Object.keys(row.d || {}), ...Object.keys(row.l || {})])) fields.set(name, (fields.get(name) || 0) + 1);
  }
  for (const [name, count] of [...fields].sort()) {
    const option = make("option", "", `${seen(name)} (${number(count)})`);
    option.value = name;
    field.append(option);
  }
  for (const [group] of GROUPS) {
    if (!groups.has(group)) continue;
    const label = make("label"), box = make("input");
    box.type = "checkbox";
    box.checked = true;
    box.value = group;
    box.addEventListener("change", draw);
    boxes.set(group, box);
    label.append(box, `${wordOf(group)} (${number(groups.get(group))})`);
    byId("operations").append(label);
  }
  let waiting;
  search.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(draw, 120); });
  field.addEventListener("change", draw);
  if (run) run.addEventListener("change", draw);
  const all = (isOpen) => { openRows = isOpen; folded.clear(); if (isOpen) for (const name of sectionsOf(rows.keys ? [...rows.keys()] : []).keys()) folded.set(name, false); draw(); };
  byId("unfold").addEventListener("click", () => all(true));
  byId("fold").addEventListener("click", () => all(false));
  document.addEventListener("keydown", (event) => {
    const typing = /^(input|select|textarea)$/i.test(event.target.tagName) && event.target.type !== "checkbox";
    if (event.key === "/" && !typing) { event.preventDefault(); search.focus(); search.select(); }
    if (event.key === "Escape" && event.target === search && search.value) { search.value = ""; draw(); }
  });
  // On paper there is no button to ask for more.
  addEventListener("beforeprint", () => { atOnce = PRINTED; draw(); });
  addEventListener("afterprint", () => { atOnce = AT_ONCE; draw(); });
  draw();
})();
