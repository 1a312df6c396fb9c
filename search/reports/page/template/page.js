"use strict";
(() => {
  const nonce = document.currentScript.nonce;
  const touch = window.matchMedia("(pointer: coarse)").matches;
  const PAPER = 690;
  let plotly = null;

  const unpack = async () => {
    const letters = atob(document.getElementById("packed").textContent.trim());
    const bytes = Uint8Array.from(letters, (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };

  const run = (source) => {
    const script = document.createElement("script");
    script.nonce = nonce;
    script.textContent = source;
    document.head.append(script);
    script.remove();
  };

  const figures = () => [...document.querySelectorAll(".chart")];
  const plotOf = (figure) => figure.querySelector(".plot");
  const drawn = (figure) => plotOf(figure).childElementCount > 0;

  const draw = (figure) => {
    if (drawn(figure) || figure.offsetParent === null) return Promise.resolve();
    const { data, layout } = JSON.parse(figure.querySelector("script").textContent);
    if (touch) layout.dragmode = false;
    return plotly.newPlot(plotOf(figure), data, layout, {
      displayModeBar: false,
      responsive: true,
    });
  };

  const drawAll = async () => {
    for (const figure of figures()) {
      await draw(figure);
      await new Promise((next) => setTimeout(next, 0));
    }
    document.documentElement.dataset.drawn = "yes";
  };

  const fit = (paper) => {
    for (const figure of figures().filter(drawn)) {
      const share = figure.classList.contains("small") ? 0.47 : 1;
      plotly.relayout(plotOf(figure), paper ? { width: PAPER * share } : { width: null, autosize: true });
    }
  };

  const start = async () => {
    run(await unpack());
    plotly = window.Plotly;
    await drawAll();
    window.addEventListener("resize", () => drawAll());
    window.addEventListener("beforeprint", () => fit(true));
    window.addEventListener("afterprint", () => fit(false));
  };

  start().catch((error) => {
    document.getElementById("too-old").hidden = false;
    console.error(error);
  });
})();
