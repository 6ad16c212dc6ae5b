"use strict";
/* The molecule in 3D: what the page says in its block of data, drawn by 3Dmol. Texts go in as text, never as HTML. */

(() => {
  const data = JSON.parse(document.getElementById("molecule-data").textContent);
  const find = (selector) => document.querySelector(selector);
  const all = (selector) => [...document.querySelectorAll(selector)];
  const place = find("#viewer");
  const vector = ([x, y, z]) => ({ x, y, z });

  let viewer = null;
  try {
    viewer = $3Dmol.createViewer(place, { backgroundColor: "white", antialias: true });
  } catch (error) {
    viewer = null;
  }
  if (!viewer) {
    place.textContent = "This browser draws no 3D graphics (WebGL); the numbers below are complete.";
    all("#controls button, #controls input, #controls select").forEach((control) => (control.disabled = true));
    return;
  }

  const fields = data.fields.map((field) => ({ ...field, values: null }));
  let shown = null; // the field whose surfaces are drawn, or null
  let surfaces = [];

  function drawSurface(field, sign, colour) {
    const values = sign > 0 ? field.values : field.values.map((x) => -x);
    const { vertices, triangles } = isosurface(values, field.shape, field.level);
    if (!triangles.length) return;
    const position = (p) => vector(p.map((x, d) => data.grid.origin[d] + (data.grid.spacing / 2) * x));
    surfaces.push(viewer.addCustom({
      vertexArr: vertices.map((v) => position(v.point)),
      normalArr: vertices.map((v) => vector(v.normal)),
      faceArr: triangles,
      color: colour,
      opacity: 0.78,
    }));
  }

  function draw() {
    surfaces.forEach((surface) => viewer.removeShape(surface));
    surfaces = [];
    if (shown) {
      if (!shown.values) Object.assign(shown, refine(decode(shown.data, shown.scale), data.grid.shape));
      shown.colours.forEach((colour, i) => drawSurface(shown, i ? -1 : 1, colour));
    }
    viewer.render();
    place.dataset.surfaces = String(surfaces.length);
  }

  const slider = find("#level"); // 0 … 100, logarithmic
  const levelOf = (position) => shown.range[0] * (shown.range[1] / shown.range[0]) ** (position / 100);
  const positionOf = (level) => (100 * Math.log(level / shown.range[0])) / Math.log(shown.range[1] / shown.range[0]);

  function tell() {
    const sign = shown && shown.colours.length > 1 ? "±" : "";
    find("#level-value").textContent = shown ? `${sign}${shown.level.toPrecision(2)} ${shown.unit}` : "–";
    find("#shown").textContent = shown ? shown.text : "Nuclei and bonds only";
  }

  function choose(index) {
    shown = index === null ? null : fields[index];
    const chosen = index === null ? "none" : String(index);
    all("#controls button").forEach((b) => b.setAttribute("aria-pressed", String(b.dataset.field === chosen)));
    all("#levels [data-field]").forEach((level) => level.classList.toggle("chosen", level.dataset.field === chosen));
    slider.disabled = !shown;
    if (shown) slider.value = String(positionOf(shown.level));
    tell();
    draw();
  }

  let arrow = null;
  function drawDipole(visible) {
    if (arrow) viewer.removeShape(arrow);
    const { start, end } = data.dipole;
    const look = { radius: 0.07, radiusRatio: 2.4, mid: 0.8, color: "#009E73" };
    arrow = visible ? viewer.addArrow({ start: vector(start), end: vector(end), ...look }) : null;
    viewer.render();
  }

  function label(kind) {
    viewer.removeAllLabels();
    (data.labels[kind] ?? []).forEach((text, i) =>
      viewer.addLabel(text, {
        position: vector(data.positions[i]),
        alignment: "center",
        fontSize: 13,
        fontColor: "#1a1a1a",
        backgroundColor: "white",
        backgroundOpacity: 0.75,
      }));
    viewer.render();
  }

  const KEYS = {
    ArrowLeft: () => viewer.rotate(-10, "y"),
    ArrowRight: () => viewer.rotate(10, "y"),
    ArrowUp: () => viewer.rotate(-10, "x"),
    ArrowDown: () => viewer.rotate(10, "x"),
    "+": () => viewer.zoom(1.15),
    "-": () => viewer.zoom(1 / 1.15),
  };

  function listen() {
    all("[data-field]").forEach((element) =>
      element.addEventListener("click", () =>
        choose(element.dataset.field === "none" ? null : Number(element.dataset.field))));
    slider.addEventListener("input", () => {
      shown.level = levelOf(Number(slider.value));
      tell();
      draw();
    });
    find("#dipole")?.addEventListener("change", (event) => drawDipole(event.target.checked));
    find("#labels").addEventListener("change", (event) => label(event.target.value));
    place.addEventListener("keydown", (event) => {
      if (!KEYS[event.key]) return;
      event.preventDefault();
      KEYS[event.key]();
    });
  }

  viewer.addModel(data.xyz, "xyz");
  viewer.setStyle({}, { stick: { radius: 0.11 }, sphere: { scale: 0.24 } });
  viewer.setView([0, 0, 0, 0, ...data.orientation]);
  viewer.zoomTo();
  viewer.zoom(1.35 * Math.min(1, place.clientWidth / place.clientHeight));
  listen();
  choose(data.first);
})();
