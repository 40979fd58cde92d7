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
// A video moves the marks of its timelines, and shows the regions and the values of its second.
for (const clip of document.querySelectorAll(".clip[data-seconds]")) {
  const player = clip.querySelector("video, audio");
  if (!player) continue;
  const seconds = Number(clip.dataset.seconds);
  const choice = clip.querySelector("select.shown");
  const show = () => {
    const at = player.currentTime;
    clip.querySelectorAll(".now").forEach((mark) => {
      mark.style.display = "block";
      mark.style.left = `${Math.min(100, 100 * at / seconds)}%`;
    });
    clip.querySelectorAll("rect[data-second]").forEach((region) => {
      const seen = Number(region.dataset.second) === Math.floor(at)
        && (!choice || region.dataset.of === choice.value);
      region.style.display = seen ? "" : "none";
    });
    clip.querySelectorAll("output[data-values]").forEach((field) => {
      const values = JSON.parse(field.dataset.values);
      const step = Math.min(values.length - 1, Math.floor(at / Number(field.dataset.hop)));
      field.textContent = values[step].toFixed(2);
    });
  };
  for (const event of ["timeupdate", "seeked", "loadedmetadata"]) {
    player.addEventListener(event, show);
  }
  if (choice) choice.addEventListener("change", show);
  clip.querySelectorAll(".cells").forEach((cells) => cells.addEventListener("click", (event) => {
    const box = cells.getBoundingClientRect();
    player.currentTime = seconds * (event.clientX - box.left) / box.width;
  }));
  clip.querySelectorAll(".jump").forEach((button) => button.addEventListener("click", () => {
    player.currentTime = Number(button.dataset.at);
  }));
  show();
}
// A sound takes the picture of its clip along, which is mute as long as it does.
for (const box of document.querySelectorAll("input[data-plays]")) {
  const sound = box.closest(".clip").querySelector("audio");
  const picture = document.getElementById(box.dataset.plays).querySelector("video");
  const follow = () => {
    if (!box.checked) return;
    picture.muted = true;
    picture.currentTime = sound.currentTime;
    if (sound.paused) picture.pause(); else picture.play();
  };
  for (const event of ["play", "pause", "seeked"]) sound.addEventListener(event, follow);
  box.addEventListener("change", () => {
    if (box.checked) return follow();
    picture.pause();
    picture.muted = false;
  });
}
