// Scales of plots. Pure.

// A round number at or above `value`: 1, 2 or 5 times a power of ten.
export function roundAbove(value) {
  if (!(value > 0)) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5, 10].map((step) => step * power).find((top) => top >= value * 0.999999);
}

// The path of a line in a box of `width` and `height`; null values are gaps.
export function pathOf(times, values, { width, height, begin, end, top }) {
  const x = (at) => ((at - begin) / Math.max(end - begin, 0.001)) * width;
  const y = (value) => height - (Math.min(value, top) / top) * height;
  let path = "";
  let isOpen = false;
  values.forEach((value, i) => {
    const isThere = value !== null && value !== undefined && Number.isFinite(value);
    // A point alone is a line of no length, which round ends make a dot.
    if (isThere)
      path += `${isOpen ? "L" : "M"}${x(times[i]).toFixed(1)} ${y(value).toFixed(1)}${isOpen ? "" : "h0"}`;
    isOpen = isThere;
  });
  return path;
}
