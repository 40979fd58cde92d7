"use strict";
// Tables sort by a click on their heads; a search field filters the rows of the table it names.
for (const table of document.querySelectorAll("table.sortable")) {
  const body = table.tBodies[0];
  table.querySelectorAll("th").forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending" && head.classList.contains("n")
        || head.getAttribute("aria-sort") === "ascending";
      table.querySelectorAll("th").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const value = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      const number = head.classList.contains("n");
      const empty = (text) => text.trim() === "";
      [...body.rows].sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (empty(x) || empty(y)) return empty(x) - empty(y);
        const order = number ? Number(x) - Number(y) : x.localeCompare(y);
        return down ? -order : order;
      }).forEach((row) => body.append(row));
    });
  });
}
for (const field of document.querySelectorAll("input[data-filters]")) {
  const rows = () => document.getElementById(field.dataset.filters).tBodies[0].rows;
  field.addEventListener("input", () => {
    const wanted = field.value.toLowerCase();
    for (const row of rows()) row.hidden = !row.textContent.toLowerCase().includes(wanted);
  });
}
// A video moves the marks of its timelines, and shows the regions of its second.
for (const clip of document.querySelectorAll(".clip[data-seconds]")) {
  const player = clip.querySelector("video, audio");
  if (!player) continue;
  const seconds = Number(clip.dataset.seconds);
  const show = () => {
    const at = player.currentTime;
    clip.querySelectorAll(".now").forEach((mark) => {
      mark.style.display = "block";
      mark.style.left = `${Math.min(100, 100 * at / seconds)}%`;
    });
    clip.querySelectorAll("rect[data-second]").forEach((region) => {
      region.style.display = Number(region.dataset.second) === Math.floor(at) ? "" : "none";
    });
  };
  player.addEventListener("timeupdate", show);
  player.addEventListener("seeked", show);
  clip.querySelectorAll(".cells").forEach((cells) => cells.addEventListener("click", (event) => {
    const box = cells.getBoundingClientRect();
    player.currentTime = seconds * (event.clientX - box.left) / box.width;
  }));
  show();
}
