// The page of one run.
"use strict";
{
  const data = JSON.parse(document.getElementById("data").textContent);
  const run = harnessDetail.unpack(data.run, data.codes);
  harnessDetail.draw(document.getElementById("detail-body"), run, data.tasks, { open: 3, below: 1 });
  document.documentElement.dataset.ready = "";
}
