// Beside pytest-html's own script, which runs after this one: filters by host, cause, stage and text over the rows that
// it draws, and makes its table usable by keyboard.
(() => {
  "use strict";
  const chosen = { host: "", cause: "" };
  const byId = (id) => document.getElementById(id);

  // pytest-html counts two columns that nobody sees.
  for (const name of ["template_results-table__tbody", "template_results-table__body--empty"]) {
    const cell = byId(name)?.content.querySelector("[colspan]");
    if (cell) cell.colSpan = 5;
  }
  // "3 present," reads better as "3 present".
  for (const label of document.querySelectorAll(".filters > span")) {
    label.textContent = label.textContent.trim().replace(/,$/, "");
  }
  for (const box of document.querySelectorAll(".filters > input")) {
    box.setAttribute("aria-label", box.nextElementSibling?.textContent ?? "");
  }

  function matches(body, words, stage) {
    const cell = body.querySelector(".col-verdict");
    const data = cell?.dataset ?? {};
    const every = data.cause === "*"; // a host that was not reached has one row for all its causes
    return (!chosen.host || data.host === chosen.host)
      && (!chosen.cause || every || data.cause === chosen.cause)
      && (!stage || every || data.stage === stage)
      && words.every((word) => body.textContent.toLowerCase().includes(word));
  }

  function apply() {
    const words = byId("find-text").value.toLowerCase().split(/\s+/).filter(Boolean);
    const stage = byId("find-stage").value;
    let shown = 0, all = 0;
    for (const body of document.querySelectorAll("#results-table > tbody")) {
      if (!body.querySelector(".collapsible")) continue;
      const fits = matches(body, words, stage);
      body.classList.toggle("filtered-out", !fits);
      all += 1;
      shown += fits;
    }
    const what = [chosen.host, chosen.cause].filter(Boolean).join(" × ");
    byId("find-chosen").textContent = what;
    byId("find-chosen").hidden = !what;
    byId("find-clear").hidden = !(what || stage || words.length);
    byId("find-count").textContent = shown === all ? `${all} rows` : `${shown} of ${all} rows`;
  }

  function prepareRows() {
    for (const cell of document.querySelectorAll("#results-table .collapsible > .col-verdict")) {
      cell.tabIndex = 0;
      cell.setAttribute("role", "button");
      const extras = cell.parentElement.nextElementSibling;
      cell.setAttribute("aria-expanded", String(!extras?.classList.contains("hidden")));
    }
    for (const head of document.querySelectorAll("#results-table .sortable")) {
      head.tabIndex = 0;
      const ascending = head.classList.contains("asc"), descending = head.classList.contains("desc");
      head.setAttribute("aria-sort", ascending ? "ascending" : descending ? "descending" : "none");
    }
    apply();
  }

  document.addEventListener("DOMContentLoaded", () => {
    // pytest-html replaces the whole table whenever it is sorted, filtered or unfolded.
    new MutationObserver((changes) => {
      const isTable = (node) => node.id === "results-table";
      if (changes.some((change) => [...change.addedNodes].some(isTable))) prepareRows();
    }).observe(document.body, { childList: true });
    prepareRows();
    byId("find-text").addEventListener("input", apply);
    byId("find-stage").addEventListener("change", apply);
    byId("find-clear").addEventListener("click", () => {
      chosen.host = chosen.cause = byId("find-text").value = byId("find-stage").value = "";
      apply();
    });
    for (const link of document.querySelectorAll("[data-show-host]")) {
      link.addEventListener("click", (event) => {
        event.preventDefault();
        chosen.host = link.dataset.showHost;
        chosen.cause = link.dataset.showCause;
        apply();
        byId("rows").scrollIntoView();
      });
    }
  });

  document.addEventListener("keydown", (event) => {
    const target = event.target;
    if ((event.key !== "Enter" && event.key !== " ") || !target.matches?.(".col-verdict, .sortable")) return;
    event.preventDefault();
    const id = target.closest("tr")?.dataset.id, column = target.dataset.columnType;
    target.click();
    prepareRows();
    const again = id ? `tr[data-id="${id}"] > .col-verdict` : `.sortable[data-column-type="${column}"]`;
    document.querySelector(again)?.focus();
  });
})();
