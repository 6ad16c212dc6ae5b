"use strict";
/* Isosurfaces of numbers on a regular box, in units of its steps; the last index runs fastest. */

/** 16-bit integers in base64 as numbers, each times a scale. */
function decode(text, scale) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const view = new DataView(bytes.buffer);
  return Float32Array.from({ length: bytes.length / 2 }, (_, i) => scale * view.getInt16(2 * i, true));
}

/** The numbers at twice as fine steps, between them by cubic interpolation (Catmull and Rom), axis by axis. */
function refine(values, shape) {
  let fine = { values, shape };
  for (let d = 0; d < 3; d++) fine = refineAxis(fine.values, fine.shape, d);
  return fine;
}

function refineAxis(values, shape, d) {
  const n = shape[d], more = 2 * n - 1, fineShape = shape.map((m, e) => (e === d ? more : m));
  const stride = shape.slice(d + 1).reduce((a, b) => a * b, 1), outer = shape.slice(0, d).reduce((a, b) => a * b, 1);
  const fine = new Float32Array(outer * more * stride);
  for (let o = 0; o < outer; o++) for (let i = 0; i < more; i++) for (let s = 0; s < stride; s++) {
    const at = (k) => values[(o * n + Math.max(0, Math.min(k, n - 1))) * stride + s], k = i >> 1;
    fine[(o * more + i) * stride + s] = i % 2 ? (9 * (at(k) + at(k + 1)) - at(k - 1) - at(k + 2)) / 16 : at(k);
  }
  return { values: fine, shape: fineShape };
}

/** Trilinear interpolation at a point inside the box. */
function interpolate(values, shape, p) {
  const first = p.map((x, d) => Math.max(0, Math.min(Math.floor(x), shape[d] - 2)));
  let sum = 0;
  for (let corner = 0; corner < 8; corner++) {
    let weight = 1, index = 0;
    for (let d = 0; d < 3; d++) {
      const up = (corner >> d) & 1, t = Math.max(0, Math.min(p[d] - first[d], 1));
      weight *= up ? t : 1 - t;
      index = index * shape[d] + first[d] + up;
    }
    sum += weight * values[index];
  }
  return sum;
}

/** Central differences over one step on either side. */
function gradient(values, shape, p) {
  return p.map((x, d) => {
    const at = (step) => interpolate(values, shape, p.map((y, e) => (e === d ? y + step : y)));
    return (at(1) - at(-1)) / 2;
  });
}

/** Moves a point along the gradient to where the values reach the level, at most half a step; with its normal. */
function settle(values, shape, level, p) {
  const slope = gradient(values, shape, p);
  const square = slope.reduce((sum, g) => sum + g * g, 1e-30);
  const missing = level - interpolate(values, shape, p), limit = 0.5 / Math.sqrt(square);
  const way = Math.max(-limit, Math.min(missing / square, limit));
  const length = -Math.sqrt(square);
  return { point: p.map((x, d) => x + way * slope[d]), normal: slope.map((g) => g / length) };
}

/**
 * Surface nets (S. Gibson, MICCAI 1998, 888): one vertex in each cell that the surface crosses, four of them around
 * each edge that it crosses. Gives vertices (each a point and its normal, outwards) and triangles (three indices each).
 */
function isosurface(values, shape, level) {
  const strides = [shape[1] * shape[2], shape[2], 1];
  const offsets = Array.from({ length: 8 }, (_, c) => strides.reduce((sum, s, d) => sum + s * ((c >> d) & 1), 0));
  const numbers = new Int32Array(values.length), vertices = [], triangles = [];
  for (let i = 0; i < shape[0] - 1; i++) for (let j = 0; j < shape[1] - 1; j++) for (let k = 0; k < shape[2] - 1; k++) {
    const first = i * strides[0] + j * strides[1] + k;
    let inside = 0;
    for (let c = 0; c < 8; c++) inside += values[first + offsets[c]] > level;
    if (inside === 0 || inside === 8) continue;
    const middle = crossings(offsets.map((o) => values[first + o] - level));
    numbers[first] = vertices.length;
    vertices.push(settle(values, shape, level, [i + middle[0], j + middle[1], k + middle[2]]));
  }
  const at = [0, 0, 0];
  for (at[0] = 0; at[0] < shape[0] - 1; at[0]++) for (at[1] = 0; at[1] < shape[1] - 1; at[1]++)
    for (at[2] = 0; at[2] < shape[2] - 1; at[2]++) {
      const here = at[0] * strides[0] + at[1] * strides[1] + at[2];
      for (let d = 0; d < 3; d++) {
        const u = (d + 1) % 3, v = (d + 2) % 3, out = values[here] <= level;
        if (!at[u] || !at[v] || out === (values[here + strides[d]] <= level)) continue;
        const [a, b, c, e] = [0, strides[u], strides[u] + strides[v], strides[v]].map((back) => numbers[here - back]);
        triangles.push(...(out ? [a, c, b, a, e, c] : [a, b, c, a, c, e]));
      }
    }
  return { vertices, triangles };
}

/** Mean of where a surface crosses the twelve edges of a cell, from the signed values at its corners. */
function crossings(values) {
  const sum = [0, 0, 0];
  let n = 0;
  for (let c = 0; c < 8; c++) for (let d = 0; d < 3; d++) {
    const other = c | (1 << d);
    if (other === c || (values[c] > 0) === (values[other] > 0)) continue;
    for (let e = 0; e < 3; e++) sum[e] += e === d ? values[c] / (values[c] - values[other]) : (c >> e) & 1;
    n++;
  }
  return sum.map((x) => x / n);
}
