// Draws the rows in view of the matrix, filters and sorts them, and opens a host's findings.
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const ROW = 30;      // px, as in the style
  const MARGIN = 20;   // rows drawn beyond the view
  const MOST_PRINTED = 2000;
  const PRINTED = 90;  // characters of a host's first reason
  const NAME = 0, ANSWER = 1, STATES = 2, WORDS = 3, KERNEL = 4, FLAVOUR = 5, TAKEN = 6, GROUPS = 7;
  const stateOf = new Map(data.states.map((state) => [state[3], state]));
  const rank = new Map(data.states.map((state, number) => [state[3], number]));
  const find = (id) => byId(id)?.value ?? "";
  const scroll = byId("scroll"), body = byId("rows"), matrix = scroll.querySelector(".matrix");
  let haystack = null;
  let shown = data.hosts.map((_, number) => number);
  let sort = { by: "answer", down: false };
  let printing = false;

  function element(name, attributes = {}, ...content) {
    const made = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...content);
    return made;
  }

  function hay(number) {
    haystack ??= data.hosts.map((host) =>
      [host[NAME], host[WORDS], host[KERNEL], host[FLAVOUR], ...host[GROUPS].map((group) => data.groups[group])].join(" ").toLowerCase());
    return haystack[number];
  }

  function filter() {
    const words = find("words").toLowerCase().split(/\s+/).filter(Boolean);
    const answer = data.answers.findIndex((one) => one[0] === find("answer"));
    const group = data.groups.indexOf(find("group"));
    const state = data.states.find((one) => one[0] === find("state"))?.[3];
    const stage = find("stage"), cause = find("cause");
    const columns = [...data.causes.keys()].filter((number) =>
      (!stage || data.causes[number].stage === stage) && (!cause || data.causes[number].id === cause));
    // without a verdict, a stage or a cause means: where it is not green
    const wanted = state ? [state] : ["P", "U", "W"];
    shown = [...data.hosts.keys()].filter((number) => {
      const host = data.hosts[number];
      return (answer < 0 || host[ANSWER] === answer)
        && (group < 0 || host[GROUPS].includes(group))
        && (!(stage || cause || state) || columns.some((column) => wanted.includes(host[STATES][column])))
        && words.every((word) => hay(number).includes(word));
    });
    order();
    byId("count").textContent = shown.length === data.hosts.length
      ? `${data.hosts.length} hosts` : `${shown.length} of ${data.hosts.length} hosts`;
    scroll.scrollTop = 0;
    draw();
  }

  const names = new Intl.Collator("en", { numeric: true });
  function order() {
    const place = {
      name: (a, b) => names.compare(a[NAME], b[NAME]),
      answer: (a, b) => a[ANSWER] - b[ANSWER],
    }[sort.by] ?? ((a, b) => (rank.get(a[STATES][sort.by]) ?? 9) - (rank.get(b[STATES][sort.by]) ?? 9));
    shown.sort((a, b) => (sort.down ? -1 : 1) * place(data.hosts[a], data.hosts[b]) || a - b);
    for (const button of document.querySelectorAll("[data-sort]")) {
      const head = button.closest("th");
      if (button.dataset.sort === String(sort.by)) head.setAttribute("aria-sort", sort.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  }

  function space(rows) {
    const cell = element("td", { colspan: data.causes.length + 3 });
    const row = element("tr", { class: "space", "aria-hidden": "true" }, cell);
    row.style.height = cell.style.height = `${rows * ROW}px`;
    return row;
  }

  function row(number) {
    const host = data.hosts[number];
    const [answer, slug, symbol] = data.answers[host[ANSWER]];
    const link = element("a", { href: `#host=${encodeURIComponent(host[NAME])}` }, host[NAME]);
    const cells = [...host[STATES]].map((letter, column) => {
      const state = stateOf.get(letter);
      const words = `${data.causes[column].id} on ${host[NAME]}: ${state ? state[0] : "not judged"}`;
      const cell = element("td", { class: state ? `cell state-${state[1]}` : "cell", title: words }, state ? state[2] : "·");
      return cell;
    });
    return element("tr", {},
      element("th", { scope: "row", title: [host[NAME], host[KERNEL], host[FLAVOUR]].filter(Boolean).join(" · ") }, link),
      element("td", { class: `answer state-${slug}` }, `${symbol} ${answer}`),
      ...cells,
      element("td", { title: host[WORDS] }, printing && host[WORDS].length > PRINTED ? `${host[WORDS].slice(0, PRINTED)}…` : host[WORDS]));
  }

  function draw() {
    const all = printing ? Math.min(shown.length, MOST_PRINTED) : shown.length;
    const height = printing ? Infinity : scroll.clientHeight || 800;
    const first = printing ? 0 : Math.max(0, Math.floor(scroll.scrollTop / ROW) - MARGIN);
    const last = Math.min(all, printing ? all : first + Math.ceil(height / ROW) + 2 * MARGIN);
    const rows = shown.slice(first, last).map(row);
    const focused = body.contains(document.activeElement) ? document.activeElement.textContent : null;
    body.replaceChildren(...(first ? [space(first)] : []), ...rows, ...(last < all ? [space(all - last)] : []));
    matrix.setAttribute("aria-rowcount", String(shown.length));
    if (focused !== null) { // who goes from host to host by keyboard scrolls, too
      [...body.querySelectorAll("a")].find((link) => link.textContent === focused)?.focus({ preventScroll: true });
    }
  }

  // a host's page

  const unpacked = new Map();
  function chunk(number) {
    if (!unpacked.has(number)) {
      unpacked.set(number, (async () => {
        const bytes = Uint8Array.from(atob(byId(`details-${number}`).textContent), (letter) => letter.charCodeAt(0));
        const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
        return JSON.parse(await new Response(stream).text());
      })());
    }
    return unpacked.get(number);
  }

  const explained = () => JSON.parse(byId("causes").textContent);

  function finding(one, texts, causes) {
    const [causeNumber, stateNumber, check, seen, waived, evidence] = one;
    const [stateName, slug, symbol] = data.states[stateNumber];
    const cause = data.causes[causeNumber], more = causes[causeNumber];
    const parts = element("dl");
    const add = (term, ...content) => {
      if (content.length) parts.append(element("dt", {}, term), element("dd", {}, ...content));
    };
    add("Healthy is", texts[check]);
    if (texts[seen]) add(stateName === "present" ? "Seen" : "Reason", texts[seen]);
    if (texts[waived]) add("Waived", texts[waived]);
    if (more) {
      add(stateName.startsWith("present") ? "Fix" : "Fix, if present", more.remediation.trim().replace(/\s+/g, " "));
      add("Cause", element("strong", {}, cause.title), ` – ${cause.stage} stage, ${more.severity}`,
        ...more.explanation.map((words) => element("p", {}, words)));
      add("References", ...more.references.flatMap((reference) => [
        /^https?:\/\//.test(reference) ? element("a", { href: reference, rel: "noreferrer noopener", target: "_blank" }, reference) : reference,
        element("br")]));
    }
    add("Evidence", ...evidence.map((text) => element("pre", {}, texts[text])));
    const title = element("summary", {}, element("span", { class: "state" }, `${symbol} ${stateName}`),
      ` – ${cause ? cause.id : ""} – ${texts[seen].split("\n")[0] || texts[check]}`);
    const made = element("details", { class: `finding state-${slug}` }, title, parts);
    made.open = stateName === "present";
    return made;
  }

  async function open(name) {
    const number = data.hosts.findIndex((host) => host[NAME] === name);
    if (number < 0) return close();
    const host = data.hosts[number];
    const [answer, slug, symbol] = data.answers[host[ANSWER]];
    const page = byId("one");
    const facts = [host[KERNEL], host[FLAVOUR], host[TAKEN] && `read ${host[TAKEN]}`, ...host[GROUPS].map((group) => `group ${data.groups[group]}`)];
    const verdict = element("section", { class: `verdict state-${slug}` }, element("p", { class: "answer" }, `${symbol} ${answer}`));
    page.replaceChildren(
      element("p", {}, element("a", { href: "#matrix" }, "← all hosts")),
      element("h2", {}, name), element("p", { class: "circumstances" }, facts.filter(Boolean).join(" · ")), verdict);
    byId("overview").hidden = byId("answers").hidden = true;
    page.hidden = false;
    window.scrollTo(0, 0);
    if (host[WORDS]) verdict.append(element("p", {}, host[WORDS]));
    try {
      const { hosts, texts } = await chunk(Math.floor(number / data.chunk));
      const causes = explained();
      page.append(...hosts[number % data.chunk].map((one) => finding(one, texts, causes)));
    } catch (problem) {
      page.append(element("p", { class: "banner" }, `The findings cannot be unpacked by this browser: ${problem.message}`));
    }
  }

  function close() {
    byId("one").hidden = true;
    byId("overview").hidden = byId("answers").hidden = false;
    draw();
  }

  function follow() {
    const asked = /^#host=(.*)$/.exec(location.hash);
    if (asked) open(decodeURIComponent(asked[1]));
    else close();
  }

  const longest = (text) => data.hosts.reduce((most, host) => Math.max(most, text(host).length), 0);
  matrix.style.setProperty("--name", `${Math.min(Math.max(longest((host) => host[NAME]) + 4, 16), 46)}ch`);
  matrix.style.setProperty("--answer", `${longest((host) => data.answers[host[ANSWER]][0]) + 4}ch`);
  matrix.style.setProperty("--causes", String(data.causes.length));
  for (const event of ["input", "change"]) byId("filter").addEventListener(event, filter);
  byId("filter").addEventListener("submit", (event) => event.preventDefault());
  byId("filter").addEventListener("reset", () => setTimeout(filter));
  let asked = 0;
  scroll.addEventListener("scroll", () => { asked ||= requestAnimationFrame(() => { asked = 0; draw(); }); });
  window.addEventListener("resize", draw);
  window.addEventListener("hashchange", follow);
  window.addEventListener("beforeprint", () => { printing = true; draw(); });
  window.addEventListener("afterprint", () => { printing = false; draw(); });
  document.addEventListener("click", (event) => {
    const leads = event.target.closest("[data-answer], [data-cause]");
    if (leads) {
      event.preventDefault();
      byId("filter").reset();
      for (const name of ["answer", "cause"]) if (leads.dataset[name]) byId(name).value = leads.dataset[name];
      close();
      filter();
      byId("matrix").scrollIntoView();
    }
    const button = event.target.closest("[data-sort]");
    if (button) {
      const by = /^\d+$/.test(button.dataset.sort) ? Number(button.dataset.sort) : button.dataset.sort;
      sort = { by, down: sort.by === by && !sort.down };
      order();
      draw();
    }
  });
  filter();
  follow();
})();
